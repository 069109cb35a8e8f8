package auth

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
)

// The defaults of SessionsConfig.
const (
	DefaultIdle     = 30 * time.Minute
	DefaultLifetime = 8 * time.Hour
)

// Views is what sessions need of the hub's store.
type Views interface {
	Get(ctx context.Context, view string, keys ...[]byte) ([][]byte, error)
	Scan(ctx context.Context, view string, from, to []byte, limit int, reverse bool) ([]eventstore.Row, error)
	Commit(ctx context.Context, view string, from, to int64, rows []eventstore.Row) error
}

// SessionsConfig says where sessions are kept and for how long.
type SessionsConfig struct {
	Views    Views
	Key      [32]byte      // the same on every replica
	Idle     time.Duration // without a page, a session ends; default DefaultIdle
	Lifetime time.Duration // it ends whatever happens; default DefaultLifetime
}

// Sessions keeps who is signed in to the pages, in the hub's store, so that every replica knows and a sign-out ends a session everywhere.
// A browser holds a random token. The store holds the token's hash and, sealed, who it stands for: who reads the store can take no session
// over, who writes to it can make none. Safe for concurrent use.
type Sessions struct {
	manager *scs.SessionManager
	store   *sessionStore
}

// NewSessions returns sessions on a store.
func NewSessions(config SessionsConfig) (*Sessions, error) {
	if config.Idle <= 0 {
		config.Idle = DefaultIdle
	}
	if config.Lifetime <= 0 {
		config.Lifetime = DefaultLifetime
	}
	box, err := newBox(config.Key)
	if err != nil {
		return nil, err
	}
	store := &sessionStore{views: config.Views, box: box, lifetime: config.Lifetime}
	// scs.New would begin with a store in memory, whose goroutine nobody can stop for certain.
	manager := &scs.SessionManager{
		Store: store, HashTokenInStore: true, Codec: scs.GobCodec{}, IdleTimeout: config.Idle, Lifetime: config.Lifetime,
	}
	return &Sessions{manager: manager, store: store}, nil
}

// login is who a session stands for.
type login struct {
	Role     journal.Role `json:"role"`
	ID       string       `json:"id"`
	Citizen  uuid.UUID    `json:"citizen"`
	Ministry string       `json:"ministry,omitempty"`
	Source   string       `json:"source,omitempty"`
	ACR      int          `json:"acr"`
	Name     string       `json:"name,omitempty"` // for the person to read
}

func (l login) actor() journal.Actor {
	kind, _ := l.Role.Kind()
	return journal.Actor{Kind: kind, Role: l.Role, ID: l.ID, Citizen: l.Citizen, Ministry: l.Ministry, Source: l.Source, ACR: l.ACR}
}

// The values of a session.
const (
	valueLogin = "login"
	valueSeen  = "seen" // when it was last put off, in seconds since 1970
)

// Start begins a session of an actor, whom pages call name, and returns its token. Whatever token the browser had before is worth nothing
// for it: End that one.
func (s *Sessions) Start(ctx context.Context, actor journal.Actor, name string) (token string, err error) {
	if _, ok := actor.Role.Kind(); !ok || actor.ACR < minACR || actor.ACR > maxACR {
		return "", errors.New("auth: a session is somebody's who logged in")
	}
	value, err := json.Marshal(login{
		Role: actor.Role, ID: actor.ID, Citizen: actor.Citizen, Ministry: actor.Ministry, Source: actor.Source, ACR: actor.ACR, Name: name,
	})
	if err != nil {
		return "", fmt.Errorf("auth: encode a session: %w", err)
	}
	if ctx, err = s.manager.Load(ctx, ""); err != nil {
		return "", fmt.Errorf("auth: begin a session: %w", err)
	}
	s.manager.Put(ctx, valueLogin, string(value))
	s.manager.Put(ctx, valueSeen, time.Now().Unix())
	if token, _, err = s.manager.Commit(ctx); err != nil {
		return "", fmt.Errorf("auth: begin a session: %w", err)
	}
	_ = s.store.sweep(ctx) // the session stands; what has expired is taken away by a later one
	return token, nil
}

// Use returns whose session a token stands for; ok is false if it stands for none any more. The session is put off: a person asked for a page.
func (s *Sessions) Use(ctx context.Context, token string) (actor journal.Actor, name string, ok bool, err error) {
	ctx, l, ok, err := s.load(ctx, token)
	if err != nil || !ok {
		return actor, "", false, err
	}
	// A page must not cost a write. Within a twentieth of the idle time nothing is put off.
	if seen := time.Unix(s.manager.GetInt64(ctx, valueSeen), 0); time.Since(seen) >= s.manager.IdleTimeout/20 {
		s.manager.Put(ctx, valueSeen, time.Now().Unix())
		_, _, _ = s.manager.Commit(ctx) // if the store fails now, the next page tries again
	}
	return l.actor(), l.Name, true, nil
}

