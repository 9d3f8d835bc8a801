package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

const proposalHead = `# What pgbell watches, and who owns the rows. pgbell init wrote it from the
# names in the database: read it as somebody who knows the tables.
#
#   owners    whose row it is: a column whose value is the user's id, the
#             subject of their token. Audiences (client, owner, ...) are words
#             of yours.
#   columns   what the owners may see. A column that is not listed never
#             leaves the database, so a new one has to be added here.
#   watchers  roles of tokens that see every row: watchers: [ADMIN]
#   only      columns for one audience alone: only: {provider: [note]}
#   actions   names for what happens, before created, status_changed, updated
#             and deleted: actions: {accepted: OLD.status = 'PENDING' AND NEW.status = 'CONFIRMED'}
#
# Then: pgbell migrate up, pgbell triggers plan, pgbell triggers apply.
tables:
`

// yaml is the file.
func (p proposal) yaml() string {
	var b strings.Builder
	b.WriteString(proposalHead)
	for _, t := range p {
		if t.problem == "" {
			t.writeTo(&b)
		}
	}
	left := false
	for _, t := range p {
		if t.problem == "" {
			continue
		}
		if !left {
			b.WriteString("\n# Left out:\n")
			left = true
		}
		fmt.Fprintf(&b, "#   %s: %s\n", scalar(t.String()), inComment(t.problem))
	}
	return b.String()
}

func (t *proposedTable) writeTo(b *strings.Builder) {
	fmt.Fprintf(b, "  %s:\n    type: %s\n", scalar(t.String()), scalar(t.typ))
	if t.owners != nil {
		b.WriteString("    owners:\n")
	}
	for _, o := range t.owners {
		if o.via == nil {
			fmt.Fprintf(b, "      %s: %s\n", scalar(o.audience), scalar(o.column))
		} else {
			fmt.Fprintf(b, "      %s: {via: %s, table: %s, column: %s}\n", scalar(o.audience), scalar(o.reference), scalar(o.via.Schema+"."+o.via.Table), scalar(o.column))
		}
	}
	if t.owners == nil {
		b.WriteString("    watchers: [ADMIN] # no column looks like a user's id\n")
	}
	fmt.Fprintf(b, "    columns: [%s]\n", scalars(t.columns))
	if t.secret != nil {
		fmt.Fprintf(b, "    # Left out, for they look secret: %s\n", scalars(t.secret))
	}
	if t.bulky != nil {
		fmt.Fprintf(b, "    # Left out, for clients can do nothing with them: %s\n", scalars(t.bulky))
	}
}

var (
	plainScalar = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)
	// yamlWord is what YAML, in one version or another, takes for something
	// else than text.
	yamlWord = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|nan|inf)$`)
)

// scalar is a text as YAML writes it: quoted if it has to be.
func scalar(text string) string {
	if plainScalar.MatchString(text) && !yamlWord.MatchString(text) {
		return text
	}
	quoted, _ := json.Marshal(text) // a string has no error, and JSON is YAML
	return string(quoted)
}

func scalars(texts []string) string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = scalar(t)
	}
	return strings.Join(all, ", ")
}

// inComment keeps a text on its line.
func inComment(text string) string { return strings.Join(strings.Fields(text), " ") }
