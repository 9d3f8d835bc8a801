-- The marketplace: what an application of this kind may have had for years
-- before it heard of pgbell.

CREATE TABLE public.people (
    id   text PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('CLIENT', 'PROVIDER', 'ADMIN'))
);
COMMENT ON TABLE public.people IS 'pgbell demo: who logs in. A token''s subject is an id of this table.';

CREATE TYPE public.booking_status AS ENUM ('PENDING', 'CONFIRMED', 'DECLINED', 'COMPLETED', 'CANCELLED');

CREATE TABLE public.bookings (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id     text                  NOT NULL REFERENCES public.people,
    provider_id   text                  NOT NULL REFERENCES public.people,
    service       text                  NOT NULL,
    status        public.booking_status NOT NULL DEFAULT 'PENDING',
    price         numeric(10, 2)        NOT NULL CHECK (price > 0),
    starts_at     timestamptz           NOT NULL,
    provider_note text,
    internal_cost numeric(10, 2),
    created_at    timestamptz           NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.bookings IS 'pgbell demo: a client books a provider.';
COMMENT ON COLUMN public.bookings.provider_note IS 'The provider''s own; the client never sees it.';
COMMENT ON COLUMN public.bookings.internal_cost IS 'Nobody''s but ours; it never leaves the database.';
CREATE INDEX ON public.bookings (client_id);
CREATE INDEX ON public.bookings (provider_id);
CREATE INDEX ON public.bookings (status);

CREATE TYPE public.payment_status AS ENUM ('HELD', 'RELEASED', 'REFUNDED');

-- No column here says whose payment it is: its booking does.
CREATE TABLE public.payments (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    booking_id bigint                NOT NULL UNIQUE REFERENCES public.bookings ON DELETE CASCADE,
    amount     numeric(10, 2)        NOT NULL CHECK (amount > 0),
    status     public.payment_status NOT NULL DEFAULT 'HELD',
    created_at timestamptz           NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.payments IS 'pgbell demo: what a client paid for a booking.';
CREATE INDEX ON public.payments (status);

CREATE TYPE public.payout_status AS ENUM ('SCHEDULED', 'PAID');

CREATE TABLE public.payouts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider_id text                 NOT NULL REFERENCES public.people,
    payment_id  bigint UNIQUE        REFERENCES public.payments ON DELETE CASCADE,
    amount      numeric(10, 2)       NOT NULL CHECK (amount > 0),
    status      public.payout_status NOT NULL DEFAULT 'SCHEDULED',
    created_at  timestamptz          NOT NULL DEFAULT now()
);
COMMENT ON TABLE public.payouts IS 'pgbell demo: what a provider receives for a payment.';
CREATE INDEX ON public.payouts (provider_id);
CREATE INDEX ON public.payouts (status);

INSERT INTO public.people (id, name, role) VALUES
    ('anna',  'Anna Brandt',     'CLIENT'),
    ('bilal', 'Bilal Aziz',      'CLIENT'),
    ('carla', 'Carla Mendes',    'CLIENT'),
    ('deniz', 'Deniz Kaya',      'CLIENT'),
    ('paul',  'Paul Lindqvist',  'PROVIDER'),
    ('quinn', 'Quinn O''Neill',  'PROVIDER'),
    ('rosa',  'Rosa Ferrari',    'PROVIDER'),
    ('alice', 'Alice Nakamura',  'ADMIN');

-- Something to change by hand right away.
INSERT INTO public.bookings (client_id, provider_id, service, status, price, starts_at) VALUES
    ('anna',  'paul',  'Piano lesson',   'PENDING',   60.00, now() + interval '1 day'),
    ('bilal', 'quinn', 'Window cleaning', 'CONFIRMED', 90.00, now() + interval '2 days');
INSERT INTO public.payments (booking_id, amount, status) VALUES (2, 90.00, 'HELD');
