package db

import (
	"context"
	_ "embed" // the query
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed queries/init_tables.sql
var queryInitTables string

// Candidate is a table that could be watched.
type Candidate struct {
	Schema, Name string
	// HasKey says that it has a primary key.
	HasKey bool
	// MayRead says that the connected role has SELECT on it.
	MayRead bool
	Columns []CandidateColumn
}

// String is schema.name, as pgbell.yaml writes it.
func (c *Candidate) String() string { return c.Schema + "." + c.Name }

// CandidateColumn is one column of a [Candidate].
type CandidateColumn struct {
	Name string `json:"name"`
	// Type as format_type writes it.
	Type string `json:"type"`
	// Key says that it is a part of the primary key.
	Key bool `json:"key"`
	// Virtual columns are computed when they are read, and in no event.
	Virtual bool `json:"virtual"`
	// Refers is what a foreign key of this column alone refers to, or nil.
	Refers *Reference `json:"refers"`
}

// Reference is the column that a foreign key names.
type Reference struct {
	Schema string `json:"schema"`
	Table  string `json:"table"`
	Column string `json:"column"`
}

// Candidates are the tables of an application: of these schemas, and of these
// names (schema.table); nil is all. Views, partitions and tables of extensions
// are not among them. At most 1000.
func Candidates(ctx context.Context, conn *pgx.Conn, schemas, tables []string) ([]Candidate, error) {
	rows, err := conn.Query(ctx, queryInitTables, schemas, tables)
	if err != nil {
		return nil, fmt.Errorf("look for tables: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Candidate])
	if err != nil {
		return nil, fmt.Errorf("look for tables: %w", err)
	}
	return all, nil
}
