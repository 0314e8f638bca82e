package main

import (
	"context"
	"fmt"
	"time"

	"carehub/subscribers/push"
)

// openPush gives the channel of notes on carers' phones what the store has for it: the hub's key and the browsers.
func (h *hub) openPush(ctx context.Context) error {
	secret, err := secretKey(ctx, h.store, "push")
	if err != nil {
		return fmt.Errorf("key for push services: %w", err)
	}
	keys, err := push.NewKeys(secret)
	if err != nil {
		return err
	}
	h.devices = push.NewDevices(push.DeviceOptions{Store: h.store, Live: h.signin.Live, Clock: time.Now})
	h.pushKeys = keys
	return nil
}
