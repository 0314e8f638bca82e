package main

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// machine is where and with what something was measured.
type machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Memory     string `json:"memory"`
	Kernel     string `json:"kernel"`
	Filesystem string `json:"filesystem"` // of the stores
	Go         string `json:"go"`
	NATS       string `json:"nats_server"`
	Commit     string `json:"commit"`
}

func thisMachine(ctx context.Context, dir, carehub string) machine {
	m := machine{Cores: runtime.NumCPU(), Filesystem: filesystem(dir), Go: runtime.Version(),
		CPU: field("/proc/cpuinfo", "model name"), Memory: memory(), Commit: head(ctx), Kernel: "unknown", NATS: "unknown"}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		version, _, _ := strings.Cut(strings.TrimSpace(string(release)), "-") // who built it matters to nobody
		m.Kernel = "Linux " + version + " " + runtime.GOARCH
	}
	if info, err := buildinfo.ReadFile(carehub); err == nil {
		for _, d := range info.Deps {
			if d.Path == "github.com/nats-io/nats-server/v2" {
				m.NATS = d.Version
			}
		}
	}
	return m
}

// field finds a line "name : value" in a file.
func field(file, name string) string {
	f, err := os.Open(file) // #nosec G304 -- a file of /proc
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func memory() string {
	kb, err := strconv.Atoi(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"))
	if err != nil {
		return "unknown"
	}
	return strconv.Itoa((kb+1<<19)>>20) + " GiB"
}

// filesystem is the type of the one that a folder is on: that of the longest mount point above it (proc_pid_mountinfo(5)).
func filesystem(dir string) string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	best, kind := "", "unknown"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		mount, source, ok := strings.Cut(lines.Text(), " - ")
		at, of := strings.Fields(mount), strings.Fields(source)
		if !ok || len(at) < 5 || len(of) == 0 || len(at[4]) < len(best) {
			continue
		}
		if below, err := filepath.Rel(at[4], dir); err == nil && !strings.HasPrefix(below, "..") {
			best, kind = at[4], of[0]
		}
	}
	return kind
}

// head names the commit that was measured, with + if the code had been changed.
func head(ctx context.Context) string {
	id, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=9", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no", "--", "*.go", "go.mod").Output()
	if err != nil || len(changed) > 0 {
		return strings.TrimSpace(string(id)) + "+"
	}
	return strings.TrimSpace(string(id))
}