// Stands says whether a token stands for a session still, and does not put it off: no person asked, but a page that is left open.
func (s *Sessions) Stands(ctx context.Context, token string) (bool, error) {
	_, _, ok, err := s.load(ctx, token)
	return ok, err
}

// load returns a context with the token's session, and who it stands for.
func (s *Sessions) load(ctx context.Context, token string) (context.Context, login, bool, error) {
	var l login
	if token == "" {
		return ctx, l, false, nil
	}
	ctx, err := s.manager.Load(ctx, token)
	if err != nil {
		return ctx, l, false, fmt.Errorf("auth: read a session: %w", err)
	}
	text := s.manager.GetString(ctx, valueLogin)
	if text == "" {
		return ctx, l, false, nil
	}
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return ctx, l, false, fmt.Errorf("auth: read a session: %w", err)
	}
	return ctx, l, true, nil
}

// End ends a token's session for good, if there is one.
func (s *Sessions) End(ctx context.Context, token string) error {
	if token == "" {
		return nil
	}
	ctx, err := s.manager.Load(ctx, token)
	if err == nil && s.manager.Token(ctx) != "" {
		err = s.manager.Destroy(ctx)
	}
	if err != nil {
		return fmt.Errorf("auth: end a session: %w", err)
	}
	return nil
}

// sessionView holds, by 's' and a token's hash, when the session expires (µs, 8 bytes) and its sealed content; by 'e' and the hash that it
// was ended. A request that is under way while its session ends may put it off and so write its row again: what was ended stays ended.
const sessionView = "sessions"

// sessionStore keeps scs's sessions in a view: dropped, everybody signs in again.
type sessionStore struct {
	views    Views
	box      box
	lifetime time.Duration

	turn sync.Mutex
	from []byte // where sweep goes on
}

var _ scs.CtxStore = (*sessionStore)(nil)

func liveKey(hash string) []byte  { return []byte("s" + hash) }
func endedKey(hash string) []byte { return []byte("e" + hash) }

// where binds a session's content to its token and its end.
func where(hash string, expires []byte) string { return "session " + hash + string(expires) }

func expiry(at time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(at.UnixMicro())) // #nosec G115 -- after 1970
}

// expired says whether a row's time is over; a row that holds none is.
func expired(value []byte) bool {
	return len(value) < 8 || time.Now().UnixMicro() >= int64(binary.BigEndian.Uint64(value)) // #nosec G115 -- expiry's
}

// FindCtx is scs.CtxStore's.
func (s *sessionStore) FindCtx(ctx context.Context, hash string) ([]byte, bool, error) {
	values, err := s.views.Get(ctx, sessionView, liveKey(hash), endedKey(hash))
	if err != nil || values[0] == nil || values[1] != nil || expired(values[0]) {
		return nil, false, err
	}
	plain, ok := s.box.open(values[0][8:], where(hash, values[0][:8]))
	return plain, ok, nil
}

// CommitCtx is scs.CtxStore's.
func (s *sessionStore) CommitCtx(ctx context.Context, hash string, content []byte, until time.Time) error {
	at := expiry(until)
	value := append(at, s.box.seal(content, where(hash, at))...)
	return s.views.Commit(ctx, sessionView, 0, 0, []eventstore.Row{{View: sessionView, Key: liveKey(hash), Value: value}})
}

// DeleteCtx is scs.CtxStore's.
func (s *sessionStore) DeleteCtx(ctx context.Context, hash string) error {
	return s.views.Commit(ctx, sessionView, 0, 0, []eventstore.Row{
		{View: sessionView, Key: liveKey(hash)}, {View: sessionView, Key: endedKey(hash), Value: expiry(time.Now().Add(s.lifetime))},
	})
}

// Find, Commit and Delete are scs.Store's; the manager calls those above.
func (s *sessionStore) Find(hash string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), hash)
}

// Commit is scs.Store's.
func (s *sessionStore) Commit(hash string, content []byte, until time.Time) error {
	return s.CommitCtx(context.Background(), hash, content, until)
}

// Delete is scs.Store's.
func (s *sessionStore) Delete(hash string) error { return s.DeleteCtx(context.Background(), hash) }

// sweepRows is how many rows a sign-in looks at for what has expired: as many again are there at most as live.
const sweepRows = 100

// sweep takes away what has expired among the next rows. Every sign-in sweeps, so that the rows can't grow for ever and nothing has to run
// by the clock.
func (s *sessionStore) sweep(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	rows, err := s.views.Scan(ctx, sessionView, s.from, nil, sweepRows, false)
	if err != nil {
		return err
	}
	s.from = nil
	if len(rows) == sweepRows {
		s.from = append(rows[len(rows)-1].Key, 0)
	}
	var gone []eventstore.Row
	for _, row := range rows {
		if expired(row.Value) {
			gone = append(gone, eventstore.Row{View: sessionView, Key: row.Key})
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return s.views.Commit(ctx, sessionView, 0, 0, gone)
}
