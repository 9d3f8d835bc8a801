package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker when a release is built:
//
//	go build -ldflags "-X main.version=v1.2.3" ./cmd/pgbell
var version string

type versionCommand struct{}

// Run prints one line.
func (versionCommand) Run(a *app) error {
	_, err := fmt.Fprintf(a.stdout, "pgbell %s (%s %s/%s)\n", versionName(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// versionName is the release, or what the toolchain knows of an unreleased
// build.
func versionName() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	return info.Main.Version
}
