package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"carehub/events"
)

// The copy of the last good folder in the store: a record that says which it is, and parts with the YAML files, as they were
// written, in a compressed tar. patients.yaml and carers.yaml are among them. Secrets are not: YAML refers to them, and they are
// read again. Whoever erases a patient erases it: the hub makes another of what is then in force.
const (
	copyPrefix = "hub.folder."
	copyKey    = copyPrefix + "good"
	partPrefix = copyPrefix + "part." // and the hash of the folder, and a number
	copyPart   = 256 << 10            // bytes of a part
	copyMost   = 256 << 20            // bytes of all files, unpacked
)

// goodFolder is the record of the copy. The shape is a promise.
type goodFolder struct {
	V     int       `json:"v"`
	Hash  string    `json:"hash"` // of the folder
	At    time.Time `json:"at"`
	Parts int       `json:"parts"`
	Sum   string    `json:"sum"` // SHA-256 of all parts, in hex
}

// folderCopy keeps the copy.
type folderCopy struct {
	store interface {
		hubStore
		HubErase(ctx context.Context, key string, revision uint64) error
		HubList(ctx context.Context, prefix string, fn func(key string, value []byte, revision uint64)) error
	}
}

// put makes files the copy. Of several hubs that do so at a time one comes last: its folder was as good.
func (c folderCopy) put(ctx context.Context, hash string, files map[string][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	before, revision, err := c.good(ctx)
	if err != nil || before.Hash == hash {
		return err
	}
	packed, err := packFolder(files)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(packed)
	rec := goodFolder{V: 1, Hash: hash, At: time.Now().UTC().Truncate(time.Second), Sum: hex.EncodeToString(sum[:])}
	for part := range slices.Chunk(packed, copyPart) {
		rec.Parts++
		_, err := c.store.HubPut(ctx, partPrefix+hash+"."+strconv.Itoa(rec.Parts), part, 0)
		if err != nil && events.KindOf(err) != events.Conflict { // another hub has the same folder
			return err
		}
	}
	value, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if _, err := c.store.HubPut(ctx, copyKey, value, revision); err != nil {
		return err
	}
	return c.tidy(ctx, hash, revision)
}

// tidy erases the parts of older copies, and what a crash has left: all but what another hub may be writing.
func (c folderCopy) tidy(ctx context.Context, hash string, before uint64) error {
	old := map[string]uint64{}
	err := c.store.HubList(ctx, partPrefix, func(key string, _ []byte, revision uint64) {
		if !strings.HasPrefix(key, partPrefix+hash+".") && revision <= before {
			old[key] = revision
		}
	})
	for key, revision := range old {
		err = errors.Join(err, c.store.HubErase(ctx, key, revision))
	}
	return err
}

// drop erases the copy.
func (c folderCopy) drop(ctx context.Context) error {
	err := c.store.HubDelete(ctx, copyKey)
	all := map[string]uint64{}
	err = errors.Join(err, c.store.HubList(ctx, partPrefix, func(key string, _ []byte, revision uint64) { all[key] = revision }))
	for key, revision := range all {
		err = errors.Join(err, c.store.HubErase(ctx, key, revision))
	}
	return err
}

func (c folderCopy) good(ctx context.Context) (rec goodFolder, revision uint64, err error) {
	value, revision, ok, err := c.store.HubGet(ctx, copyKey)
	if err == nil && ok {
		err = json.Unmarshal(value, &rec)
	}
	return rec, revision, err
}

// get returns the files of the copy.
func (c folderCopy) get(ctx context.Context) (map[string][]byte, error) {
	rec, _, err := c.good(ctx)
	if err != nil {
		return nil, err
	}
	if rec.V != 1 {
		return nil, errors.New("the store has none")
	}
	var packed []byte
	for n := range rec.Parts {
		part, _, _, err := c.store.HubGet(ctx, partPrefix+rec.Hash+"."+strconv.Itoa(n+1))
		if err != nil {
			return nil, err
		}
		packed = append(packed, part...)
	}
	if sum := sha256.Sum256(packed); hex.EncodeToString(sum[:]) != rec.Sum {
		return nil, errors.New("the copy in the store is not whole")
	}
	return unpackFolder(packed)
}

// packFolder makes the same bytes of the same files.
func packFolder(files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	shrink := gzip.NewWriter(&out)
	w := tar.NewWriter(shrink)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(files[name]))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, err
		}
	}
	err := errors.Join(w.Close(), shrink.Close())
	return out.Bytes(), err
}

func unpackFolder(packed []byte) (map[string][]byte, error) {
	grow, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for r := tar.NewReader(io.LimitReader(grow, copyMost)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}
