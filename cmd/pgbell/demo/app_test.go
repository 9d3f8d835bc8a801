package demo_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/cmd/pgbell/demo"
	"github.com/pgbell/pgbell/db/pgtest"
)

// The whole life of a booking by clicks, and every click that is not allowed.
func TestApp(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url := pgtest.Empty(t)
	conn := pgtest.Connect(t, url)
	require.NoError(t, demo.Install(ctx, conn))
	pool, err := demo.Open(ctx, url, 2)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	app := &demo.App{Pool: pool, User: func(_ context.Context, token string) (string, error) {
		if token == "bad" {
			return "", errors.New("bad")
		}
		return token, nil
	}}
	mux := http.NewServeMux()
	app.Handle(mux)
	post := func(token, path, body string) int {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/demo/api/bookings"+path, strings.NewReader(body))
		r.Header.Set("Authorization", token)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w.Code
	}
	const wish = `{"provider_id": "paul", "service": "Piano lesson", "price": 60.5}`

	require.Equal(t, 401, post("", "", wish))
	require.Equal(t, 401, post("Bearer bad", "", wish))
	require.Equal(t, 400, post("Bearer anna", "", `{`))
	require.Equal(t, 400, post("Bearer anna", "/1/steal", ``))
	require.Equal(t, 400, post("Bearer anna", "/x/cancel", ``))
	require.Equal(t, 409, post("Bearer paul", "", wish), "a provider books nobody")
	require.Equal(t, 204, post("Bearer anna", "", wish))

	var id int64
	require.NoError(t, conn.QueryRow(ctx, `SELECT max(id) FROM bookings WHERE price = 60.5`).Scan(&id))
	click := func(user, action string) int { return post("Bearer "+user, fmt.Sprintf("/%d/%s", id, action), ``) }
	for _, step := range []struct {
		user, action string
		want         int
	}{
		{"anna", "accept", 409},
		{"quinn", "accept", 409},
		{"anna", "pay", 409},
		{"paul", "accept", 204},
		{"paul", "accept", 409},
		{"paul", "decline", 409},
		{"anna", "release", 409},
		{"bilal", "pay", 409},
		{"anna", "pay", 204},
		{"anna", "pay", 409},
		{"bilal", "cancel", 409},
		{"paul", "release", 409},
		{"anna", "release", 204},
		{"anna", "cancel", 409},
	} {
		require.Equal(t, step.want, click(step.user, step.action), "%s %s", step.user, step.action)
	}
	var booking, payment string
	var payout float64
	require.NoError(t, conn.QueryRow(ctx, `
		SELECT b.status, p.status, o.amount
		  FROM bookings AS b JOIN payments AS p ON p.booking_id = b.id JOIN payouts AS o ON o.payment_id = p.id
		 WHERE b.id = $1`, id).Scan(&booking, &payment, &payout))
	require.Equal(t, "COMPLETED RELEASED 54.45", fmt.Sprint(booking, " ", payment, " ", payout))

	// Booking 2 of the sample is confirmed and paid for.
	require.Equal(t, 204, post("Bearer quinn", "/2/cancel", ``))
	require.NoError(t, conn.QueryRow(ctx, `SELECT status FROM payments WHERE booking_id = 2`).Scan(&payment))
	require.Equal(t, "REFUNDED", payment)
}
