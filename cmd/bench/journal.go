package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"time"
)

// journal is a file with group commit: whoever comes while an fsync runs shares the next one.
type journal struct {
	file  *os.File
	in    chan commit
	ended chan error
}

type commit struct {
	data []byte
	done chan error
}

func openJournal(dir string) (*journal, error) {
	f, err := os.CreateTemp(dir, "journal-")
	if err != nil {
		return nil, err
	}
	j := &journal{file: f, in: make(chan commit, 1024), ended: make(chan error, 1)}
	go func() { j.ended <- j.run() }()
	return j, nil
}

// write returns once data is on disk.
func (j *journal) write(data []byte) error {
	c := commit{data, make(chan error, 1)}
	j.in <- c
	return <-c.done
}

func (j *journal) close() error {
	close(j.in)
	return <-j.ended
}

func (j *journal) run() error {
	var buf bytes.Buffer
	var waiting []commit
	for c := range j.in {
		buf.Reset()
		waiting = append(waiting[:0], c)
		buf.Write(c.data)
		for more := true; more; {
			select {
			case c, ok := <-j.in:
				if more = ok; ok {
					waiting = append(waiting, c)
					buf.Write(c.data)
				}
			default:
				more = false
			}
		}
		_, err := j.file.Write(buf.Bytes())
		if err == nil {
			err = j.file.Sync()
		}
		for _, c := range waiting {
			c.done <- err
		}
	}
	err := j.file.Close()
	_ = os.Remove(j.file.Name())
	return err
}

// rawSyncs is how often a second the disk takes 3 KB and an fsync, one after another, for a second.
func rawSyncs(ctx context.Context, dir string) (float64, error) {
	f, err := os.Create(filepath.Join(dir, "fsync")) // #nosec G304 -- the bench's own folder
	if err != nil {
		return 0, err
	}
	defer f.Close()
	block, n, start := make([]byte, 3<<10), 0, time.Now()
	for time.Since(start) < time.Second && ctx.Err() == nil {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds(), os.Remove(f.Name())
}
