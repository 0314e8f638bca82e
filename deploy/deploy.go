// Package deploy holds what is shipped beside the program: the example configuration that the demo runs.
package deploy

import "embed"

// Example is deploy/example, a whole configuration folder with invented people.
//
//go:embed all:example
var Example embed.FS
