package postgres

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
)

// proxy stands between a store and the server and can hold back what the server says, and cut every connection.
type proxy struct {
	listener net.Listener
	server   string

	mu     sync.Mutex
	conns  map[net.Conn]bool
	silent chan struct{} // closed: the ends of the server's answers pass
	deaf   bool          // what clients say is lost
	heard  chan struct{} // holds a token when something was lost
}

// readyForQuery is the message by which the server ends each transaction.
var readyForQuery = []byte{'Z', 0, 0, 0, 5}

// through starts a proxy to the server of config and returns config by way of it.
func through(t *testing.T, config Config) (*proxy, Config) {
	t.Helper()
	address, err := url.Parse(config.DSN)
	require.NoError(t, err)
	if address.Scheme != "postgres" && address.Scheme != "postgresql" {
		t.Skip("the proxy needs DATABASE_URL as a URL")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{listener: listener, server: address.Host, conns: map[net.Conn]bool{}, silent: make(chan struct{}), heard: make(chan struct{}, 1)}
	close(p.silent)
	var done sync.WaitGroup
	done.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			done.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.speak()
		p.cut()
		done.Wait()
	})
	address.Host = listener.Addr().String()
	config.DSN = address.String()
	return p, config
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(server, client, false) })
	both.Go(func() { p.pass(client, server, true) })
	both.Wait()
}

func (p *proxy) pass(to, from net.Conn, answers bool) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		switch {
		case answers && bytes.Contains(buf[:n], readyForQuery):
			p.mu.Lock()
			silent := p.silent
			p.mu.Unlock()
			<-silent
		case !answers && n > 0 && p.isDeaf():
			select {
			case p.heard <- struct{}{}:
			default:
			}
			continue
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (p *proxy) isDeaf() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deaf
}

// hush holds back from now on the server's word that a transaction has ended.
func (p *proxy) hush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = make(chan struct{})
}

func (p *proxy) speak() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.silent:
	default:
		close(p.silent)
	}
}

// deafen loses what clients say from now on.
func (p *proxy) deafen(deaf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = deaf
}

// cut closes every connection; new ones pass.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

// warmUp leaves the store's committer writing in one go, or asking first.
func warmUp(t *testing.T, store *Store, careful bool) {
	t.Helper()
	_, err := store.Append(t.Context(), change(uuid.New()))
	require.NoError(t, err)
	asked := store.Stats().Asked
	if careful {
		stale := change(uuid.New())
		stale.Expect = []eventstore.Expect{{Aggregate: stale.Events[0].Aggregate, Version: 7}}
		_, err = store.Append(t.Context(), stale)
		require.ErrorIs(t, err, eventstore.ErrConflict)
		asked = store.Stats().Asked
	}
	_, err = store.Append(t.Context(), expecting(0))
	require.NoError(t, err)
	require.Equal(t, careful, store.Stats().Asked > asked)
}

// expecting is a change of a new citizen, expected at a version.
func expecting(version int32) eventstore.Append {
	a := change(uuid.New())
	a.Expect = []eventstore.Expect{{Aggregate: a.Events[0].Aggregate, Version: version}}
	return a
}

// eachMode runs a test with a committer that writes in one go, and with one that asks first.
func eachMode(t *testing.T, test func(t *testing.T, careful bool)) {
	t.Helper()
	for _, careful := range []bool{false, true} {
		t.Run(fmt.Sprintf("careful %v", careful), func(t *testing.T) {
			t.Parallel()
			test(t, careful)
		})
	}
}

// TestUnknownOutcome: the connection is lost after the server has committed and before it has said so. The caller learns that nobody
// knows, repeats the command and gets the first result. Another caller's next append does not notice.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, careful bool) {
		config := newConfig(t, database(t))
		config.Poll = 10 * time.Millisecond // the notification is held back, too
		direct := newStore(t, config)
		p, config := through(t, config)
		store, err := Open(t.Context(), config)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		warmUp(t, store, careful)
		head, err := direct.Head(t.Context())
		require.NoError(t, err)

		p.hush()
		lost := expecting(0)
		answer := make(chan error, 1)
		go func() {
			_, err := store.Append(t.Context(), lost)
			answer <- err
		}()
		err = eventstore.Follow(t.Context(), direct, direct, head.Position+1, 1, func([]eventstore.Recorded) error { return io.EOF })
		require.ErrorIs(t, err, io.EOF) // it is on the log
		p.cut()
		p.speak()
		require.ErrorIs(t, <-answer, eventstore.ErrUnknownOutcome)

		again, err := store.Append(t.Context(), lost)
		require.NoError(t, err)
		require.True(t, again[0].Repeated)
		require.Equal(t, head.Position+1, again[0].Position)
		next, err := store.Append(t.Context(), expecting(0))
		require.NoError(t, err)
		require.Equal(t, head.Position+2, next[0].Position)
	})
}

