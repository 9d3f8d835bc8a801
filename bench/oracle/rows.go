package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/pgbell/pgbell/ws/auth"
)

// rowsAPI fetches what a client owns: GET /api/rows/{type}.
type rowsAPI struct {
	client http.Client
	wg     sync.WaitGroup
}

// fetching is the rows of one type on their way to a client.
type fetching struct {
	since []update // what came since the request was sent
	again bool     // another reset came, so the answer is too old
}

// page is one answer.
type page struct {
	Rows   []json.RawMessage `json:"rows"`
	Cursor string            `json:"cursor"`
	Next   string            `json:"next"`
}

// keyColumns are what identifies a row of a type.
var keyColumns = map[string][]string{"order": {"id"}, "item": {"id"}, "stock": {"Shop", "Sku"}}

// keyOf is a row's key, as the updates write it.
func keyOf(typ string, row json.RawMessage) (string, error) {
	var values columns
	if err := json.Unmarshal(row, &values); err != nil {
		return "", err
	}
	var b strings.Builder
	for i, name := range keyColumns[typ] {
		fmt.Fprintf(&b, "%c%q:%s", "{,"[min(i, 1)], name, values[name])
	}
	return b.String() + "}", nil
}

// fetch gets the rows of a type anew. What comes meanwhile is applied to the
// rows that the client has, and again to those that were fetched: it may be
// newer than they are. If it is older, the newer follows. The caller holds the
// mutex.
func (c *client) fetch(ctx context.Context, typ, reason string) {
	if c.rows == nil {
		clear(c.replica[typ]) // which is right after a truncation alone
		c.stale[typ] = c.stale[typ] || reason != "truncate"
		return
	}
	if f := c.fetching[typ]; f != nil {
		f.again = true
		return
	}
	c.fetching[typ] = &fetching{}
	c.rows.wg.Go(func() { c.refetch(ctx, typ) })
}

func (c *client) refetch(ctx context.Context, typ string) {
	for ctx.Err() == nil {
		c.mu.Lock()
		c.fetching[typ] = &fetching{}
		c.mu.Unlock()
		c.counters.fetches.Add(1)
		rows, err := c.rows.get(ctx, c, typ)
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond): // the server may be down
			}
			continue
		}
		c.mu.Lock()
		f := c.fetching[typ]
		if f.again {
			c.mu.Unlock()
			continue
		}
		c.replica[typ] = rows
		for _, u := range f.since {
			c.replica.apply(u)
		}
		delete(c.fetching, typ)
		c.signal()
		c.mu.Unlock()
		return
	}
}

// get reads all pages.
func (a *rowsAPI) get(ctx context.Context, c *client, typ string) (map[string]string, error) {
	rows := make(map[string]string)
	next := ""
	for {
		p, err := a.page(ctx, c, typ, next)
		if err != nil {
			return nil, err
		}
		for _, r := range p.Rows {
			key, err := keyOf(typ, r)
			if err != nil {
				return nil, err
			}
			rows[key] = string(r)
		}
		if next = p.Next; next == "" {
			return rows, nil
		}
	}
}

func (a *rowsAPI) page(ctx context.Context, c *client, typ, next string) (*page, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	token, err := auth.Mint([]byte(secret), auth.Claims{Subject: c.user, Roles: c.roles})
	if err != nil {
		return nil, err
	}
	// Any node will do: what it has not seen yet follows on the stream.
	u := url.URL{Scheme: "http", Host: c.nodes[rand.N(len(c.nodes))].address, Path: "/api/rows/" + typ}
	if next != "" {
		u.RawQuery = url.Values{"page": {next}}.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if what := leaked(raw, c.user, len(c.roles) > 0); what != "" {
		c.breach(fmt.Sprintf("%s received a byte of somebody else's in rows: %s in %s", c.name, what, raw))
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("rows of %s: %s: %s", typ, response.Status, raw)
	}
	var p page
	return &p, json.Unmarshal(raw, &p)
}
