package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/compose-spec/compose-go/v2/cli"
)

// compose loads the file as docker compose config does, and insists that every service is confined.
func compose(ctx context.Context, path string) (problems []string) {
	report := func(format string, args ...any) {
		problems = append(problems, path+": "+fmt.Sprintf(format, args...))
	}
	options, err := cli.NewProjectOptions([]string{path}, cli.WithWorkingDirectory(filepath.Dir(path)),
		cli.WithEnv([]string{"CAREHUB_NKEY=U"}))
	if err != nil {
		return []string{err.Error()}
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		report("%v", err)
		return problems
	}
	if len(project.Services) != 6 {
		report("%d services, not three of each", len(project.Services))
	}
	for name, s := range project.Services {
		if !s.ReadOnly || len(s.CapDrop) != 1 || s.CapDrop[0] != "ALL" || len(s.SecurityOpt) == 0 {
			report("%s is not confined", name)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				report("%s is published beyond loopback", name)
			}
		}
		for _, v := range s.Volumes {
			inRepository := v.Source == filepath.Join(project.WorkingDir, "nats", "nats.conf")
			if _, err := os.Stat(v.Source); inRepository && err != nil {
				report("%s: %v", name, err)
			}
		}
	}
	return problems
}
