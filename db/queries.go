package db

import _ "embed" // the queries

var (
	//go:embed queries/triggers.sql
	queryTriggers string
	//go:embed queries/position.sql
	queryPosition string
	//go:embed queries/read.sql
	queryRead string
	//go:embed queries/due.sql
	queryDue string
	//go:embed queries/horizon.sql
	queryHorizon string
)

// Keys of advisory locks: "pgbell" and a number.
const (
	lockMigration int64 = 0x706762656c6c_01
	lockRetention int64 = 0x706762656c6c_02
	// lockPreferences is the first of two; the second stands for a user.
	lockPreferences int32 = 0x7067626c
)
