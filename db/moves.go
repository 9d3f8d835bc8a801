package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// SettleEvery is how often [Log.SettleOwnerMoves] is to be called. A reset that
// it records comes at most two calls after the last transaction that took part.
const SettleEvery = 1500 * time.Millisecond

// SettleOwnerMoves records a reset for the owners of rows that somebody changed
// while somebody else gave their parent to another owner, once all who took
// part have ended; docs/event-log.md has the rule. It returns how many resets.
//
// Every node may call it, at any time: they share the work and do none twice.
// It waits for nobody, and nobody for it. While no owner moves it only reads an
// empty table. The connection must not be in a transaction. The role needs
// EXECUTE on pgbell.settle_owner_moves().
func (Log) SettleOwnerMoves(ctx context.Context, conn *pgx.Conn) (resets int64, err error) {
	if err := conn.QueryRow(ctx, "SELECT pgbell.settle_owner_moves()").Scan(&resets); err != nil {
		return 0, fmt.Errorf("settle moves of owners: %w", err)
	}
	return resets, nil
}
