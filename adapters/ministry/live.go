package ministry

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"
)

const (
	liveMedia  = "text/event-stream"
	maxLine    = 1 << 20          // bytes of a live feed's line
	maxSilence = 60 * time.Second // the hub sends a comment every 15 s
)

// The ends of a connection: the hub's, or the network's; and that nothing comes on it any more.
var (
	errFeedEnded = errors.New("ministry: the live feed ended")
	errSilent    = errors.New("ministry: the live feed has gone silent")
)

// Live reads all lanes of the consumer's stream as server-sent events: an event comes as soon as it is told. Each connection begins after the
// last event that was dealt with; one that ends, or goes silent, is made anew. It ends as Pull does.
func Live() Source {
	return func(ctx context.Context, c *Consumer) error { return c.eachLane(ctx, c.live) }
}

// live follows one lane over one connection after the other. The hub ends each after an hour at most, which is no failure.
func (c *Consumer) live(ctx context.Context, lane int) error {
	for {
		err := c.retry(ctx, func(ctx context.Context) error { return c.listen(ctx, lane) })
		if err != nil {
			return err
		}
	}
}

// listen reads one connection to its end; nil if it brought anything.
func (c *Consumer) listen(ctx context.Context, lane int) error {
	last, err := c.Last(ctx, lane)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(maxSilence, func() { cancel(errSilent) })
	defer silence.Stop()
	headers := []string{"Accept", liveMedia}
	if !last.IsZero() {
		headers = append(headers, "Last-Event-ID", last.String())
	}
	client := c.config.Client
	response, err := client.do(ctx, http.MethodGet, client.path(c.config.Stream, "events")+"?lane="+strconv.Itoa(lane), nil, headers...)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); media != liveMedia {
		return errors.New("ministry: the answer is no live feed; is this the hub's address?")
	}
	feed := liveFeed{in: bufio.NewReaderSize(response.Body, 64<<10), heard: func() { silence.Reset(maxSilence) }}
	for brought := false; ; brought = true {
		events, err := feed.next(c.config.Batch)
		switch {
		case context.Cause(ctx) != nil:
			return context.Cause(ctx)
		case errors.Is(err, errFeedEnded) && brought:
			return nil
		case err != nil:
			return err
		}
		silence.Stop() // handling may take its time
		if err := c.Deliver(ctx, events...); err != nil {
			return err
		}
		silence.Reset(maxSilence)
	}
}

// liveFeed reads server-sent events.
type liveFeed struct {
	in    *bufio.Reader
	heard func() // is called for each line
}

// next returns what has arrived: at least one event, at most so many.
func (f *liveFeed) next(most int) ([]Event, error) {
	var events []Event
	for len(events) == 0 || (len(events) < most && f.more()) {
		data, err := f.message()
		if err != nil {
			if len(events) > 0 {
				return events, nil // the next call meets the end again
			}
			return nil, err
		}
		e, err := ParseEvent(data)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// more says whether a whole message has arrived already.
func (f *liveFeed) more() bool {
	waiting, _ := f.in.Peek(f.in.Buffered())
	return bytes.Contains(waiting, []byte("\n\n"))
}

// message reads the data of one message; comments and messages without data are skipped.
func (f *liveFeed) message() ([]byte, error) {
	var data []byte
	for {
		line, err := f.line()
		if err != nil {
			return nil, err
		}
		f.heard()
		if text, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			if len(data) > 0 {
				data = append(data, '\n')
			}
			data = append(data, bytes.TrimPrefix(text, []byte(" "))...)
		}
		if len(data) > maxLine {
			return nil, errors.New("ministry: an event of the live feed is too long")
		}
		if len(line) == 0 && len(data) > 0 {
			return data, nil
		}
	}
}

// line reads a line of at most maxLine bytes, without its end. A line that is cut off is none.
func (f *liveFeed) line() ([]byte, error) {
	var line []byte
	for {
		part, err := f.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, errors.New("ministry: a line of the live feed is too long")
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errFeedEnded, err)
		default:
			return bytes.TrimRight(line, "\r\n"), nil
		}
	}
}
