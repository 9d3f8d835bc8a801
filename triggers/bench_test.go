package triggers_test

import (
	"fmt"
	"testing"

	"github.com/pgbell/pgbell/triggers"
)

// What a statement costs without triggers and with them, nobody listening.
func BenchmarkUpdate(b *testing.B) {
	for _, rows := range []int{1, 100_000} {
		for _, what := range []string{"bare", "owned", "ruled", "notified", "via"} {
			b.Run(fmt.Sprintf("rows=%d/%s", rows, what), func(b *testing.B) {
				d := newDatabase(b, marketplace+`
					INSERT INTO bookings SELECT n, 'c' || n % 1000, 'p' || n % 100, 'PENDING', n, now(), 'note', 'secret' FROM generate_series(1, 100000) AS n;
					ALTER TABLE payments DROP COLUMN id, ADD COLUMN id bigint; INSERT INTO payments (id, booking_id) SELECT n, n FROM generate_series(1, 100000) AS n;
					ALTER TABLE payments ADD PRIMARY KEY (id);`)
				d.exec("VACUUM ANALYZE")
				table := "bookings"
				switch what {
				case "owned":
					d.apply(bookings)
				case "ruled": // by a rule that never fires
					d.apply(with(bookings, triggers.Notification{Action: "accepted", To: "client", Title: []triggers.Part{words("Booking "), value("id")}}))
				case "notified": // each row makes a notification
					d.apply(with(bookings, triggers.Notification{Action: "updated", To: "client", Title: []triggers.Part{words("Booking "), value("id")}}))
				case "via":
					d.apply(triggers.Watch{Table: payments.Table, Type: "payment", Owners: payments.Owners, Columns: payments.Columns})
					table = "payments"
				}
				column := map[string]string{"bookings": "price", "payments": "amount"}[table]
				for b.Loop() {
					d.exec(fmt.Sprintf("UPDATE %s SET %s = %s + 1 WHERE id <= %d", table, column, column, rows))
				}
			})
		}
	}
}
