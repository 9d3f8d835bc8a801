package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The versions of PostgreSQL that are supported: the newest and the oldest.
const (
	oldestPostgres = 15
	newestPostgres = 18
)

func checkVersion(ctx context.Context, conn *pgx.Conn, _ CheckupOptions) ([]Finding, error) {
	var number int
	var text string
	err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_version')").Scan(&number, &text)
	if err != nil {
		return nil, err
	}
	return []Finding{versionFinding(number/10_000, text)}, nil
}

func versionFinding(major int, text string) Finding {
	supported := fmt.Sprintf("%d to %d are supported", oldestPostgres, newestPostgres)
	switch {
	case major < oldestPostgres:
		return Finding{Level: Error, What: "PostgreSQL " + text + " is too old: " + supported, Remedy: "upgrade PostgreSQL"}
	case major > newestPostgres:
		return Finding{Level: Note, What: "PostgreSQL " + text + " is newer than what this version of pgbell was tested with: " + supported}
	}
	return Finding{Level: OK, What: "PostgreSQL " + text}
}

func checkStandby(ctx context.Context, conn *pgx.Conn, _ CheckupOptions) ([]Finding, error) {
	var standby, readOnly bool
	err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool").Scan(&standby, &readOnly)
	switch {
	case err != nil:
		return nil, err
	case standby:
		return []Finding{{Level: Error, What: "this server is a standby: nobody can LISTEN on one, and triggers do not fire there", Remedy: "connect to the primary; with several hosts in the URL, add target_session_attrs=read-write"}}, nil
	case readOnly:
		return []Finding{{Level: Error, What: "default_transaction_read_only is on for this role or database, so neither canaries nor retention can write", Remedy: "ALTER ROLE … SET default_transaction_read_only = off"}}, nil
	}
	return []Finding{{Level: OK, What: "a primary, and it may be written to"}}, nil
}

func checkSettings(ctx context.Context, conn *pgx.Conn, _ CheckupOptions) ([]Finding, error) {
	var set serverSettings
	err := conn.QueryRow(ctx, `
SELECT current_setting('track_functions'), current_setting('synchronous_commit'),
       (SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'),
       (SELECT setting::bigint FROM pg_settings WHERE name = 'idle_session_timeout')`).
		Scan(&set.trackFunctions, &set.synchronousCommit, &set.statementTimeout, &set.idleSessionTimeout)
	if err != nil {
		return nil, err
	}
	return set.findings(), nil
}

// serverSettings are those that matter to us, times in milliseconds.
type serverSettings struct {
	trackFunctions, synchronousCommit    string
	statementTimeout, idleSessionTimeout int64
}

func (s serverSettings) findings() []Finding {
	var all []Finding
	// Our connections set their own unless the URL does, and then the
	// listener has it as well, for reads that may be long.
	own := Options{}.withDefaults().StatementTimeout.Milliseconds()
	if s.statementTimeout != 0 && s.statementTimeout < own {
		all = append(all, Finding{Level: Warning, What: fmt.Sprintf("the database URL sets statement_timeout to %d ms, which may cut off a listener that catches up", s.statementTimeout), Remedy: "take it out of the URL: pgbell sets its own"})
	}
	if s.idleSessionTimeout > 0 && s.idleSessionTimeout < 60_000 {
		all = append(all, Finding{Level: Warning, What: fmt.Sprintf("idle_session_timeout is %d ms, which ends connections that wait for a bell", s.idleSessionTimeout), Remedy: "ALTER ROLE … SET idle_session_timeout = 0"})
	}
	switch s.trackFunctions {
	case "pl", "all":
		all = append(all, Finding{Level: OK, What: "track_functions is " + s.trackFunctions + ", so pgbell.status tells what triggers cost"})
	default:
		all = append(all, Finding{Level: Note, What: "track_functions is " + s.trackFunctions + ", so pgbell.status cannot tell what triggers cost", Remedy: "ALTER DATABASE … SET track_functions = 'pl', or measure with pgbell triggers status --measure"})
	}
	all = append(all, Finding{Level: Note, What: "synchronous_commit is " + s.synchronousCommit + "; pgbell leaves it to the writers, and events are as durable as the writes"})
	return all
}

