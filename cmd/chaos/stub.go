package main

import "context"

func runParked(context.Context, settings) error { return nil }
func runCopies(context.Context, settings) error { return nil }
func runStrace(context.Context, settings) error { return nil }
