package main

import "testing"

func TestMemoryIsGivenBackOnceTheHubIsQuiet(t *testing.T) {
	const mb = 1 << 20
	var saver thrift
	for n, look := range []struct {
		allocated uint64 // MB since the start
		due       bool
		why       string
	}{
		{100, false, "it is starting"},
		{101, true, "it has started"},
		{102, false, "nothing has come together since"},
		{102 + 20, false, "it is busy"},
		{102 + 24, false, "quiet, but there is little to give back"},
		{1000, false, "it is busy"},
		{2000, false, "it is still busy"},
		{2005, true, "it is quiet"},
		{2010, false, "it has just been given back"},
		{2017, false, "and again"},
		{2024, false, "and again"},
		{2031, false, "and again"},
		{2038, true, "little by little it has come together"},
	} {
		if due := saver.due(look.allocated * mb); due != look.due {
			t.Errorf("look %d: due = %v, but %s", n, due, look.why)
		}
	}
}