func checkConnections(ctx context.Context, conn *pgx.Conn, _ CheckupOptions) ([]Finding, error) {
	var most, reserved, used, roleLimit, databaseLimit, roleUsed, databaseUsed int
	err := conn.QueryRow(ctx, `
SELECT current_setting('max_connections')::int,
       current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true)::int, 0),
       (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend' OR backend_type IS NULL AND usesysid IS NOT NULL),
       r.rolconnlimit, d.datconnlimit,
       (SELECT count(*)::int FROM pg_stat_activity AS a WHERE a.usesysid = r.oid),
       (SELECT count(*)::int FROM pg_stat_activity AS a WHERE a.datid = d.oid AND a.usesysid IS NOT NULL)
  FROM pg_roles AS r, pg_database AS d
 WHERE r.rolname = current_user AND d.datname = current_database()`).
		Scan(&most, &reserved, &used, &roleLimit, &databaseLimit, &roleUsed, &databaseUsed)
	if err != nil {
		return nil, err
	}
	return connectionFindings([]connectionLimit{
		{"max_connections", most - reserved, used, "raise max_connections, or lower the application's pools"},
		{"the connection limit of this role", roleLimit, roleUsed, "ALTER ROLE … CONNECTION LIMIT"},
		{"the connection limit of this database", databaseLimit, databaseUsed, "ALTER DATABASE … CONNECTION LIMIT"},
	}), nil
}

// nodeConnections is what one server opens at most: two pools, and the
// listener's own.
const nodeConnections = 2*4 + 1

type connectionLimit struct {
	name       string
	most, used int // most is negative for no limit
	remedy     string
}

func connectionFindings(limits []connectionLimit) []Finding {
	var all []Finding
	for _, l := range limits {
		if l.most >= 0 && l.most-l.used < nodeConnections {
			all = append(all, Finding{
				Level: Warning, Remedy: l.remedy,
				What: fmt.Sprintf("%s leaves %d connections of %d, and a server takes up to %d", l.name, max(0, l.most-l.used), l.most, nodeConnections),
			})
		}
	}
	if all == nil {
		all = []Finding{{Level: OK, What: fmt.Sprintf("%d of %d connections are in use", limits[0].used, limits[0].most)}}
	}
	return all
}

// maxSkew is how far the clocks may differ before latencies, and the times in
// tokens, mislead.
const maxSkew = 2 * time.Second

func checkClock(ctx context.Context, conn *pgx.Conn, _ CheckupOptions) ([]Finding, error) {
	before := time.Now()
	var there time.Time
	if err := conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&there); err != nil {
		return nil, err
	}
	after := time.Now()
	return []Finding{clockFinding(before, there, after)}, nil
}

// clockFinding compares: the database looked at its clock between two looks at
// ours.
func clockFinding(before, there, after time.Time) Finding {
	skew := time.Duration(0)
	switch {
	case there.Before(before):
		skew = before.Sub(there)
	case there.After(after):
		skew = there.Sub(after)
	}
	if skew > maxSkew {
		return Finding{Level: Warning, What: fmt.Sprintf("the clocks of the database and of this machine differ by %v, so latencies are wrong and revocations may refuse the wrong tokens", skew.Round(100*time.Millisecond)), Remedy: "let NTP set both clocks"}
	}
	return Finding{Level: OK, What: "the clocks of the database and of this machine agree"}
}

func checkQueue(ctx context.Context, conn *pgx.Conn, _ CheckupOptions) ([]Finding, error) {
	var used float64
	if err := conn.QueryRow(ctx, "SELECT pg_notification_queue_usage()").Scan(&used); err != nil {
		return nil, err
	}
	return []Finding{queueFinding(used)}, nil
}

func queueFinding(used float64) Finding {
	what := fmt.Sprintf("the NOTIFY queue is %.1f %% full", used*100)
	remedy := "a session that listens has been in one transaction for long: SELECT pid, xact_start, query FROM pg_stat_activity WHERE xact_start < now() - interval '1 min'"
	switch {
	case used > 0.5:
		return Finding{Level: Error, What: what + ", so pgbell rings no bell; when it is full, every commit that notifies fails", Remedy: remedy}
	case used > 0.05:
		return Finding{Level: Warning, What: what, Remedy: remedy}
	}
	return Finding{Level: OK, What: what}
}
