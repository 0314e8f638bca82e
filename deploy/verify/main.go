// Command verify reads the files of deploy/ with the parsers of the tools that they are for: BuildKit's for the Dockerfile,
// with docker build's own linter, Compose's for compose.yaml, and Kubernetes' types, strictly, for the manifests. It runs
// nothing: no container engine and no cluster is needed. It is a module of its own so that carehub does not depend on any of
// these.
//
//	go run -C deploy/verify . ..
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verify DEPLOY-FOLDER")
		os.Exit(2)
	}
	dir := os.Args[1]
	manifests, err := filepath.Glob(filepath.Join(dir, "kubernetes", "*.yaml"))
	problems := dockerfile(filepath.Join(dir, "Dockerfile"))
	problems = append(problems, compose(context.Background(), filepath.Join(dir, "compose.yaml"))...)
	for _, m := range manifests {
		problems = append(problems, kubernetes(m)...)
	}
	if err != nil || len(manifests) == 0 {
		problems = append(problems, fmt.Sprintf("no manifests: %v", err))
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
	if len(problems) > 0 {
		os.Exit(1)
	}
	fmt.Printf("parsed: Dockerfile, compose.yaml, %d Kubernetes files\n", len(manifests))
}
