package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/triggers"
)

type triggersStatus struct {
	Measure bool `help:"Also measure what the triggers cost, on a temporary copy of some rows; everything is rolled back."`
	JSON    bool `help:"One JSON document."`
}

// statusReport is what status prints.
type statusReport struct {
	Tables     []tableReport      `json:"tables"`
	Log        db.LogSize         `json:"log"`
	Partitions []db.LogSize       `json:"partitions"`
	Listeners  []db.ListenerState `json:"listeners"`
	Queue      float64            `json:"notify_queue"`
}

// tableReport is one watched table, or another that has triggers of ours:
// because owners are found in it, or because it was watched.
type tableReport struct {
	db.TableActivity
	// Type is empty if the configuration does not watch the table.
	Type string `json:"type,omitempty"`
	// Drift is how the triggers differ from what the configuration asks for;
	// nil if that is unknown.
	Drift []driftReport `json:"drift"`
	// Mistake is what is wrong with the configuration of the table.
	Mistake string `json:"mistake,omitempty"`
	// Cost was measured, or could not be.
	Cost        *db.Cost `json:"cost,omitempty"`
	CostMistake string   `json:"cost_mistake,omitempty"`
}

type driftReport struct {
	Object string `json:"object"`
	Why    string `json:"why"`
}

// Run prints what the view says and how the triggers differ from the
// configuration.
func (c *triggersStatus) Run(ctx context.Context, a *app) error {
	return a.withWatches(ctx, func(conn *pgx.Conn, watches []triggers.Watch) error {
		status, err := db.ReadStatus(ctx, conn)
		if err != nil {
			return err
		}
		drift, err := triggers.Status(ctx, conn, watches)
		if err != nil {
			// A reader may not know. The rest is worth having.
			fmt.Fprintln(a.stderr, "pgbell: warning: drift is unknown: "+oneLine(err))
		}
		report := newStatusReport(status, watches, drift)
		if c.Measure {
			report.measure(ctx, conn, watches)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if c.JSON {
			return printJSON(a.stdout, report)
		}
		return report.print(a.stdout, time.Now())
	})
}

func newStatusReport(status db.Status, watches []triggers.Watch, drift []triggers.TableStatus) *statusReport {
	r := &statusReport{Log: status.Log, Partitions: status.Partitions, Listeners: status.Listeners, Queue: status.Queue}
	others := status.Tables
	for _, w := range watches {
		t := tableReport{Type: w.Type, TableActivity: db.TableActivity{Table: w.Table.String(), Triggers: "missing"}}
		if i := slices.IndexFunc(others, func(a db.TableActivity) bool { return a.Table == t.Table }); i >= 0 {
			t.TableActivity = others[i]
			others = slices.Delete(slices.Clone(others), i, i+1)
		}
		if i := slices.IndexFunc(drift, func(s triggers.TableStatus) bool { return s.Table == w.Table }); i >= 0 {
			t.judge(drift[i])
		}
		r.Tables = append(r.Tables, t)
	}
	for _, other := range others {
		r.Tables = append(r.Tables, tableReport{TableActivity: other})
	}
	return r
}

func (t *tableReport) judge(s triggers.TableStatus) {
	if s.Err != nil {
		t.Mistake = strings.ReplaceAll(s.Err.Error(), "\n", "; ")
		return
	}
	t.Drift = []driftReport{}
	for _, d := range s.Drift {
		t.Drift = append(t.Drift, driftReport{d.Object, d.Why})
	}
	if !s.Installed {
		t.Triggers = "missing"
	}
}

func (r *statusReport) measure(ctx context.Context, conn *pgx.Conn, watches []triggers.Watch) {
	for i, t := range tables(watches) { // in the report, watched tables come first
		if cost, err := db.Measure(ctx, conn, t); err != nil {
			r.Tables[i].CostMistake = strings.TrimPrefix(oneLine(err), "measure "+r.Tables[i].Table+": ")
		} else {
			r.Tables[i].Cost = &cost
		}
	}
}

// print writes tables for people.
func (r *statusReport) print(w io.Writer, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TABLE\tTYPE\tTRIGGERS\tEVENTS/MIN\tLAST EVENT\tMEAN CALL\tDRIFT")
	for _, t := range r.Tables {
		mean := "-"
		if t.MeanMS != nil {
			mean = fmt.Sprintf("%.3f ms", *t.MeanMS)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.0f\t%s\t%s\t%s\n", printable(t.Table), orDash(t.Type), t.Triggers, t.EventsPerMinute, ago(t.LastEventAt, now), mean, printable(t.drift()))
	}
	r.printCosts(table)
	fmt.Fprintf(table, "\nEVENT LOG\tSTATE\tSIZE\tROWS\tOLDEST EVENT\n")
	for _, p := range append([]db.LogSize{r.Log}, r.Partitions...) {
		oldest := ""
		if p.Name == r.Log.Name {
			oldest = ago(p.FirstEventAt, now)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\tabout %d\t%s\n", p.Name, p.State, db.ByteSize(p.Bytes), p.Rows, oldest)
	}
	fmt.Fprintf(table, "\nLISTENER\tSTATE\tLAST ASKED\n")
	for _, l := range r.Listeners {
		asked := "not for this role to see"
		if l.SilentMS != nil {
			asked = fmt.Sprintf("%.1f s ago", *l.SilentMS/1000)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", printable(l.Name), l.State, asked)
	}
	if len(r.Listeners) == 0 {
		fmt.Fprintln(table, "none")
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nThe NOTIFY queue is %.1f %% full.\n", r.Queue*100)
	return err
}

// printCosts writes what was measured, if something was.
func (r *statusReport) printCosts(table io.Writer) {
	headed := false
	for _, t := range r.Tables {
		if t.Cost == nil && t.CostMistake == "" {
			continue
		}
		if !headed {
			fmt.Fprintf(table, "\nCOST\tINSERT 1\tUPDATE 1\tDELETE 1\tINSERT MANY, A ROW\tUPDATE MANY, A ROW\tDELETE MANY, A ROW\n")
			headed = true
		}
		if t.Cost == nil {
			fmt.Fprintf(table, "%s\t%s\n", printable(t.Table), printable(t.CostMistake))
			continue
		}
		var single, row []string
		for _, s := range []*db.StatementCost{t.Cost.Insert, t.Cost.Update, t.Cost.Delete} {
			if s == nil {
				single, row = append(single, "-"), append(row, "-")
				continue
			}
			single, row = append(single, fmt.Sprintf("%.0f µs", s.Single)), append(row, fmt.Sprintf("%.1f µs", s.Row))
		}
		fmt.Fprintf(table, "%s\t%s\n", printable(t.Table), strings.Join(append(single, row...), "\t"))
	}
}

// drift is the first difference, and how many there are.
func (t *tableReport) drift() string {
	switch {
	case t.Mistake != "":
		return t.Mistake
	case t.Type == "":
		return "not watched: owners are found in it, or it is left over"
	case t.Drift == nil:
		return "unknown"
	case len(t.Drift) == 0:
		return "none"
	}
	text := t.Drift[0].Object + ": " + t.Drift[0].Why
	if more := len(t.Drift) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// ago is a time for people. Clocks of two machines may make it negative.
func ago(at *time.Time, now time.Time) string {
	if at == nil {
		return "-"
	}
	return max(0, now.Sub(*at)).Round(time.Second).String() + " ago"
}
