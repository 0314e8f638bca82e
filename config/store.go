package config

import (
	"slices"
	"strings"

	"carehub/config/strict"
)

// LoadStore reads of a folder's hub.yaml where the store is and what opens it, for a folder that may be broken. Where the file cannot
// be parsed, these keys are read without the others; the store is at its default place if none of them is there. A Hub
// with neither Store nor NATS says that its place cannot be told. Problems are not reported, for whoever reads the folder does.
func LoadStore(dir string) *Hub {
	source := &strict.Folder{Dir: dir}
	hub := LoadHub(source)
	if hub.Store != "" || hub.NATS != nil {
		return hub
	}
	text, err := source.Data(HubFile)
	if err != nil {
		return hub
	}
	alone := map[string][]byte{HubFile: []byte(ofStore(string(text)))}
	return LoadHub(&strict.Folder{Dir: dir, Snapshot: strict.NewSnapshot(alone)})
}

// ofStore are the lines of hub.yaml that say where the store is: each such key with what is indented below it.
func ofStore(text string) string {
	out, ours := "", false
	for line := range strings.Lines(text) {
		if !strings.ContainsAny(line[:1], " \t\r\n#") {
			key, _, _ := strings.Cut(line, ":")
			ours = slices.Contains([]string{"store", "store_key", "nats"}, strings.TrimSpace(key))
		}
		if ours {
			out += line
		}
	}
	if out == "" {
		return "{}"
	}
	return out
}
