package rig

import "context"

// marketplace is what the application had, plus a floor beside it: a second
// table of the same shape whose trigger only rings, with the row as payload.
const marketplace = `
CREATE TABLE public.bookings (
    id          bigint PRIMARY KEY,
    client_id   text NOT NULL,
    provider_id text NOT NULL,
    status      text NOT NULL,
    price       numeric(10, 2) NOT NULL,
    starts_at   timestamptz NOT NULL DEFAULT now()
);
INSERT INTO public.bookings SELECT i, 'c' || i, 'p' || i, 'PENDING', 10 FROM generate_series(1, 100) AS i;

CREATE TABLE public.floor (LIKE public.bookings INCLUDING ALL);
INSERT INTO public.floor SELECT * FROM public.bookings;

CREATE FUNCTION public.ring_floor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('floor', json_build_object(
        'at', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        'data', row_to_json(NEW))::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER ring AFTER UPDATE ON public.floor FOR EACH ROW EXECUTE FUNCTION public.ring_floor();
`

// watched is the configuration for the first table.
const watched = `tables:
  public.bookings:
    type: booking
    owners: {client: client_id, provider: provider_id}
    columns: [id, client_id, provider_id, status, price, starts_at]
`

// Marketplace makes a database with 100 bookings that pgbell watches, c1 being
// the client and p1 the provider of the first, and a table floor beside it.
func (r *Rig) Marketplace(ctx context.Context) (*Database, error) {
	d, err := r.Database(ctx, "marketplace", marketplace)
	if err != nil {
		return nil, err
	}
	if err := d.Install(ctx, watched); err != nil {
		return nil, err
	}
	return d, nil
}
