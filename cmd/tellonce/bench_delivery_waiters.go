package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// longPolls are readers that ask again and again, each on a connection of its own.
type longPolls struct {
	address, token string
	size           int64
	say            *json.Encoder
	asked          atomic.Int64 // in this turn
	answered       atomic.Int64
	first          atomic.Int64
	turn           chan struct{} // one token for each reader that may go on
}

// wait lets n readers wait for a change and says when all have it, again and again until the input ends.
func wait(ctx context.Context, n int, where string, in io.Reader, say *json.Encoder) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	input := bufio.NewReader(in)
	token, err := input.ReadString('\n')
	if err != nil {
		return err
	}
	at, err := url.Parse(where)
	if err != nil {
		return err
	}
	c := &longPolls{address: at.Host, token: strings.TrimSpace(token), size: int64(n), say: say, turn: make(chan struct{}, n)}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		_, _ = io.Copy(io.Discard, input)
		return io.EOF
	})
	for range n {
		group.Go(func() error { return c.reader(ctx, at.RequestURI()) })
	}
	if err := group.Wait(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// reader is one connection: first it reads what is there already, then it waits.
func (c *longPolls) reader(ctx context.Context, path string) error {
	connection, err := (&net.Dialer{Timeout: time.Minute}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return fmt.Errorf("a waiting reader: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = connection.Close() })()
	answers := bufio.NewReaderSize(connection, 1024)
	if path, _, err = c.ask(connection, answers, path); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if path, err = c.turnOf(ctx, connection, answers, path); err != nil {
			return err
		}
	}
	return nil
}

// turnOf waits for one change; an empty page is asked for again.
func (c *longPolls) turnOf(ctx context.Context, connection net.Conn, answers *bufio.Reader, path string) (next string, err error) {
	if err := c.request(connection, path); err != nil {
		return "", err
	}
	if c.asked.Add(1) == c.size {
		if err := c.say.Encode(waitersSay{Waiting: true}); err != nil {
			return "", err
		}
	}
	next, some, err := c.answer(answers)
	for ; err == nil && !some; next, some, err = c.ask(connection, answers, next) {
	}
	if err != nil {
		return "", err
	}
	now := time.Now()
	c.first.CompareAndSwap(0, now.UnixNano())
	if c.answered.Add(1) == c.size {
		say := waitersSay{First: time.Unix(0, c.first.Load()), Last: now}
		c.asked.Store(0)
		c.answered.Store(0)
		c.first.Store(0)
		for range c.size {
			c.turn <- struct{}{}
		}
		if err := c.say.Encode(say); err != nil {
			return "", err
		}
	}
	select {
	case <-c.turn:
	case <-ctx.Done():
	}
	return next, nil
}

func (c *longPolls) ask(connection net.Conn, answers *bufio.Reader, path string) (next string, some bool, err error) {
	if err := c.request(connection, path); err != nil {
		return "", false, err
	}
	return c.answer(answers)
}

func (c *longPolls) request(connection net.Conn, path string) error {
	_, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, c.address, c.token)
	return err
}

// answer reads a page; some says whether anything is in it.
func (c *longPolls) answer(answers *bufio.Reader) (next string, some bool, err error) {
	answer, err := http.ReadResponse(answers, nil)
	if err != nil {
		return "", false, fmt.Errorf("a waiting reader: %w", err)
	}
	length, err := io.Copy(io.Discard, answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return "", false, err
	}
	if answer.StatusCode != http.StatusOK {
		return "", false, fmt.Errorf("a waiting reader: the hub answered %s", answer.Status)
	}
	next, _, ok := strings.Cut(strings.TrimPrefix(answer.Header.Get("Link"), "<"), ">")
	if !ok {
		return "", false, errors.New("a waiting reader: a page without a link")
	}
	return next, length > int64(len("[]")), nil
}
