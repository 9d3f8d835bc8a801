package main

import (
	"fmt"
	"slices"
	"strings"
)

// variant is one way of telling changes, or none.
type variant struct {
	name string
	// sql is what is put into the database after the table.
	sql string
	// watched has pgbell installed, served that it runs.
	watched, served bool
	// rules are added to the configuration.
	rules string
	// ear is how changes are heard: the first argument of the peer. Empty:
	// nobody hears them.
	ear string
}

// owner is the user whose rows the client of pgbell hears: one in a hundred.
const owner = "c1"

// schema is the table, with rows of a hundred clients and a thousand providers.
const schema = `
CREATE TABLE public.bookings (
    id          bigint PRIMARY KEY,
    client_id   text NOT NULL,
    provider_id text NOT NULL,
    status      text NOT NULL,
    price       numeric(10, 2) NOT NULL,
    starts_at   timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO public.bookings SELECT i, 'c' || i %% 100, 'p' || i %% 1000, 'PENDING', 10 FROM generate_series(1, %d) AS i;
CREATE INDEX ON public.bookings (client_id);
CREATE INDEX ON public.bookings (provider_id);
`

// configuration watches it.
const configuration = `tables:
  public.bookings:
    type: booking
    owners: {client: client_id, provider: provider_id}
    columns: [id, client_id, provider_id, status, price, starts_at, updated_at]
`

// One rule that an update of a price never fires, and one that it always does.
const (
	idleRule = `notifications:
  - {on: booking.status_changed, to: client, title: "Booking {id}", message: "It is {status} now."}
`
	busyRule = `notifications:
  - {on: booking.updated, to: client, title: "Booking {id}", message: "It costs {price} now."}
`
)

// notifySQL is the trigger of many tutorials.
const notifySQL = `
CREATE FUNCTION public.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('changes', row_to_json(NEW)::text);
    RETURN NEW;
END
$$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.bookings FOR EACH ROW EXECUTE FUNCTION public.tell();
`

// outboxSQL is the one of those who met the limit of 8000 bytes.
const outboxSQL = `
CREATE TABLE public.outbox (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body json NOT NULL
);
CREATE FUNCTION public.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.outbox (body) VALUES (row_to_json(NEW));
    NOTIFY changes;
    RETURN NEW;
END
$$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE ON public.bookings FOR EACH ROW EXECUTE FUNCTION public.tell();
`

// The variants that others are compared with.
const (
	bare   = "bare"
	served = "pgbell"
	notify = "notify"
)

// variants are measured by default.
var variants = []variant{
	{name: bare},
	{name: served, watched: true, served: true, ear: byWebSocket},
	{name: "unserved", watched: true},
	{name: notify, sql: notifySQL, ear: byNotify},
	{name: "outbox", sql: outboxSQL, ear: byOutbox},
}

// further are measured if they are asked for: what rules that make notifications
// add to unserved.
var further = []variant{
	{name: "ruled", watched: true, rules: idleRule},
	{name: "notified", watched: true, rules: busyRule},
}

// choose finds variants by their names.
func choose(text string) ([]variant, error) {
	all := slices.Concat(variants, further)
	var chosen []variant
	for name := range strings.SplitSeq(text, ",") {
		i := slices.IndexFunc(all, func(v variant) bool { return v.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no variant %q, only %s", name, names(all))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func names(of []variant) string {
	var all []string
	for _, v := range of {
		all = append(all, v.name)
	}
	return strings.Join(all, ",")
}
