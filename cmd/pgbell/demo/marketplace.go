package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Role is the one that the simulated application writes as. It cannot log in:
// the application connects as whoever ran the demo and puts this role on, so
// that no password is needed.
const Role = "marketplace_app"

//go:embed schema.sql
var schema string

// ErrForeignTables says that a database has tables of the marketplace's names
// that the demo did not make. It touches nothing then.
var ErrForeignTables = errors.New("the database has tables of its own that are named like the demo's")

// Install creates the marketplace in the database of conn, or does nothing if
// an earlier run did.
func Install(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// Two demos on one database take turns here.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('pgbell demo'))`); err != nil {
			return fmt.Errorf("create the marketplace: %w", err)
		}
		var ours, foreign int
		err := tx.QueryRow(ctx, `
			SELECT count(*) FILTER (WHERE made), count(*) FILTER (WHERE NOT made)
			  FROM (SELECT coalesce(obj_description(c.oid, 'pg_class') LIKE 'pgbell demo:%', false) AS made
			          FROM pg_class AS c
			         WHERE c.relnamespace = 'public'::regnamespace
			           AND c.relname IN ('people', 'bookings', 'payments', 'payouts')) AS t`).Scan(&ours, &foreign)
		if err != nil {
			return fmt.Errorf("look for the marketplace: %w", err)
		}
		if foreign > 0 {
			return ErrForeignTables
		}
		if ours == 0 {
			if _, err := tx.Exec(ctx, schema); err != nil {
				return fmt.Errorf("create the marketplace: %w", err)
			}
		}
		return grant(ctx, tx)
	})
}

// grant makes the application's role and gives it the marketplace's tables and
// nothing else.
func grant(ctx context.Context, tx pgx.Tx) error {
	// Roles belong to the whole cluster: another demo may make it at the same
	// moment, in another database. Either way it is there.
	err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
		var exists bool
		if err := inner.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, Role).Scan(&exists); err != nil || exists {
			return err
		}
		_, err := inner.Exec(ctx, `CREATE ROLE `+Role+` NOLOGIN`)
		return err
	})
	if err != nil && !alreadyThere(err) {
		return fmt.Errorf("create role %s: %w", Role, err)
	}
	_, err = tx.Exec(ctx, `
		GRANT USAGE ON SCHEMA public TO `+Role+`;
		GRANT SELECT, INSERT, UPDATE, DELETE ON public.people, public.bookings, public.payments, public.payouts TO `+Role)
	if err != nil {
		return fmt.Errorf("grant the marketplace to role %s: %w", Role, err)
	}
	return nil
}

// alreadyThere reports whether somebody else created the same at that moment:
// duplicate_object or unique_violation.
func alreadyThere(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "42710" || pg.Code == "23505")
}

// Booking is a row of bookings that somebody may change by hand.
type Booking struct {
	ID               int64
	Client, Provider string
}

// Sample is a booking to change by hand: preferably one that has been
// confirmed, because it keeps its provider. It makes one if there is none.
func Sample(ctx context.Context, conn *pgx.Conn) (Booking, error) {
	var b Booking
	err := conn.QueryRow(ctx, `
		SELECT id, client_id, provider_id FROM public.bookings
		 ORDER BY status <> 'CONFIRMED', id DESC LIMIT 1`).Scan(&b.ID, &b.Client, &b.Provider)
	if errors.Is(err, pgx.ErrNoRows) {
		err = conn.QueryRow(ctx, `
			INSERT INTO public.bookings (client_id, provider_id, service, status, price, starts_at)
			VALUES ('anna', 'paul', 'Piano lesson', 'CONFIRMED', 60.00, now() + interval '1 day')
			RETURNING id, client_id, provider_id`).Scan(&b.ID, &b.Client, &b.Provider)
	}
	if err != nil {
		return b, fmt.Errorf("find a booking: %w", err)
	}
	return b, nil
}

// Person is somebody who may log in.
type Person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"`
}

// People is everybody, clients first, then providers, then admins.
func People(ctx context.Context, conn *pgx.Conn) ([]Person, error) {
	rows, err := conn.Query(ctx, `
		SELECT id, name, role FROM public.people
		 ORDER BY array_position('{CLIENT,PROVIDER,ADMIN}', role), id`)
	if err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	people, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Person])
	if err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	return people, nil
}
