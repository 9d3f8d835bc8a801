package triggers_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db/pgtest"
	"github.com/pgbell/pgbell/triggers"
)

// Who may not manage the triggers hears which role may, from planning and from
// applying, and nothing changes.
func TestWrongRole(t *testing.T) {
	t.Parallel()
	d := newDatabase(t, `CREATE TABLE things (id int PRIMARY KEY);
		CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
		CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (9)`)
	owner, app, other := pgtest.NewRole(t, d.url), pgtest.NewRole(t, d.url), pgtest.NewRole(t, d.url)
	things := triggers.Watch{Table: name("things"), Type: "thing", AllColumns: true}
	parts := triggers.Watch{Table: name("parts"), Type: "part", AllColumns: true}
	d.exec(`ALTER TABLE things OWNER TO ` + app.Name + `; ALTER TABLE parts OWNER TO ` + app.Name + `; ALTER TABLE part OWNER TO ` + other.Name)
	asOwner, asApp := pgtest.Connect(t, owner.URL), pgtest.Connect(t, app.URL)
	before := pgtest.ReadCatalog(t, d.url)

	// It owns the table and not the schema.
	refused := func(err error, sentences ...string) {
		t.Helper()
		require.ErrorIs(t, err, triggers.ErrRole)
		for _, sentence := range sentences {
			require.ErrorContains(t, err, sentence)
		}
	}
	_, err := triggers.NewPlan(t.Context(), asApp, []triggers.Watch{things})
	refused(err, "role "+app.Name+" may create nothing in schema pgbell: do this as role postgres, which owns the schema")
	_, err = triggers.Apply(t.Context(), asApp, []triggers.Watch{things}, triggers.ApplyOptions{})
	refused(err, "do this as role postgres")
	require.Empty(t, before.Difference(pgtest.ReadCatalog(t, d.url)))

	// It may create in the schema and not write the log: its functions would
	// fail every write.
	d.exec(`GRANT USAGE, CREATE ON SCHEMA pgbell TO ` + owner.Name)
	_, err = triggers.NewPlan(t.Context(), asOwner, []triggers.Watch{things})
	refused(err, "role "+owner.Name+" may not write the event log")

	// It may all of that and owns no table. TRIGGER is not enough: comments
	// are the owner's.
	d.exec(`GRANT INSERT, SELECT ON ALL TABLES IN SCHEMA pgbell TO ` + owner.Name + `; GRANT SELECT ON ALL SEQUENCES IN SCHEMA pgbell TO ` + owner.Name + `;
		GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgbell TO ` + owner.Name + `; GRANT ALL ON things, parts TO ` + owner.Name)
	before = pgtest.ReadCatalog(t, d.url)
	sentence := "public.things: it belongs to role " + app.Name + ", and role " + owner.Name + " is no member of it: only the owner of a table may manage its triggers; have an administrator run GRANT " + app.Name + " TO " + owner.Name
	_, err = triggers.NewPlan(t.Context(), asOwner, []triggers.Watch{things})
	require.EqualError(t, err, sentence)
	_, err = triggers.Apply(t.Context(), asOwner, []triggers.Watch{things, parts}, triggers.ApplyOptions{})
	refused(err, sentence, "public.parts: it belongs to role "+app.Name)
	d.exec(`GRANT ` + app.Name + ` TO ` + owner.Name)
	_, err = triggers.Apply(t.Context(), asOwner, []triggers.Watch{parts}, triggers.ApplyOptions{})
	refused(err, "public.parts: its partition public.part belongs to role "+other.Name)
	d.exec(`REVOKE ` + app.Name + ` FROM ` + owner.Name)
	require.Empty(t, before.Difference(pgtest.ReadCatalog(t, d.url)))

	// A member of the table's owner may. Then the functions are its own, and
	// other roles leave them alone.
	d.exec(`GRANT ` + app.Name + `, ` + other.Name + ` TO ` + owner.Name)
	_, err = triggers.Apply(t.Context(), asOwner, []triggers.Watch{things, parts}, triggers.ApplyOptions{})
	require.NoError(t, err)
	require.Len(t, d.do(`INSERT INTO things VALUES (1)`), 1)
	d.exec(`REVOKE ` + app.Name + `, ` + other.Name + ` FROM ` + owner.Name)
	before = pgtest.ReadCatalog(t, d.url)
	_, err = triggers.Remove(t.Context(), asOwner, triggers.ApplyOptions{})
	refused(err, "public.things: it belongs to role "+app.Name, "public.part: it belongs to role "+other.Name)
	require.Empty(t, before.Difference(pgtest.ReadCatalog(t, d.url)))

	// The same for functions of somebody else.
	d.exec(`GRANT ` + app.Name + `, ` + other.Name + ` TO ` + owner.Name + `; ALTER FUNCTION pgbell."public.things"() OWNER TO postgres; COMMENT ON FUNCTION pgbell."public.things"() IS 'changed'`)
	_, err = triggers.NewPlan(t.Context(), asOwner, []triggers.Watch{things, parts})
	refused(err, `function pgbell."public.things"() belongs to role postgres`, "OWNER TO "+owner.Name)
	d.apply(things, parts)
	d.exec(`ALTER FUNCTION pgbell."public.things"() OWNER TO ` + owner.Name)

	// A function whose owner lost its rights fails writes. That is drift, and
	// applying mends it.
	d.exec(`REVOKE INSERT ON pgbell.events FROM ` + owner.Name)
	_, err = d.conn.Exec(t.Context(), `INSERT INTO things VALUES (2)`)
	require.ErrorContains(t, err, "permission denied")
	plan := d.plan(things, parts)
	require.Len(t, plan.Changes, 2)
	require.Contains(t, plan.Changes[1].Why, "its owner, role "+owner.Name+", may not write the event log")
	d.apply(things, parts)
	require.Empty(t, d.plan(things, parts).Changes)
	require.Len(t, d.do(`INSERT INTO things VALUES (2)`), 1)
}
