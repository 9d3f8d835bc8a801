// Package demo is the sample application of pgbell demo: a small marketplace
// ([Install]) in which people book and pay each other, and the application that
// makes them do so ([Traffic]).
//
// The application stands for anybody's. It knows nothing of pgbell: it connects
// as a role that has no right on schema pgbell, and only writes rows with plain
// SQL. Whatever a browser shows comes from those rows.
//
//	booking  PENDING ─▶ CONFIRMED ─▶ COMPLETED        PENDING ─▶ DECLINED
//	            └───────────┴──────▶ CANCELLED        PENDING ─▶ PENDING (other provider)
//	payment          HELD ─────────▶ RELEASED         HELD ────▶ REFUNDED
//	payout                             SCHEDULED ─▶ PAID
package demo
