package demo

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// step is one thing that somebody in the marketplace does: one transaction. It
// reports whether there was anything to do.
type step struct {
	name string
	// weight is how often it is tried first, beside the others.
	weight int
	run    func(context.Context, pgx.Tx, *rand.Rand) (bool, error)
}

// The state of the marketplace is in its tables alone, so the traffic goes on
// where it was after any interruption, and beside people who write by hand.
// FOR UPDATE SKIP LOCKED lets workers and those people pass each other.
var steps = []step{
	{"request", 5, request},
	{"accept", 5, pick(`
		UPDATE bookings SET status = 'CONFIRMED', provider_note = 'Bring the invoice.'
		 WHERE id = (SELECT id FROM bookings WHERE status = 'PENDING'
		              ORDER BY md5(id || $1) LIMIT 1 FOR UPDATE SKIP LOCKED)`)},
	{"decline", 1, pick(`
		UPDATE bookings SET status = 'DECLINED'
		 WHERE id = (SELECT id FROM bookings WHERE status = 'PENDING'
		              ORDER BY md5(id || $1) LIMIT 1 FOR UPDATE SKIP LOCKED)`)},
	{"reassign", 1, pick(`
		UPDATE bookings AS b
		   SET provider_id = (SELECT id FROM people
		                       WHERE role = 'PROVIDER' AND id <> b.provider_id
		                       ORDER BY md5(id || $1) LIMIT 1)
		 WHERE id = (SELECT id FROM bookings WHERE status = 'PENDING'
		              ORDER BY md5(id || $1) LIMIT 1 FOR UPDATE SKIP LOCKED)`)},
	{"reprice", 1, pick(`
		UPDATE bookings SET price = price + 5
		 WHERE id = (SELECT id FROM bookings WHERE status = 'PENDING' AND price < 400
		              ORDER BY md5(id || $1) LIMIT 1 FOR UPDATE SKIP LOCKED)`)},
	{"pay", 5, pick(`
		INSERT INTO payments (booking_id, amount)
		SELECT id, price FROM bookings AS b
		 WHERE status = 'CONFIRMED' AND NOT EXISTS (SELECT FROM payments WHERE booking_id = b.id)
		 ORDER BY md5(id || $1) LIMIT 1 FOR UPDATE SKIP LOCKED
		    ON CONFLICT DO NOTHING`)},
	{"cancel", 1, cancel},
	{"complete", 4, complete},
	{"schedule payout", 4, pick(`
		INSERT INTO payouts (provider_id, payment_id, amount)
		SELECT b.provider_id, p.id, round(p.amount * 0.9, 2)
		  FROM payments AS p JOIN bookings AS b ON b.id = p.booking_id
		 WHERE p.status = 'RELEASED' AND NOT EXISTS (SELECT FROM payouts WHERE payment_id = p.id)
		 ORDER BY md5(p.id || $1) LIMIT 1 FOR UPDATE OF p SKIP LOCKED
		    ON CONFLICT DO NOTHING`)},
	{"pay out", 4, pick(`
		UPDATE payouts SET status = 'PAID'
		 WHERE id = (SELECT id FROM payouts WHERE status = 'SCHEDULED'
		              ORDER BY md5(id || $1) LIMIT 1 FOR UPDATE SKIP LOCKED)`)},
	{"archive", 4, archive},
}

// pick is a step of one statement that changes at most one row, chosen by the
// text $1.
func pick(sql string) func(context.Context, pgx.Tx, *rand.Rand) (bool, error) {
	return func(ctx context.Context, tx pgx.Tx, random *rand.Rand) (bool, error) {
		tag, err := tx.Exec(ctx, sql, strconv.FormatUint(random.Uint64(), 36))
		return tag.RowsAffected() > 0, err
	}
}

// archive deletes the oldest of the bookings that are done with, so that a demo
// that runs for days doesn't fill the disk.
func archive(ctx context.Context, tx pgx.Tx, _ *rand.Rand) (bool, error) {
	tag, err := tx.Exec(ctx, `
		DELETE FROM bookings
		 WHERE id = (SELECT id FROM bookings AS b
		              WHERE status IN ('DECLINED', 'COMPLETED', 'CANCELLED')
		                AND NOT EXISTS (SELECT FROM payments AS p LEFT JOIN payouts AS o ON o.payment_id = p.id
		                                 WHERE p.booking_id = b.id AND p.status = 'RELEASED'
		                                   AND o.status IS DISTINCT FROM 'PAID')
		              ORDER BY id DESC OFFSET $1 LIMIT 1 FOR UPDATE SKIP LOCKED)`, kept)
	return tag.RowsAffected() > 0, err
}

// kept is how many bookings that are done with stay.
const kept = 200

// services are what the providers offer.
var services = []string{"Piano lesson", "Window cleaning", "Dog walking", "Tax advice", "Bike repair", "Garden work", "Photo session", "Language lesson"}

// waiting is how many bookings may wait for their providers.
const waiting = 12

func request(ctx context.Context, tx pgx.Tx, random *rand.Rand) (bool, error) {
	tag, err := tx.Exec(ctx, `
		INSERT INTO bookings (client_id, provider_id, service, price, internal_cost, starts_at)
		SELECT (SELECT id FROM people WHERE role = 'CLIENT' ORDER BY md5(id || $1) LIMIT 1),
		       (SELECT id FROM people WHERE role = 'PROVIDER' ORDER BY md5(id || $1) LIMIT 1),
		       $2, $3::int, $3::int * 0.7, date_trunc('hour', now()) + $4::int * interval '1 hour'
		 WHERE (SELECT count(*) FROM bookings WHERE status = 'PENDING') < $5`,
		strconv.FormatUint(random.Uint64(), 36), services[random.IntN(len(services))],
		5*(4+random.IntN(40)), 24+random.IntN(300), waiting)
	return tag.RowsAffected() > 0, err
}

// complete ends a booking and releases its payment, in one transaction as a
// real application would.
func complete(ctx context.Context, tx pgx.Tx, random *rand.Rand) (bool, error) {
	return finish(ctx, tx, random, `
		UPDATE bookings SET status = 'COMPLETED'
		 WHERE id = (SELECT b.id FROM bookings AS b JOIN payments AS p ON p.booking_id = b.id
		              WHERE b.status = 'CONFIRMED' AND p.status = 'HELD'
		              ORDER BY md5(b.id || $1) LIMIT 1 FOR UPDATE OF b SKIP LOCKED)
		RETURNING id`, "RELEASED")
}

// cancel ends a booking and gives the money back, if any was paid.
func cancel(ctx context.Context, tx pgx.Tx, random *rand.Rand) (bool, error) {
	return finish(ctx, tx, random, `
		UPDATE bookings SET status = 'CANCELLED'
		 WHERE id = (SELECT id FROM bookings WHERE status IN ('PENDING', 'CONFIRMED')
		              ORDER BY md5(id || $1) LIMIT 1 FOR UPDATE SKIP LOCKED)
		RETURNING id`, "REFUNDED")
}

func finish(ctx context.Context, tx pgx.Tx, random *rand.Rand, sql, payment string) (bool, error) {
	var id int64
	err := tx.QueryRow(ctx, sql, strconv.FormatUint(random.Uint64(), 36)).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, `
		UPDATE payments SET status = $2::payment_status
		 WHERE booking_id = $1 AND status = 'HELD'`, id, payment)
	return true, err
}
