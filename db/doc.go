// Package db is how pgbell reaches Postgres: pools and connections ([Open],
// [Connect]), the schema ([Migrator]), the event log ([Log], and [History] for
// those who come back late), and what users see of watched tables ([Rows]). What
// the log's columns mean and why it is read the way it is stands in
// docs/event-log.md.
//
// Everything of ours lives in schema pgbell. Migrations are goose's, embedded;
// queries stand in files of their own, beside the Go that runs them.
package db
