package main

import (
	"context"
	"encoding/json"
	"time"

	"carehub/events/audit"
)

// recordKey is the record of the configuration that the audit trail last said is in force.
const recordKey = "hub.audit.configuration"

// recordedFolder is that record. The shape is a promise.
type recordedFolder struct {
	V      int    `json:"v"`
	Hash   string `json:"hash"`   // of the folder
	Source string `json:"source"` // folder, or store
}

// record puts on record which configuration is in force, unless the audit trail's newest word is that it is. Where it cannot, it
// tries again at the next look: the configuration is in force all the same.
func (r *reloads) record(ctx context.Context) {
	s := r.state()
	now := recordedFolder{1, s.Hash, s.Source}
	if r.noted == now {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := r.recordOnce(ctx, now, s); err != nil {
		if ctx.Err() == nil {
			r.hub.log.Warn("the configuration in force is not on record yet", "error", err.Error())
		}
		return
	}
	r.noted = now
}

func (r *reloads) recordOnce(ctx context.Context, now recordedFolder, s reloadState) error {
	value, revision, ok, err := r.copy.store.HubGet(ctx, recordKey)
	if err != nil {
		return err
	}
	var last recordedFolder
	if ok && json.Unmarshal(value, &last) == nil && last == now {
		return nil
	}
	event, err := audit.Configuration(r.hub.current().sender(), s.Hash, s.Rules, s.Source, s.Since)
	if err != nil {
		return err
	}
	if err := r.hub.trail.Append(ctx, event); err != nil {
		return err
	}
	if value, err = json.Marshal(now); err != nil {
		return err
	}
	_, err = r.copy.store.HubPut(ctx, recordKey, value, revision)
	return err
}
