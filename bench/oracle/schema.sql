-- A marketplace in small, with the shapes that go wrong most easily: two owners
-- of a row who each have a column of their own, ownership through a foreign key
-- that cascades, and names in mixed case with a key of two columns.
--
-- Text that somebody must not see names itself: a tag, t~client~provider~…,
-- names everybody who may see the row; CN~client~… and PN~provider~… the one
-- who may see the column; SECRET~ must be seen by nobody.
CREATE SCHEMA market;

CREATE TABLE market.orders (
    id            bigint PRIMARY KEY,
    client_id     text,
    provider_id   text,
    status        text    NOT NULL DEFAULT 'NEW',
    price         numeric NOT NULL DEFAULT 0,
    tag           text    NOT NULL,
    client_note   text,
    provider_note text,
    secret        text    NOT NULL DEFAULT 'SECRET~'
);

CREATE TABLE market.items (
    id            bigint PRIMARY KEY,
    order_id      bigint  NOT NULL REFERENCES market.orders ON DELETE CASCADE ON UPDATE CASCADE,
    amount        numeric NOT NULL DEFAULT 0,
    tag           text    NOT NULL,
    provider_note text,
    secret        text    NOT NULL DEFAULT 'SECRET~'
);
CREATE INDEX ON market.items (order_id);

CREATE TABLE market."Stock Levels" (
    "Shop"    text,
    "Sku"     integer,
    "ownerId" text,
    qty       integer NOT NULL DEFAULT 0,
    tag       text    NOT NULL,
    "Secret"  text    NOT NULL DEFAULT 'SECRET~',
    PRIMARY KEY ("Shop", "Sku")
);
CREATE INDEX ON market."Stock Levels" ("ownerId");
