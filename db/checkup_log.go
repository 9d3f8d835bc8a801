package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// How long a transaction may be open before it is worth a word. It holds back
// resets for owners that changed, and the listener's order of bells.
const (
	longTransaction    = 5 * time.Minute
	longestTransaction = time.Hour
)

// openTransaction is one that other sessions wait behind.
type openTransaction struct {
	What string // a session, a prepared transaction, or a replication slot
	Age  time.Duration
	End  string // the SQL that ends it
}

func checkTransactions(ctx context.Context, conn *pgx.Conn, _ CheckupOptions) ([]Finding, error) {
	rows, err := conn.Query(ctx, queryOpenTransactions)
	if err != nil {
		return nil, err
	}
	open, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t openTransaction, err error) {
		var seconds float64
		err = row.Scan(&t.What, &seconds, &t.End)
		t.Age = time.Duration(seconds * float64(time.Second)).Round(time.Second)
		return t, err
	})
	if err != nil {
		return nil, err
	}
	return transactionFindings(open), nil
}

func transactionFindings(open []openTransaction) []Finding {
	var all []Finding
	for _, t := range open {
		if t.Age < longTransaction {
			continue
		}
		f := Finding{Level: Note, What: fmt.Sprintf("%s has been open for %v: resets for owners that changed wait for it, and vacuum does", t.What, t.Age), Remedy: t.End}
		if t.Age >= longestTransaction {
			f.Level = Warning
		}
		all = append(all, f)
	}
	if all == nil {
		all = []Finding{{Level: OK, What: fmt.Sprintf("no transaction has been open for %v", longTransaction)}}
	}
	return all
}

// logState is the event log from outside.
type logState struct {
	bytes         int64
	first         *time.Time
	now           time.Time
	strays, moves int64
}

func checkLog(ctx context.Context, conn *pgx.Conn, _ CheckupOptions) ([]Finding, error) {
	var installed bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_class WHERE relname = 'events' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'pgbell'))").Scan(&installed); err != nil {
		return nil, err
	}
	if !installed {
		return []Finding{{Level: Error, What: "there is no event log in this database", Remedy: "pgbell migrate up"}}, nil
	}
	var s logState
	err := conn.QueryRow(ctx, `
SELECT (SELECT coalesce(sum(pg_total_relation_size(i.inhrelid)), 0)::bigint FROM pg_inherits AS i WHERE i.inhparent = 'pgbell.events'::regclass),
       (SELECT e.at FROM pgbell.events AS e ORDER BY e.xid LIMIT 1),
       clock_timestamp(),
       coalesce((SELECT pg_relation_size(c.oid) FROM pg_class AS c WHERE c.oid = to_regclass('pgbell.events_rest')), 0),
       coalesce((SELECT pg_stat_get_live_tuples(c.oid) FROM pg_class AS c WHERE c.oid = to_regclass('pgbell.owner_moves')), 0)`).
		Scan(&s.bytes, &s.first, &s.now, &s.strays, &s.moves)
	if err != nil {
		return nil, err
	}
	return s.findings(), nil
}

// maxMoves is how many notes of owners that moved may wait to be settled.
const maxMoves = 10_000

func (s logState) findings() []Finding {
	size := fmt.Sprintf("the event log holds %s", ByteSize(s.bytes))
	var all []Finding
	switch {
	case s.first == nil:
		all = append(all, Finding{Level: OK, What: "the event log is empty"})
	case s.now.Sub(*s.first) > 2*Retention:
		// A partition is emptied when its turn comes next: half of the
		// retention time late at most, if somebody does it.
		all = append(all, Finding{Level: Warning, What: fmt.Sprintf("%s and its oldest event is %v old, though %v are kept: nobody empties it", size, s.now.Sub(*s.first).Round(time.Hour), Retention), Remedy: "let a pgbell serve run, with the privileges of its duty; its log says why retention fails"})
	default:
		all = append(all, Finding{Level: OK, What: fmt.Sprintf("%s; its oldest event is %v old, and %v are kept", size, s.now.Sub(*s.first).Round(time.Minute), Retention)})
	}
	if s.strays > 0 {
		all = append(all, Finding{Level: Warning, What: "pgbell.events_rest holds events: a partition of the log was missing when they were written", Remedy: "pgbell migrate status; if a partition is gone, restore it from the migrations"})
	}
	if s.moves > maxMoves {
		all = append(all, Finding{Level: Warning, What: fmt.Sprintf("about %d changes of owners wait in pgbell.owner_moves to be settled", s.moves), Remedy: "let a pgbell serve run; if one does, end the transactions that have been open for long"})
	}
	return all
}

// ByteSize is a number of bytes for people, such as 24 MB.
func ByteSize(n int64) string {
	units := []string{"kB", "MB", "GB", "TB"}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.0f %s", value, units[unit])
}
