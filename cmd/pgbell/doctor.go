package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell/cmd/pgbell/config"
	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/triggers"
)

type doctorCommand struct {
	Duty string `enum:"server,reader" default:"server" placeholder:"DUTY" help:"What the connected role is there for, server or reader: which privileges it should have."`
	JSON bool   `help:"One JSON document."`
}

// errUnwell ends doctor when something does not work.
const errUnwell = shownError("something does not work")

// Run looks at everything, also when some of it fails.
func (c *doctorCommand) Run(ctx context.Context, a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	url, err := databaseURL(cfg.Settings)
	if err != nil {
		return err
	}
	findings, err := examine(ctx, url, cfg, db.Duty(c.Duty))
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(a.stdout, struct {
			Worst    db.Level     `json:"worst"`
			Findings []db.Finding `json:"findings"`
		}{db.Worst(findings), findings})
	} else {
		err = printFindings(&printer{w: a.stdout, colours: a.colours(a.stdout)}, findings)
	}
	if err == nil && db.Worst(findings) == db.Error {
		return errUnwell
	}
	return err
}

// examine collects the findings. An error is that of being interrupted.
func examine(ctx context.Context, url string, cfg *config.Config, duty db.Duty) ([]db.Finding, error) {
	conn, err := db.Connect(ctx, url, db.Options{ApplicationName: "pgbell doctor"})
	if err != nil {
		return []db.Finding{{Level: db.Error, Check: "connection", What: oneLine(err), Remedy: "correct the URL, start the server, or let its pg_hba.conf admit this machine"}}, ctx.Err()
	}
	defer closeConn(ctx, conn)
	all := []db.Finding{{Level: db.OK, Check: "connection", What: fmt.Sprintf("connected to database %q as %q", conn.Config().Database, conn.Config().User)}}
	if f, err := db.Pooler(ctx, url); err != nil {
		all = append(all, db.Finding{Level: db.Warning, Check: "pooler", What: "it could not be tried whether notifications arrive: " + oneLine(err)})
	} else {
		all = append(all, f)
	}
	all = append(all, examineSchema(ctx, cfg.Settings))
	watched, err := watches(ctx, conn, cfg)
	if err != nil {
		all = append(all, db.Finding{Level: db.Error, Check: "tables", What: oneLine(err), Remedy: "pgbell init writes a configuration from the database"})
	}
	findings, err := db.Checkup(ctx, conn, db.CheckupOptions{Tables: tables(watched), Duty: duty})
	all = append(all, findings...)
	if err != nil {
		return all, err
	}
	if len(watched) > 0 {
		all = append(all, examineTriggers(ctx, conn, cfg, watched)...)
	}
	return all, ctx.Err()
}

func examineSchema(ctx context.Context, s config.Settings) db.Finding {
	m, err := newMigrator(s)
	if err == nil {
		err = m.Check(ctx)
	}
	switch {
	case errors.Is(err, db.ErrSchema):
		return db.Finding{Level: db.Error, Check: "schema", What: oneLine(err), Remedy: "pgbell migrate up, as the role that owns schema pgbell"}
	case err != nil:
		return db.Finding{Level: db.Error, Check: "schema", What: oneLine(err)}
	}
	return db.Finding{Level: db.OK, Check: "schema", What: "schema pgbell is the one that this version needs"}
}

// examineTriggers tells how the triggers differ from the configuration, and
// what they cannot see.
func examineTriggers(ctx context.Context, conn *pgx.Conn, cfg *config.Config, watched []triggers.Watch) []db.Finding {
	var all []db.Finding
	add := func(level db.Level, what, remedy string) {
		all = append(all, db.Finding{Level: level, Check: "triggers", What: what, Remedy: remedy})
	}
	const apply = "pgbell triggers plan, then apply, as the role that owns schema pgbell"
	changes, err := triggers.Verify(ctx, conn, watched)
	if mistakes, ok := err.(interface{ Unwrap() []error }); ok {
		for _, mistake := range mistakes.Unwrap() {
			if errors.Is(mistake, triggers.ErrRole) {
				add(db.Note, "this role may not see drift, nor apply: "+oneLine(mistake), "")
				continue
			}
			add(db.Error, oneLine(locate(cfg, errors.Join(mistake))), "correct the configuration")
		}
		return append(all, examineStates(ctx, conn, watched)...)
	}
	if err != nil {
		add(db.Note, "drift is not to be seen by this role: "+oneLine(err), "pgbell doctor as the role that owns schema pgbell, too")
		return append(all, examineStates(ctx, conn, watched)...)
	}
	for _, c := range changes {
		// A missing or disabled trigger is what Blind tells of.
		if c.Kind != triggers.Enable && (c.Kind != triggers.Create || !strings.HasPrefix(c.Object, "trigger ")) {
			add(db.Warning, c.Object+": "+c.Why, apply)
		}
	}
	blind, err := triggers.Blind(ctx, conn, watched)
	if err != nil {
		add(db.Warning, "it cannot be told which writes make no events: "+oneLine(err), "")
	}
	for _, f := range blind {
		if f.Kind == triggers.BlindSwitch {
			continue // told by the switches
		}
		level := db.Warning
		if f.Kind == triggers.BlindTrigger {
			level = db.Error
		}
		add(level, f.Missed, f.Remedy)
	}
	if all == nil {
		add(db.OK, "the triggers are as the configuration asks, and see every write", "")
	}
	return all
}

// examineStates tells which triggers do not fire, for a role that may know no
// more.
func examineStates(ctx context.Context, conn *pgx.Conn, watched []triggers.Watch) []db.Finding {
	var all []db.Finding
	for _, w := range watched {
		states, err := db.TriggerStates(ctx, conn, w.Table.Schema, w.Table.Name)
		if err != nil {
			all = append(all, db.Finding{Level: db.Warning, Check: "triggers", What: oneLine(err)})
		}
		for _, s := range states {
			if !s.Fires() {
				all = append(all, db.Finding{Level: db.Error, Check: "triggers", What: fmt.Sprintf("no event comes of %s on %s: its trigger is %s", s.Operation, w.Table, s.State), Remedy: "pgbell triggers apply, as the role that owns schema pgbell"})
			}
		}
	}
	return all
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func printFindings(p *printer, findings []db.Finding) error {
	colours := map[db.Level]string{db.OK: green, db.Note: cyan, db.Warning: yellow, db.Error: red}
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s  %-12s  %s\n", p.paint(colours[f.Level], fmt.Sprintf("%-7s", f.Level)), f.Check, printable(f.What))
		if f.Remedy != "" {
			fmt.Fprintf(&b, "%s  %s\n", strings.Repeat(" ", 21), p.paint(faint, "→ "+printable(f.Remedy)))
		}
	}
	_, err := fmt.Fprint(p.w, b.String())
	return err
}

// printJSON writes one document, indented for whoever looks.
func printJSON(w io.Writer, document any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(document)
}
