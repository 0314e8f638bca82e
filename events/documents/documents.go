// Package documents keeps what a carer photographs or attaches: a letter, a result, a report. A file is looked at before it is kept, and
// what it tells beside what can be seen is taken out (clean.go, jpeg.go, pdf.go). It is stored before its event is, under the patient's
// pseudonym and the event that it is for, and lives as long as that event: what never became one, or was taken away with one, is erased.
package documents

import (
	"cmp"
	"context"
	"crypto/sha1" // #nosec G505 -- FHIR R4 wants it of an attachment; SHA-256 is beside it
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"carehub/events"
)

// Store keeps documents, each as a record and its content.
type Store interface {
	// PutDocument returns when both are on disk. A document that is there already stays as it is.
	PutDocument(ctx context.Context, patient, id string, record, content []byte) error
	// RenewDocument writes the record of a document that is there once more, so that it counts as stored now.
	RenewDocument(ctx context.Context, patient, id string, record []byte) error
	// DocumentRecord and DocumentContent are NotFound for what is not there.
	DocumentRecord(ctx context.Context, patient, id string) ([]byte, error)
	DocumentContent(ctx context.Context, patient, id string) ([]byte, error)
	// Documents lists all that is there, of one patient or, for "", of all.
	Documents(ctx context.Context, patient string) ([]events.StoredDocument, error)
	// EraseDocument overwrites a document. Doing it twice does no harm.
	EraseDocument(ctx context.Context, patient, id string) error
}

// Keeper keeps documents. It is safe for concurrent use.
type Keeper struct {
	Store Store
	// Exists reports whether there is an event: accepted, held, or undone a short while ago.
	Exists func(ctx context.Context, event string) (bool, error)
	Gone   func(patient string) bool // whether a patient was forgotten: nothing of them is kept any more
	Clock  func() time.Time
	Zone   func() *time.Location // in which a document is dated
	Log    *slog.Logger

	turn turn
}

// turn is whose it is to have a file cleaned and stored: one at a time is enough, and bounds what it takes.
type turn struct {
	once sync.Once
	free chan struct{}
}

func (t *turn) take(ctx context.Context) (done func(), err error) {
	t.once.Do(func() { t.free = make(chan struct{}, 1) })
	select {
	case t.free <- struct{}{}:
		return func() { <-t.free }, nil
	case <-ctx.Done():
		return nil, &events.Error{Kind: events.Unavailable, Message: "Nothing was saved. Please try again, or phone.", Err: ctx.Err()}
	}
}

// record is what the store keeps of a document. The shape is a promise.
type record struct {
	V     int    `json:"v"`
	Event string `json:"event"`
	events.Document
}

const version = 1

var errMany = refused(events.TooLarge, "That is more than 5 files or 10 MB for one event.")

// Keep cleans a file and stores it for an event that is to come, and returns once that is durable. The same file again is the same document.
// Errors are those of Clean, TooLarge where there are too many, Unavailable.
func (k *Keeper) Keep(ctx context.Context, event string, kind events.DocumentKind, file []byte) (events.Document, error) {
	sum := sha256.Sum256(file)
	id := events.DocumentID(event, kind, hex.EncodeToString(sum[:]))
	done, err := k.turn.take(ctx)
	if err != nil {
		return events.Document{}, err
	}
	defer done()
	if known, err := k.record(ctx, id); err == nil {
		return known.Document, k.renew(ctx, known)
	} else if events.KindOf(err) != events.NotFound {
		return events.Document{}, err
	}
	media, content, err := Clean(file)
	if err != nil {
		return events.Document{}, err
	}
	d := describe(id, kind, media, content, k.Clock().In(k.Zone()).Truncate(time.Second))
	value, err := json.Marshal(record{version, event, d})
	if err != nil {
		return events.Document{}, err
	}
	if k.Gone(events.PatientOf(event)) {
		return events.Document{}, &events.Error{Kind: events.Gone, Message: "There is no such patient here any more."}
	}
	if err := k.Store.PutDocument(ctx, events.PatientOf(event), id, value, content); err != nil {
		return events.Document{}, err
	}
	kept, err := k.record(ctx, id) // another hub may have been faster, and no PDF is written the same twice
	return kept.Document, err
}

// renew has a document that is used again wait for its event anew. The turn must be taken, so that no sweep comes in between.
func (k *Keeper) renew(ctx context.Context, r record) error {
	if k.Clock().Sub(r.Added) < every {
		return nil
	}
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return k.Store.RenewDocument(ctx, events.PatientOfDocument(r.ID), r.ID, value)
}

func describe(id string, kind events.DocumentKind, media string, content []byte, added time.Time) events.Document {
	long, short := sha256.Sum256(content), sha1.Sum(content) // #nosec G401 -- see above
	return events.Document{ID: id, Kind: kind, Media: media, Size: len(content), Added: added,
		SHA256: hex.EncodeToString(long[:]), SHA1: base64.StdEncoding.EncodeToString(short[:])}
}

