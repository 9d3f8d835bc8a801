package triggers_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell"
	"github.com/pgbell/pgbell/triggers"
)

// Columns may be called what the functions call their own things.
func TestColumnsNamedAsInTheFunction(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, `CREATE TABLE things (id int PRIMARY KEY, r text, body text, bodies int, event text, events int, old_rows int, change int, owner text, now int, was int, parent int, "new" int)`)
	d.apply(triggers.Watch{
		Table: triggers.Name{Schema: "public", Name: "things"}, Type: "thing", AllColumns: true,
		Owners: []triggers.Owner{{Audience: "client", Column: "owner"}},
	})
	events := d.do(`INSERT INTO things VALUES (1, 'r', 'b', 2, 'e', 9, 3, 4, 'u', 5, 6, 7, 8)`)
	require.Len(t, events, 1)
	require.Equal(t, pgbell.Insert, events[0].Op, events[0].Error)
	require.JSONEq(t, `{"id":1,"r":"r","body":"b","bodies":2,"event":"e","events":9,"old_rows":3,"change":4,"owner":"u","now":5,"was":6,"parent":7,"new":8}`, string(events[0].Data))
	events = d.do(`UPDATE things SET r = 's', "new" = 9`)
	require.Len(t, events, 1)
	require.JSONEq(t, `{"r":"r","new":8}`, string(events[0].Old), events[0].Error)
}
