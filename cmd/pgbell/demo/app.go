package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxRequest bounds a request's body in bytes.
const maxRequest = 4 << 10

// App is the sample application behind the dashboards' buttons. It writes rows
// and answers with nothing: what has changed reaches the dashboards from
// Postgres, as it reaches everybody else's.
//
//	POST /demo/api/bookings                {provider_id, service, price}
//	POST /demo/api/bookings/{id}/{action}  accept, decline, cancel, pay, release
//
// Whoever asks shows a token. The answer is 204, 401, 409 if the booking is not
// theirs or not in a state for it, or 400.
type App struct {
	// Pool reaches the marketplace, as [Role]. See [Open].
	Pool *pgxpool.Pool
	// User returns who the bearer of a token is.
	User func(ctx context.Context, token string) (string, error)
	// Logger hears of writes that fail. Default: nobody does.
	Logger *slog.Logger
}

// actions are the statements of each action, in one transaction. The first has
// to change a row. $1 is the booking, $2 the user.
var actions = map[string][]string{
	"accept": {`
		UPDATE bookings SET status = 'CONFIRMED', provider_note = 'Bring the invoice.'
		 WHERE id = $1 AND provider_id = $2 AND status = 'PENDING'`},
	"decline": {`
		UPDATE bookings SET status = 'DECLINED'
		 WHERE id = $1 AND provider_id = $2 AND status = 'PENDING'`},
	"cancel": {`
		UPDATE bookings SET status = 'CANCELLED'
		 WHERE id = $1 AND $2 IN (client_id, provider_id) AND status IN ('PENDING', 'CONFIRMED')`, `
		UPDATE payments SET status = 'REFUNDED'
		 WHERE booking_id = $1 AND $2 <> '' AND status = 'HELD'`},
	"pay": {`
		INSERT INTO payments (booking_id, amount)
		SELECT id, price FROM bookings
		 WHERE id = $1 AND client_id = $2 AND status = 'CONFIRMED'
		    ON CONFLICT DO NOTHING`},
	"release": {`
		UPDATE payments AS p SET status = 'RELEASED'
		  FROM bookings AS b
		 WHERE b.id = p.booking_id AND b.id = $1 AND b.client_id = $2 AND b.status = 'CONFIRMED' AND p.status = 'HELD'`, `
		UPDATE bookings SET status = 'COMPLETED'
		 WHERE id = $1 AND client_id = $2`, `
		INSERT INTO payouts (provider_id, payment_id, amount)
		SELECT b.provider_id, p.id, round(p.amount * 0.9, 2)
		  FROM payments AS p JOIN bookings AS b ON b.id = p.booking_id
		 WHERE b.id = $1 AND b.client_id = $2
		    ON CONFLICT DO NOTHING`},
}

// errNotNow says that there is no such booking for this user in this state.
var errNotNow = errors.New("the booking is not yours, or is past this step")

// Open connects the application to the marketplace at url.
func Open(ctx context.Context, url string, connections int) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("connect the application: %w", err)
	}
	config.MaxConns = int32(connections)
	config.ConnConfig.RuntimeParams["application_name"] = Role
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `SET ROLE `+Role+`; SET search_path = public`)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect the application: %w", err)
	}
	return pool, nil
}

// Handle adds the application to mux.
func (a *App) Handle(mux *http.ServeMux) {
	mux.HandleFunc("POST /demo/api/bookings", a.as(func(r *http.Request, user string) error {
		var wish struct {
			Provider string  `json:"provider_id"`
			Service  string  `json:"service"`
			Price    float64 `json:"price"`
		}
		if err := json.NewDecoder(r.Body).Decode(&wish); err != nil {
			return errBadRequest
		}
		return a.write(r.Context(), []string{`
			INSERT INTO bookings (client_id, provider_id, service, price, starts_at)
			SELECT c.id, p.id, left($3, 100), $4::float8::numeric, date_trunc('hour', now()) + interval '1 day'
			  FROM people AS c, people AS p
			 WHERE c.id = $2 AND c.role = 'CLIENT' AND p.id = $1 AND p.role = 'PROVIDER' AND $4 BETWEEN 1 AND 9999`},
			wish.Provider, user, wish.Service, wish.Price)
	}))
	mux.HandleFunc("POST /demo/api/bookings/{id}/{action}", a.as(func(r *http.Request, user string) error {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		statements := actions[r.PathValue("action")]
		if err != nil || statements == nil {
			return errBadRequest
		}
		return a.write(r.Context(), statements, id, user)
	}))
}

// errBadRequest says that a request makes no sense.
var errBadRequest = errors.New("the request could not be understood")

// as finds out who asks and answers for what was done.
func (a *App) as(do func(r *http.Request, user string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		const scheme = "Bearer "
		header := r.Header.Get("Authorization")
		if len(header) <= len(scheme) || header[:len(scheme)] != scheme {
			answer(w, http.StatusUnauthorized, "send a token")
			return
		}
		user, err := a.User(r.Context(), header[len(scheme):])
		if err != nil {
			answer(w, http.StatusUnauthorized, "the token is not accepted")
			return
		}
		switch err := do(r, user); {
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case errors.Is(err, errNotNow):
			answer(w, http.StatusConflict, err.Error())
		case errors.Is(err, errBadRequest):
			answer(w, http.StatusBadRequest, err.Error())
		default:
			if a.Logger != nil {
				a.Logger.WarnContext(r.Context(), "the sample application failed", "error", err)
			}
			answer(w, http.StatusInternalServerError, "the marketplace is out of order")
		}
	}
}

// write runs the statements of one action.
func (a *App) write(ctx context.Context, statements []string, args ...any) error {
	return pgx.BeginFunc(ctx, a.Pool, func(tx pgx.Tx) error {
		for i, sql := range statements {
			tag, err := tx.Exec(ctx, sql, args...)
			if err != nil {
				return fmt.Errorf("write rows: %w", err)
			}
			if i == 0 && tag.RowsAffected() == 0 {
				return errNotNow
			}
		}
		return nil
	})
}

func answer(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // the browser is gone if this fails
}
