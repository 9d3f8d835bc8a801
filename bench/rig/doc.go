// Package rig is what the benchmarks share: a private Postgres, the real pgbell
// program as a process of its own, and bare servers to compare it with.
//
// What is measured runs as users run it. A figure is only worth something
// beside another one that was taken on the same machine in the same minutes, so
// every benchmark here measures a bare peer too and prints the ratio.
package rig
