package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/pgbell/pgbell/db"
)

// proposal is what init would watch. Names are all it goes by, so it is to be
// read by somebody who knows the tables.
type proposal []*proposedTable

// proposedTable is one table of a proposal.
type proposedTable struct {
	db.Candidate
	typ     string
	owners  []proposedOwner
	columns []string
	secret  []string // columns left out because of their names
	bulky   []string // and because of their types
	named   bool     // on the command line
	problem string   // why it is left out; empty if it isn't
}

// proposedOwner is an audience and where its user id stands.
type proposedOwner struct {
	audience, column string
	via              *db.Reference // the table that knows, by what via refers to
	reference        string        // the column that refers to it
}

var (
	// people are tables whose rows are users, by their last word.
	people = regexp.MustCompile(`(?i)(^|_)(users?|people|persons?|accounts?|customers?|clients?|members?|profiles?|employees?)$`)
	// userID is a column that holds a user's id: the audience, and what marks
	// it.
	userID = regexp.MustCompile(`(?i)^(?:(.+?)_?user_?id|(client|provider|owner|customer|seller|buyer|author|assignee|creator|recipient|sender|member|patient|driver|tutor|student|employee|host|guest)_?id|user_?id)$`)
	// secretName is a column that hardly anybody should be sent.
	secretName = regexp.MustCompile(`(?i)(^internal_|_internal$|^private_|passw(or)?d|passphrase|secret|token|hash|salt|api_?key|private_?key|credential|encrypted|otp|totp|mfa|pin_?code|ssn|iban|card_?number|cvv|cvc|recovery_?code)`)
	// bulkyTypes are of no use to a client, or too much.
	bulkyTypes = []string{"bytea", "tsvector"}
	// idTypes can hold what the subject of a token says.
	idTypes = []string{"text", "character varying", "character", "uuid", "bigint", "integer", "smallint", "citext"}
)

// propose decides about each table. Named tables are watched in any case, for
// the role ADMIN if nobody owns their rows.
func propose(candidates []db.Candidate, named bool) proposal {
	p := make(proposal, len(candidates))
	types := map[string]bool{"user": true, "role": true, "room": true} // name other rooms
	for i, c := range candidates {
		t := &proposedTable{Candidate: c, named: named}
		p[i] = t
		for _, col := range c.Columns {
			switch {
			case col.Virtual:
			case secretName.MatchString(col.Name) && !col.Key:
				t.secret = append(t.secret, col.Name)
			case slices.Contains(bulkyTypes, col.Type) && !col.Key:
				t.bulky = append(t.bulky, col.Name)
			default:
				t.columns = append(t.columns, col.Name)
			}
		}
		t.typ = uniqueType(types, c)
		t.owners = directOwners(c)
	}
	for _, t := range p {
		if t.owners == nil {
			t.owners = p.inheritedOwners(t.Candidate)
		}
		switch {
		case strings.Contains(t.Schema, "."):
			t.problem = "its schema's name has a dot, which pgbell.yaml cannot express"
		case !t.HasKey:
			t.problem = "it has no primary key"
		case t.owners == nil && !named:
			t.problem = "no column looks like a user's id; watch it for roles, or name the owner's column"
		case len(t.columns) == 0:
			t.problem = "every column looks secret"
		}
	}
	return p
}

func (p proposal) watched() int {
	n := 0
	for _, t := range p {
		if t.problem == "" {
			n++
		}
	}
	return n
}

// directOwners are those that a table's own columns name.
func directOwners(c db.Candidate) []proposedOwner {
	var owners []proposedOwner
	add := func(audience, column string) {
		audience = word(audience)
		if audience == "" || slices.ContainsFunc(owners, func(o proposedOwner) bool { return o.audience == audience }) {
			audience = word(column)
		}
		owners = append(owners, proposedOwner{audience: audience, column: column})
	}
	for _, col := range c.Columns {
		if !slices.Contains(idTypes, col.Type) || secretName.MatchString(col.Name) {
			continue
		}
		refersToPeople := col.Refers != nil && people.MatchString(col.Refers.Table)
		m := userID.FindStringSubmatch(col.Name)
		switch {
		case m != nil && (col.Refers == nil || refersToPeople):
			audience := m[1] + m[2]
			if audience == "" {
				audience = "user"
			}
			add(audience, col.Name)
		case refersToPeople:
			add(regexp.MustCompile(`(?i)_?id$`).ReplaceAllString(col.Name, ""), col.Name)
		}
	}
	if owners != nil || !people.MatchString(c.Name) {
		return owners
	}
	// A user is the owner of their own row.
	var key []string
	for _, col := range c.Columns {
		if col.Key {
			key = append(key, col.Name)
		}
	}
	if len(key) == 1 {
		owners = []proposedOwner{{audience: "self", column: key[0]}}
	}
	return owners
}

// inheritedOwners are those of the first table that c refers to and that has
// owners of its own.
func (p proposal) inheritedOwners(c db.Candidate) []proposedOwner {
	for _, col := range c.Columns {
		if col.Refers == nil {
			continue
		}
		at := slices.IndexFunc(p, func(t *proposedTable) bool { return t.Schema == col.Refers.Schema && t.Name == col.Refers.Table })
		if at < 0 || p[at].String() == c.String() || strings.Contains(p[at].Schema, ".") {
			continue
		}
		var owners []proposedOwner
		for _, o := range p[at].owners {
			if o.via == nil {
				owners = append(owners, proposedOwner{audience: o.audience, column: o.column, via: col.Refers, reference: col.Name})
			}
		}
		if owners != nil {
			return owners
		}
	}
	return nil
}

// uniqueType is a word for the events of a table: its name in the singular.
func uniqueType(taken map[string]bool, c db.Candidate) string {
	name := word(c.Name)
	choices := []string{singular(name), name, word(c.Schema) + "_" + name}
	for i := 2; ; i++ {
		for _, choice := range choices {
			if choice != "" && !taken[choice] {
				taken[choice] = true
				return choice
			}
		}
		choices = []string{fmt.Sprintf("%s_%d", name, i)}
	}
}

// word makes letters, digits and underscores of a name, beginning with a
// letter.
func word(name string) string {
	name = regexp.MustCompile(`([a-z0-9])([A-Z])`).ReplaceAllString(name, "${1}_$2")
	name = regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "_")
	name = strings.Trim(name, "_")
	if name == "" || name[0] <= '9' {
		name = strings.Trim("row_"+name, "_")
	}
	return name
}

// singular is a guess that people can correct.
func singular(name string) string {
	switch {
	case name == "people":
		return "person"
	case strings.HasSuffix(name, "ies") && len(name) > 4:
		return strings.TrimSuffix(name, "ies") + "y"
	case regexp.MustCompile(`(ss|ch|sh|x|us)es$`).MatchString(name):
		return strings.TrimSuffix(name, "es")
	case strings.HasSuffix(name, "s") && !strings.HasSuffix(name, "ss") && !strings.HasSuffix(name, "us") && len(name) > 1:
		return strings.TrimSuffix(name, "s")
	}
	return name
}
