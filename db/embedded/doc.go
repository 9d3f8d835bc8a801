// Package embedded runs a private PostgreSQL server as a child process: for
// pgbell demo, and for tests.
//
//	binaries ─▶ directory ─▶ process + guard ─▶ URL
//	(find or    (made and     (own session,
//	 download)   locked here)  ends with us)
//
// A server lives in one directory, which Start makes and marks:
//
//	PGBELL_EMBEDDED_POSTGRES  the marker: no other directory is ever touched
//	owner.lock                held by the process that called Start
//	server.lock               held by Postgres itself, down to its last backend
//	password                  of the superuser, random
//	postgres.log              what the server said since it was started
//	data/, socket/            owned by the account that Postgres runs as
//
// The two locks tell apart what a pid file can't. If owner.lock is taken,
// somebody else uses the directory. If only server.lock is, its owner was
// killed and Postgres is still on its way out. If both are free, whatever
// postmaster.pid says is stale.
//
// Postgres runs in a session of its own, so that a Ctrl-C in the terminal does
// not take it away from under a server that is still shutting down. Beside it
// waits a guard, a few lines of shell that read a pipe from us. When we end
// without a word, killed with -9 for instance, the pipe closes, and the guard
// asks Postgres to stop.
//
// Postgres refuses to run as root. If the caller is root, it runs as the
// account postgres, else as nobody; everything but data and socket stays root's.
package embedded