// record is that of a document: NotFound where there is none.
func (k *Keeper) record(ctx context.Context, id string) (r record, err error) {
	patient := events.PatientOfDocument(id)
	if patient == "" {
		return r, missing()
	}
	value, err := k.Store.DocumentRecord(ctx, patient, id)
	if err == nil {
		err = json.Unmarshal(value, &r)
	}
	if err == nil && r.V > version {
		err = &events.Error{Kind: events.Internal, Message: "The document was stored by a newer version of the hub."}
	}
	return r, err
}

func missing() error {
	return &events.Error{Kind: events.NotFound, Message: "There is no such document here."}
}

// For are the documents with these ids, once each, all of which were kept for this event. Errors: NotFound, TooLarge, Unavailable.
func (k *Keeper) For(ctx context.Context, event string, ids []string) (all []events.Document, err error) {
	done, err := k.turn.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	size := 0
	for _, id := range ids {
		if slices.ContainsFunc(all, func(d events.Document) bool { return d.ID == id }) {
			continue
		}
		r, err := k.record(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case r.Event != event: // somebody else's
			return nil, missing()
		}
		all = append(all, r.Document)
		if size += r.Size; size > events.MaxAttached || len(all) > events.MaxDocuments {
			return nil, errMany
		}
		if err := k.renew(ctx, r); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Content is what a document holds. It is compared with its hash. Errors: NotFound, Unavailable, Internal where it is not what was kept.
func (k *Keeper) Content(ctx context.Context, d events.Document) ([]byte, error) {
	patient := events.PatientOfDocument(d.ID)
	if patient == "" {
		return nil, missing()
	}
	content, err := k.Store.DocumentContent(ctx, patient, d.ID)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != d.SHA256 {
		return nil, &events.Error{Kind: events.Internal, Message: "The document is not as it was stored."}
	}
	return content, nil
}

// EventOf is the event that a document was kept for, whether or not there is one yet.
func (k *Keeper) EventOf(ctx context.Context, id string) (event string, err error) {
	r, err := k.record(ctx, id)
	return r.Event, err
}

const (
	every = 24 * time.Hour
	// spare is how long a document may wait for its event: a page may lie open over night, and what was undone is shown for a day.
	// Each time that it is used again it has as long.
	spare = 72 * time.Hour
)

// Run erases, at the start and then once a day until ctx ends, what has no event.
func (k *Keeper) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if n, err := k.Sweep(ctx); err != nil && ctx.Err() == nil {
			k.Log.Warn("documents without an event are not looked for to the end; tomorrow again", "erased", n, "error", err.Error())
		} else if n > 0 {
			k.Log.Info("documents without an event are erased", "documents", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep erases what has waited too long for its event, and what had one that is gone. It returns how many that were. What fails of one
// document keeps it from no other; the first such error is returned.
func (k *Keeper) Sweep(ctx context.Context) (erased int, first error) {
	all, err := k.Store.Documents(ctx, "")
	if err != nil {
		return 0, err
	}
	for _, one := range all {
		if k.Clock().Sub(one.At) < spare {
			continue
		}
		gone, err := k.orphan(ctx, one)
		if err == nil && gone {
			gone, err = k.erase(ctx, one)
		}
		switch {
		case ctx.Err() != nil:
			return erased, ctx.Err()
		case err != nil:
			k.Log.Warn("a document could not be looked at or erased", "document", one.ID, "error", err.Error())
			first = cmp.Or(first, err)
		case gone:
			erased++
		}
	}
	return erased, first
}

// erase erases a document without an event, unless it was renewed meanwhile.
func (k *Keeper) erase(ctx context.Context, one events.StoredDocument) (bool, error) {
	done, err := k.turn.take(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	now, err := k.Store.Documents(ctx, one.Patient)
	same := func(there events.StoredDocument) bool { return there.ID == one.ID && there.At.Equal(one.At) }
	if err != nil || !slices.ContainsFunc(now, same) {
		return false, err
	}
	if err := k.Store.EraseDocument(ctx, one.Patient, one.ID); err != nil {
		return false, fmt.Errorf("erase: %w", err)
	}
	return true, nil
}

// orphan reports whether a document has no event. One of which only pieces are there has none.
func (k *Keeper) orphan(ctx context.Context, one events.StoredDocument) (bool, error) {
	r, err := k.record(ctx, one.ID)
	if events.KindOf(err) == events.NotFound && err != nil {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	there, err := k.Exists(ctx, r.Event)
	return !there, err
}

// Forget erases all documents of a patient, and returns how many there were.
func (k *Keeper) Forget(ctx context.Context, patient string) (int, error) {
	all, err := k.Store.Documents(ctx, patient)
	for i, one := range all {
		if err := k.Store.EraseDocument(ctx, patient, one.ID); err != nil {
			return i, err
		}
	}
	return len(all), err
}
