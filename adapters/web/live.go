package web

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	maxLives  = 2000             // pages that keep themselves up to date at once; further ones have the Refresh link
	liveTime  = 15 * time.Minute // then the page connects again
	liveBeat  = 15 * time.Second // a comment, so that nobody between takes the connection for dead
	livePause = time.Second      // between two looks, however fast the log grows
	liveWrite = 10 * time.Second
)

// looker is how what a page shows stands now: what its template "live" gets, and whether nothing more is awaited.
type looker func() (data any, over bool, err error)

// keepUpToDate tells a page what its lists say, whenever that changes, until nothing is awaited any more: server-sent events, each with the
// lines of the page's lists. A page that shows what does not stand on the log is looked at each livePause.
func (s *server) keepUpToDate(r *request, page string, unlogged bool, look looker) error {
	select {
	case s.lives <- struct{}{}:
		defer func() { <-s.lives }()
	default:
		r.w.Header().Set("Retry-After", "60")
		http.Error(r.w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), liveTime)
	defer cancel()
	defer context.AfterFunc(s.Drain, cancel)()
	live := &liveList{server: s, request: r, control: http.NewResponseController(r.w), page: page, beat: liveBeat, read: look}
	if unlogged {
		live.beat = livePause
	}
	v, over, err := live.look(ctx)
	if err != nil {
		return err // somebody else's is answered as a page is
	}
	r.w.Header().Set("Content-Type", "text/event-stream")
	r.w.Header().Set("X-Accel-Buffering", "no")
	for {
		done, err := live.tell(v, over)
		if done || err != nil {
			return nil //nolint:nilerr // a reader that is gone needs no answer
		}
		if err := live.await(ctx); err != nil {
			return nil //nolint:nilerr // it is over, for now: the page connects again
		}
		if v, over, err = live.look(ctx); err != nil {
			if ctx.Err() == nil {
				s.Logger.Warn("a page could not be kept up to date", "route", r.route, "error", err)
			}
			return nil
		}
	}
}

// liveList is one page that keeps itself up to date.
type liveList struct {
	*server
	request *request
	control *http.ResponseController
	page    string // whose template "live" it is
	read    looker
	beat    time.Duration // how long the log is waited for
	told    []byte
	seen    int64 // the log's head before the last look
}

// look is how it stands now.
func (l *liveList) look(ctx context.Context) (data any, over bool, err error) {
	head, err := l.Journal.Head(ctx) // before the look: what is appended after it can't be missed
	if err != nil {
		return nil, false, err
	}
	l.seen = head.Position
	return l.read()
}

// tell sends the lists if they changed. done: nothing more will.
func (l *liveList) tell(v any, over bool) (done bool, err error) {
	var b bytes.Buffer
	if err := l.pages[l.request.lang()].templates[l.page].ExecuteTemplate(&b, "live", v); err != nil {
		return false, fmt.Errorf("web: %w", err)
	}
	if !bytes.Equal(b.Bytes(), l.told) {
		l.told = b.Bytes()
		if err := l.write("event: status\ndata: " + strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", "\ndata: ") + "\n\n"); err != nil {
			return false, err
		}
	}
	if !over {
		return false, nil
	}
	return true, l.write("event: done\ndata:\n\n")
}

func (l *liveList) write(text string) error {
	if err := l.control.SetWriteDeadline(time.Now().Add(liveWrite)); err != nil {
		return err
	}
	if _, err := l.request.w.Write([]byte(text)); err != nil {
		return err
	}
	return l.control.Flush()
}

// await returns when the log has grown, and an error when the page or its session has ended.
func (l *liveList) await(ctx context.Context) error {
	select { // it bounds what a page costs
	case <-time.After(livePause):
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		wait, cancel := context.WithTimeout(ctx, l.beat)
		err := l.Journal.Store().Wait(wait, l.seen+1)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !l.stands(l.request) {
			return errNoPage
		}
		if err == nil {
			return nil
		}
		if err := l.write(":\n\n"); err != nil || l.beat == livePause {
			return err
		}
	}
}