// TestNeverArrived: the connection is lost before the server has heard of the batch. Nothing is written, and what is repeated is new.
func TestNeverArrived(t *testing.T) {
	t.Parallel()
	eachMode(t, func(t *testing.T, careful bool) {
		p, config := through(t, newConfig(t, database(t)))
		store := newStore(t, config)
		warmUp(t, store, careful)
		head, err := store.Head(t.Context())
		require.NoError(t, err)

		p.deafen(true)
		lost := expecting(0)
		answer := make(chan error, 1)
		go func() {
			_, err := store.Append(t.Context(), lost)
			answer <- err
		}()
		<-p.heard
		p.cut()
		p.deafen(false)
		require.Error(t, <-answer)

		again, err := store.Append(t.Context(), lost)
		require.NoError(t, err)
		require.False(t, again[0].Repeated)
		require.Equal(t, head.Position+1, again[0].Position)
	})
}

// TestListenerReturns: when the listening connection is lost, appends of other processes are noticed again after a while, without the
// safety poll, and what was appended meanwhile is noticed, too.
func TestListenerReturns(t *testing.T) {
	t.Parallel()
	config := newConfig(t, database(t))
	other := newStore(t, config)
	p, config := through(t, config)
	config.Poll = time.Hour
	lost := make(chan string, 100)
	config.Logf = func(text string) { lost <- text }
	store, err := Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })

	noticed := func() {
		results, err := other.Append(t.Context(), change(uuid.New()))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		require.NoError(t, store.Wait(ctx, results[0].Position))
		_, err = store.Read(t.Context(), results[0].Position)
		require.NoError(t, err)
	}
	for range 3 {
		noticed() // it listens
		p.cut()
		require.NotContains(t, <-lost, "tellonce:", "no password in what is logged")
		noticed()
	}
}

// TestLastWord: what is appended just before a store is closed is noticed by others at once, without the safety poll.
func TestLastWord(t *testing.T) {
	t.Parallel()
	config := newConfig(t, database(t))
	config.Poll = time.Hour
	other := newStore(t, config)
	for range 5 {
		store, err := Open(t.Context(), config)
		require.NoError(t, err)
		var last []eventstore.Result
		for range 3 { // the first is told at once, the others are due when the store is closed
			last, err = store.Append(t.Context(), change(uuid.New()))
			require.NoError(t, err)
		}
		require.NoError(t, store.Close())
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		require.NoError(t, other.Wait(ctx, last[0].Position))
		cancel()
	}
}

// TestReadersReturn: after every connection was lost (a restart of the server), reading and folding go on without an error.
func TestReadersReturn(t *testing.T) {
	t.Parallel()
	p, config := through(t, newConfig(t, database(t)))
	store := newStore(t, config)
	citizen := eventstore.Aggregate{Category: eventstore.Agreements}
	for n := range int64(3) {
		var busy sync.WaitGroup // so that several connections are open
		for range 8 {
			busy.Go(func() {
				_, err := store.ReadAll(t.Context(), 0, 10)
				require.NoError(t, err)
			})
		}
		busy.Wait()
		p.cut()
		page, err := store.ReadAll(t.Context(), 0, 10)
		require.NoError(t, err)
		require.Len(t, page, 2)
		p.cut()
		read, err := store.ReadAggregates(t.Context(), citizen)
		require.NoError(t, err)
		require.Len(t, read[0], 1)
		p.cut()
		require.NoError(t, store.Commit(t.Context(), "v", n, n+1, []eventstore.Row{{View: "v", Key: []byte("k"), Value: []byte("v")}}))
		p.cut()
		ok, err := store.Acquire(t.Context(), "lane", "one", time.Minute)
		require.NoError(t, err)
		require.True(t, ok)
	}
}
