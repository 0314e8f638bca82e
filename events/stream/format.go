package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"carehub/events"
)

const formatKey = "hub.store.format"

// format is what a store says about itself, in version 1 while it has one generation, in version 2 from then on.
type format struct {
	Version    int `json:"version"`
	Partitions int `json:"partitions"` // of the newest generation
	Generation int `json:"generation"` // number of the newest, counted from 1
	// Generations are those with streams, oldest first.
	Generations []generation `json:"generations,omitempty"`
}

// generation is one set of partitions. Only the newest takes new events.
type generation struct {
	First      int   `json:"first"` // number of its first partition; the others follow
	Partitions int   `json:"partitions"`
	Archived   []int `json:"archived,omitempty"` // whose events are in the archive; the streams are about to go, or gone
}

const (
	firstVersion      = 1
	formatVersion     = 2
	defaultPartitions = 4
)

func newFormat(partitions int) format {
	return format{Version: firstVersion, Partitions: partitions, Generation: 1,
		Generations: []generation{{Partitions: partitions}}}
}

// readFormat reads the store's format, or makes up that of a new store.
func (s *Store) readFormat(ctx context.Context, partitions int) (f format, revision uint64, err error) {
	value, revision, recorded, err := s.HubGet(ctx, formatKey)
	if err != nil {
		return f, 0, err
	}
	if !recorded {
		return newFormat(positive(partitions, defaultPartitions)), 0, nil
	}
	f, err = parseFormat(value)
	if err == nil && partitions != 0 && partitions != f.Partitions {
		err = fmt.Errorf("the store was created with %d partitions, not %d; that number changes by `carehub store partitions` alone", f.Partitions, partitions)
	}
	return f, revision, err
}

func parseFormat(value []byte) (format, error) {
	var f format
	if err := json.Unmarshal(value, &f); err != nil {
		return f, fmt.Errorf("%s cannot be read: %w", formatKey, err)
	}
	old := f.Version == firstVersion && f.Generation == 1
	if old {
		f.Generations = []generation{{Partitions: f.Partitions}}
	}
	if !old && f.Version != formatVersion || len(f.Generations) == 0 {
		return f, fmt.Errorf("the store has format %d, generation %d; this version of carehub reads formats 1 and %d",
			f.Version, f.Generation, formatVersion)
	}
	return f, nil
}

// encode is what is stored. A store that never grew is still what older programs read.
func (f format) encode() ([]byte, error) {
	if f.Version == firstVersion {
		f.Generations = nil
	}
	return json.Marshal(f)
}

func (f format) newest() generation { return f.Generations[len(f.Generations)-1] }

// grown is the format with a further generation.
func (f format) grown(partitions int) format {
	last := f.newest()
	f.Version, f.Partitions, f.Generation = formatVersion, partitions, f.Generation+1
	f.Generations = append(slices.Clone(f.Generations), generation{First: last.First + last.Partitions, Partitions: partitions})
	return f
}

// archived is the format in which partition p is one whose events are in the archive.
func (f format) archived(p int) format {
	f.Generations = slices.Clone(f.Generations)
	for i, g := range f.Generations {
		if g.holds(p) && !slices.Contains(g.Archived, p) {
			f.Generations[i].Archived = append(slices.Clone(g.Archived), p)
		}
	}
	return f
}

// retired lists the partitions whose events are in the archive.
func (f format) retired() (all []int) {
	for _, g := range f.Generations {
		all = append(all, g.Archived...)
	}
	return all
}

// cleared is those of some partitions that are in the archive.
func (f format) cleared(some []int) []int {
	archived := f.retired()
	return slices.DeleteFunc(slices.Clone(some), func(p int) bool { return !slices.Contains(archived, p) })
}

// trimmed is the format without the oldest generations, as long as there is nothing left of them.
func (f format) trimmed(exists func(p int) bool) format {
	f.Generations = slices.Clone(f.Generations)
	for len(f.Generations) > 1 && !f.Generations[0].any(exists) {
		f.Generations = f.Generations[1:]
	}
	return f
}

func (g generation) any(exists func(p int) bool) bool {
	for p := g.First; p < g.First+g.Partitions; p++ {
		if exists(p) {
			return true
		}
	}
	return false
}

func (f format) checkRetirement(p int) error {
	if f.newest().holds(p) {
		return invalid("A partition that takes events cannot be archived.")
	}
	return nil
}

func (g generation) holds(p int) bool { return p >= g.First && p < g.First+g.Partitions }

func (g generation) place(patient string) int {
	return g.First + events.PartitionOf(patient, g.Partitions)
}

// live lists the partitions that are not in the archive, older generations first.
func (f format) live() []events.Partition {
	var all []events.Partition
	for i, g := range f.Generations {
		for n := range g.Partitions {
			p := events.Partition{Number: g.First + n, After: -1, Sealed: i < len(f.Generations)-1}
			if i > 0 {
				before := f.Generations[i-1]
				if after := before.First + n%before.Partitions; !slices.Contains(before.Archived, after) {
					p.After = after
				}
			}
			if !slices.Contains(g.Archived, p.Number) {
				all = append(all, p)
			}
		}
	}
	return all
}

// chain is where the events of a patient are, newest first.
func (f format) chain(patient string) []int {
	var all []int
	for _, g := range slices.Backward(f.Generations) {
		all = append(all, g.place(patient))
	}
	return all
}

// checkGrowth says why a generation of so many partitions cannot follow.
func (f format) checkGrowth(partitions int) error {
	const most = 1024
	if partitions < f.Partitions || partitions%f.Partitions != 0 || partitions > most {
		return invalid(fmt.Sprintf("The number of partitions must be %d or a multiple of it, up to %d.", f.Partitions, most))
	}
	return nil
}
