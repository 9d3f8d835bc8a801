package db_test

import (
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/pgbell/pgbell/db"
	"github.com/pgbell/pgbell/db/pgtest"
)

func TestPooler(t *testing.T) {
	t.Parallel()
	database := pgtest.Database(t)
	for name, test := range map[string]struct {
		url   string
		level db.Level
		what  string
	}{
		"none":        {database, db.OK, "no pooler stands in between"},
		"session":     {startPooler(t, database, false), db.Note, "a pooler in session mode"},
		"transaction": {startPooler(t, database, true), db.Error, "a pooler lends another connection for each transaction"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := db.Pooler(t.Context(), test.url)
			require.NoError(t, err)
			require.Equal(t, "pooler", f.Check)
			require.Equal(t, test.level, f.Level, f.What)
			require.Contains(t, f.What, test.what)
		})
	}
}

// startPooler serves clients with connections of its own: one for as long as
// they stay or, with transactions, for each transaction. It returns its URL.
func startPooler(t *testing.T, database string, transactions bool) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &pooler{idle: make(chan net.Conn, 3)}
	for range cap(p.idle) {
		// The connection is ready for a query: what was said in greeting is gone.
		conn := pgtest.Connect(t, database)
		require.NoError(t, conn.PgConn().SyncConn(t.Context())) // nobody reads it in the background
		hijacked, err := conn.PgConn().Hijack()
		require.NoError(t, err)
		t.Cleanup(func() { _ = hijacked.Conn.Close() })
		p.idle <- hijacked.Conn
	}
	var clients sync.WaitGroup
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		clients.Wait()
	})
	clients.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			clients.Go(func() {
				defer conn.Close()
				err := p.serve(conn, transactions)
				if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) {
					t.Errorf("pooler: %v", err)
				}
			})
		}
	})
	u, err := url.Parse(database)
	require.NoError(t, err)
	u.Host = listener.Addr().String()
	u.RawQuery = "sslmode=disable"
	return u.String()
}

type pooler struct{ idle chan net.Conn }

func (p *pooler) serve(conn net.Conn, transactions bool) error {
	client := pgproto3.NewBackend(conn, conn)
	if _, err := client.ReceiveStartupMessage(); err != nil {
		return err
	}
	client.Send(&pgproto3.AuthenticationOk{})
	client.Send(&pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{0, 0, 0, 1}})
	client.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if err := client.Flush(); err != nil {
		return err
	}
	if !transactions {
		server := <-p.idle
		var answers sync.WaitGroup
		answers.Go(func() { _, _ = io.Copy(conn, server) }) // until one of them is closed
		_, err := io.Copy(server, conn)
		_ = server.Close()
		answers.Wait()
		return err
	}
	return p.lend(client)
}

// lend gives the client the least lately used connection for each transaction.
func (p *pooler) lend(client *pgproto3.Backend) error {
	var lent net.Conn
	var server *pgproto3.Frontend
	defer func() {
		if lent != nil {
			p.idle <- lent
		}
	}()
	for {
		message, err := client.Receive()
		if err != nil {
			return err
		}
		if _, end := message.(*pgproto3.Terminate); end {
			return nil
		}
		if lent == nil {
			lent = <-p.idle
			server = pgproto3.NewFrontend(lent, lent)
		}
		server.Send(message)
		switch message.(type) {
		case *pgproto3.Query, *pgproto3.Sync:
		default:
			continue
		}
		status, err := p.answer(client, server)
		if err != nil {
			return err
		}
		if status == 'I' {
			p.idle <- lent
			lent = nil
		}
	}
}

// answer passes on what the server says until it is ready again.
func (p *pooler) answer(client *pgproto3.Backend, server *pgproto3.Frontend) (status byte, err error) {
	if err := server.Flush(); err != nil {
		return 0, err
	}
	for {
		message, err := server.Receive()
		if err != nil {
			return 0, err
		}
		client.Send(message)
		if ready, ok := message.(*pgproto3.ReadyForQuery); ok {
			return ready.TxStatus, client.Flush()
		}
	}
}
