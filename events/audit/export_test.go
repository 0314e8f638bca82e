package audit

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"carehub/events"
)

// Marshalled is the AuditEvent of an access as encoding/json writes it, without any form.
func Marshalled(hub events.Sender, a Access, id string) ([]byte, error) {
	if a.searches() {
		a.Query = base64.StdEncoding.EncodeToString([]byte(a.Type + "?" + a.Query))
	}
	return json.Marshal(layOut(hub, a, id, a.At.UTC().Format(time.RFC3339Nano)))
}
