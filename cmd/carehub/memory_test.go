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
		{1000, false, "it is busy"},
		{2000, false, "it is still busy"},
		{2015, true, "it is quiet"},
		{2016, false, "it has just been given back"},
		{2019, false, "little has come together since"},
		{2022, false, "little has come together since"},
		{2023, true, "it has come together little by little"},
		{2024, false, "it has just been given back"},
		{2024, false, "little has come together since"},
		{2024, false, "little has come together since"},
		{2024, false, "little has come together since"},
		{2024, true, "the store has dropped its indexes by now"},
		{2024, false, "the store has nothing more to drop"},
	} {
		if due := saver.due(look.allocated * mb); due != look.due {
			t.Errorf("look %d: due = %v, but %s", n, due, look.why)
		}
	}
}
