package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Volumes are streams of the archive: written once, part by part, and then only read or deleted.

const volumePrefix = "ARCHIVE-"

func volumeConfig(v, replicas int) jetstream.StreamConfig {
	c := settings(volumePrefix+strconv.Itoa(v), replicas, fmt.Sprintf("arch.%d.*", v))
	c.MaxMsgsPerSubject = 1 // each part has a subject of its own
	return c
}

// smallest is a limit for which JetStream makes its blocks so small that each part gets one of its own. It reads whole
// blocks, and keeps them for seconds: with the usual 4 MB a few hundred look-ups would take a gigabyte of memory. The limit
// goes before anything is written, and the size of the blocks stays until the server starts again.
const smallest = 32 << 10

// CreateVolume makes an empty volume, in place of what may be left of one of this number.
func (s *Store) CreateVolume(ctx context.Context, v int) error {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	if err := s.drop(ctx, volumeConfig(v, 0).Name); err != nil {
		return err
	}
	config := volumeConfig(v, s.replicas)
	small := config
	small.MaxBytes = smallest
	if _, err := s.js.CreateStream(ctx, small); err != nil {
		return away(err)
	}
	if _, err := s.js.UpdateStream(ctx, config); err != nil {
		return away(err)
	}
	if s.embedded != nil {
		return syncDirectories(s.embedded.dir)
	}
	return nil
}

// AppendVolume writes parts of at most 1 MiB behind the last that the volume has, whose number is given (0: none), and
// returns when they are on disk. A volume has one writer; after an error the volume is of no use.
func (s *Store) AppendVolume(ctx context.Context, v int, last uint64, parts [][]byte) error {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	if err := s.embedded.full(eventReserve); err != nil {
		return err
	}
	var pending []jetstream.PubAckFuture
	for i, part := range parts {
		number := last + uint64(i) + 1 // #nosec G115 -- an index
		future, err := s.publish(ctx, &nats.Msg{Subject: fmt.Sprintf("arch.%d.%d", v, number), Data: part},
			jetstream.WithExpectLastSequence(number-1))
		if err != nil {
			return err
		}
		pending = append(pending, future)
	}
	return s.awaitAll(ctx, pending)
}

// ReadVolume returns n parts of a volume, joined, from the one with this number on.
func (s *Store) ReadVolume(ctx context.Context, v int, first uint64, n int) ([]byte, error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	from, err := s.volume(ctx, v)
	if err != nil {
		return nil, err
	}
	var all []byte
	for i := range n {
		number := first + uint64(i) // #nosec G115 -- an index
		msg, err := from.GetMsg(ctx, number)
		if err != nil {
			return nil, away(fmt.Errorf("part %d of volume %d: %w", number, v, err))
		}
		if i == 0 {
			all = msg.Data // mostly that is all, and a part is large
			continue
		}
		all = append(all, msg.Data...)
	}
	return all, nil
}

// volume returns the stream of a volume, from memory once it has been asked for.
func (s *Store) volume(ctx context.Context, v int) (jetstream.Stream, error) {
	if known, ok := s.volumes.Load(v); ok {
		return known.(jetstream.Stream), nil
	}
	found, err := s.js.Stream(ctx, volumeConfig(v, 0).Name)
	if err != nil {
		return nil, away(fmt.Errorf("volume %d: %w", v, err))
	}
	s.volumes.Store(v, found)
	return found, nil
}

// DropVolume deletes a volume, if it is there.
func (s *Store) DropVolume(ctx context.Context, v int) error {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	s.volumes.Delete(v)
	return s.drop(ctx, volumeConfig(v, 0).Name)
}

// Volumes lists the volumes that are there, finished or not.
func (s *Store) Volumes(ctx context.Context) ([]int, error) {
	ctx, cancel := bound(ctx, patience)
	defer cancel()
	names := s.js.StreamNames(ctx, jetstream.WithStreamListSubject("arch.>"))
	var all []int
	for name := range names.Name() {
		if v, err := strconv.Atoi(strings.TrimPrefix(name, volumePrefix)); err == nil {
			all = append(all, v)
		}
	}
	if err := names.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return nil, away(err)
	}
	return all, nil
}
