package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// fault is what happens to one produce request.
type fault int

const (
	pass        fault = iota
	dropRequest       // the broker never sees it, the connection breaks
	dropAnswer        // the broker takes it, the connection breaks before the answer
	swallow           // the broker never sees it, and the client waits for an answer
	hold              // the client waits for an answer; the request reaches the broker when the test releases it
)

var errInjected = errors.New("injected fault")

// faults stands between a client and the broker, by Transport.Dial, and does to each produce request what next says.
type faults struct {
	mu       sync.Mutex
	next     func(frame []byte) fault
	produced [][]byte // every produce request's frame, in order
	held     []*held
	dials    int
}

// held is a request that has not reached the broker yet. Its connection outlives the client's interest in it.
type held struct {
	conn  net.Conn
	frame []byte
}

func newFaults() *faults { return &faults{} }

// once does the given faults to the next produce requests, one each, and lets all others pass.
func (f *faults) once(list ...fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = func([]byte) fault {
		if len(list) == 0 {
			return pass
		}
		first := list[0]
		list = list[1:]
		return first
	}
}

// always does one fault to every produce request from now on.
func (f *faults) always(what fault) { f.decide(func([]byte) fault { return what }) }

func (f *faults) decide(next func([]byte) fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = next
}

func (f *faults) frames() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([][]byte(nil), f.produced...)
}

func (f *faults) dialled() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dials
}

// release lets the oldest held request reach the broker, at last, and returns the broker's answer to it.
func (f *faults) release() error {
	f.mu.Lock()
	if len(f.held) == 0 {
		f.mu.Unlock()
		return errors.New("no request is held")
	}
	h := f.held[0]
	f.held = f.held[1:]
	f.mu.Unlock()
	defer func() { _ = h.conn.Close() }()
	if err := h.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := h.conn.Write(h.frame); err != nil {
		return err
	}
	var size [4]byte
	if _, err := io.ReadFull(h.conn, size[:]); err != nil {
		return err
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(h.conn, answer); err != nil {
		return err
	}
	// correlation id, one topic: its name, one partition: its index, the error's code
	at := 4 + 4
	at += 2 + int(binary.BigEndian.Uint16(answer[at:])) + 4 + 4
	if code := binary.BigEndian.Uint16(answer[at:]); code != 0 {
		return kafka.Error(code)
	}
	return nil
}

// holding tells how many requests are held.
func (f *faults) holding() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.held)
}

func (f *faults) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.dials++
	f.mu.Unlock()
	return &faultyConn{Conn: conn, faults: f}, nil
}

// judge records a produce request and says what happens to it.
func (f *faults) judge(frame []byte, c *faultyConn) fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.produced = append(f.produced, frame)
	if f.next == nil {
		return pass
	}
	what := f.next(frame)
	if what == hold {
		c.kept = true
		_ = c.Conn.SetDeadline(time.Time{})
		f.held = append(f.held, &held{c.Conn, frame})
	}
	return what
}

// faultyConn cuts the client's bytes into requests: four bytes of length, two of the API's key, and so on. One goroutine of kafka-go's
// uses it at a time.
type faultyConn struct {
	net.Conn
	faults   *faults
	buffer   []byte
	deadline time.Time // the client's
	broken   bool      // the next answer is thrown away, and
	dead     bool      // every read after that fails
	kept     bool      // the connection belongs to a held request now, and the client waits for nothing
}

// SetDeadline is the client's, and no longer of any concern to a held request.
func (c *faultyConn) SetDeadline(t time.Time) error {
	c.deadline = t
	if c.kept {
		return nil
	}
	return c.Conn.SetDeadline(t)
}

func (c *faultyConn) Write(b []byte) (int, error) {
	c.buffer = append(c.buffer, b...)
	for len(c.buffer) >= 4 {
		size := 4 + int(binary.BigEndian.Uint32(c.buffer))
		if len(c.buffer) < size {
			break
		}
		frame := append([]byte(nil), c.buffer[:size]...)
		c.buffer = c.buffer[size:]
		if err := c.request(frame); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (c *faultyConn) request(frame []byte) error {
	const produce = 0
	if binary.BigEndian.Uint16(frame[4:]) != produce {
		_, err := c.Conn.Write(frame)
		return err
	}
	switch c.faults.judge(frame, c) {
	case dropRequest:
		c.broken = true
		return errInjected
	case dropAnswer:
		c.broken = true
		_, err := c.Conn.Write(frame)
		return err
	case swallow:
		return nil
	case hold:
		return nil
	default:
		_, err := c.Conn.Write(frame)
		return err
	}
}

func (c *faultyConn) Read(b []byte) (int, error) {
	if c.dead {
		return 0, errInjected
	}
	if c.kept {
		time.Sleep(time.Until(c.deadline))
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.Conn.Read(b) // also when broken: the broker has then done what it was asked
	if c.broken && err == nil {
		c.dead = true
		return 0, errInjected
	}
	return n, err
}

func (c *faultyConn) Close() error {
	if c.kept {
		return nil
	}
	return c.Conn.Close()
}
