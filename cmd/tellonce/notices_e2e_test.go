package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// mailbox is a real SMTP server that keeps what it took. taken is called with every e-mail before the sender hears that it was taken.
type mailbox struct {
	address string
	mu      sync.Mutex
	mails   []sentMail
	taken   func()
}

type sentMail struct{ to, id, text string }

type mailSession struct {
	box *mailbox
	to  string
}

func (s *mailSession) Mail(string, *smtp.MailOptions) error { return nil }

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = to; return nil }

func (s *mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err // cut off: not taken
	}
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	_, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	part, err := multipart.NewReader(message.Body, params["boundary"]).NextPart()
	if err != nil {
		return err
	}
	text, err := io.ReadAll(part)
	if err != nil {
		return err
	}
	s.box.mu.Lock()
	s.box.mails = append(s.box.mails, sentMail{to: s.to, id: message.Header.Get("Message-Id"), text: string(text)})
	s.box.mu.Unlock()
	s.box.mu.Lock()
	taken := s.box.taken
	s.box.mu.Unlock()
	if taken != nil {
		taken()
	}
	return nil
}

func (s *mailSession) Reset() {}

func (s *mailSession) Logout() error { return nil }

func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	box := &mailbox{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{box: box}, nil }))
	server.Domain = "mail.example.ca"
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	box.address = listener.Addr().String()
	return box
}

func (b *mailbox) to(address string) (out []sentMail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.mails {
		if m.to == address {
			out = append(out, m)
		}
	}
	return out
}

// reachable registers people with an e-mail address, by an import, of which nobody is told.
func (h *hub) reachable(t *testing.T, people int) []citizen.ID {
	t.Helper()
	var lines bytes.Buffer
	names := make([]string, people)
	for i := range people {
		names[i] = fmt.Sprintf("n-%d", i)
		head := func(eventType string) string {
			return fmt.Sprintf(`{"id":%q,"person":%q,"channel":"web","told_at":"2026-01-05T12:00:00Z","effective":"2026-01-05","type":%q,"data":`,
				uuid.NewString(), names[i], eventType)
		}
		lines.WriteString(head("person-registered") + `{"given_names":"A","family_name":"B","birth_date":"1980-05-17","language":"en"}}` + "\n")
		lines.WriteString(head("contact-changed") + fmt.Sprintf(`{"email":"old-%d@canary.example","phone":"+14165550100"}}`, i) + "\n")
	}
	accepted := func(r command.LineResult) error {
		require.Equal(t, command.Accepted, r.Result, r.Reason)
		return nil
	}
	require.NoError(t, h.command.Import(context.Background(), &lines, command.ImportOptions{Source: "import"}, accepted, func() error { return nil }))
	ids, err := h.journal.Reference(context.Background(), "import", names...)
	require.NoError(t, err)
	return ids
}

func (h *hub) changesContact(t *testing.T, id citizen.ID, eventType string, data map[string]any) {
	t.Helper()
	_, err := h.command.Tell(context.Background(), command.Command{
		ID: uuid.NewString(), Scope: "test", Actor: journal.Actor{Kind: journal.ActorResident, ID: id.String(), Citizen: uuid.UUID(id)},
		Issuer: journal.IssuerAPI, Channel: journal.ChannelWeb,
	}, id, command.Change{Type: eventType, Effective: "2026-01-05", Data: data})
	require.NoError(t, err)
}

// noticesSent waits until so many notices are on the log.
func (h *hub) noticesSent(t *testing.T, count int) (out []journal.NoticeSent) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for from := int64(0); len(out) < count; {
		require.NoError(t, h.store.Wait(ctx, from))
		page, err := h.store.ReadAll(ctx, from, 1000)
		require.NoError(t, err)
		from += int64(len(page))
		entries, err := h.journal.Open(ctx, page)
		require.NoError(t, err)
		for i := range entries {
			if sent, ok := entries[i].Event.(journal.NoticeSent); ok {
				out = append(out, sent)
			}
		}
	}
	return out
}

// TestNoticesSurviveKills kills the hub in the middle of its e-mails, again and again. Every notice arrives; twice only what the mail server
// had and the log had not when the process died: at most one for each of the lanes that send side by side.
func TestNoticesSurviveKills(t *testing.T) {
	t.Parallel()
	const people, kills, lanes = 60, 10, 4
	places(t, func(t *testing.T, p *place) {
		p.run("init", "--sandbox")
		h := p.open()
		defer h.Close()
		ids := h.reachable(t, people)
		for i, id := range ids {
			h.changesContact(t, id, citizen.ContactChanged, map[string]any{"email": fmt.Sprintf("new-%d@canary.example", i)})
		}
		box := newMailbox(t)
		arguments := []string{"--smtp", box.address, "--smtp-from", "no-reply@tellonce.example"}
		var logs strings.Builder
		for range kills {
			due := make(chan struct{})
			var once sync.Once
			left := 1 + rand.IntN(2*people/kills)
			box.mu.Lock()
			box.taken = func() {
				box.mu.Lock()
				left--
				now := left == 0
				box.mu.Unlock()
				if now {
					once.Do(func() { close(due) })
				}
			}
			box.mu.Unlock()
			process := p.serve(arguments...)
			<-due
			process.kill()
			logs.WriteString(process.stderr.String())
			host, err := os.Hostname()
			require.NoError(t, err)
			// What a crash leaves ends by itself after 15 s; the test does not wait for that.
			require.NoError(t, h.store.Release(context.Background(), "notice", fmt.Sprintf("%s/%d", host, process.cmd.Process.Pid)))
		}
		box.mu.Lock()
		box.taken = nil
		box.mu.Unlock()
		process := p.serve(arguments...)
		sent := h.noticesSent(t, 2*people)
		require.Equal(t, 0, process.stop(t))
		logs.WriteString(process.stderr.String())
		require.Len(t, sent, 2*people)
		doubles := 0
		for i := range people {
			for _, to := range []string{fmt.Sprintf("old-%d@canary.example", i), fmt.Sprintf("new-%d@canary.example", i)} {
				mails := box.to(to)
				require.NotEmpty(t, mails, "lost: %s", to)
				for _, m := range mails {
					require.Equal(t, mails[0].id, m.id)
				}
				doubles += len(mails) - 1
			}
		}
		t.Logf("%d notices, %d kills: 0 lost, %d twice", 2*people, kills, doubles)
		require.LessOrEqual(t, doubles, kills*lanes)
		require.NotContains(t, logs.String(), "canary")
	})
}

// TestThisWasNotMeThroughTheBinary: from the e-mail to the frozen account, and what goes to the carriers' folders.
func TestThisWasNotMeThroughTheBinary(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		p.run("init", "--sandbox", "--public-url", "https://tellonce.example")
		h := p.open()
		defer h.Close()
		ids := h.reachable(t, 1)
		box := newMailbox(t)
		texts, letters := filepath.Join(p.dir, "texts"), filepath.Join(p.dir, "letters")
		process := p.serve("--smtp", box.address, "--smtp-from", "Tellonce <no-reply@tellonce.example>", "--text-dir", texts, "--letter-dir", letters)
		h.changesContact(t, ids[0], citizen.ContactChanged, map[string]any{"email": "new@canary.example", "phone": "+14165550199"})
		h.noticesSent(t, 2)
		h.changesContact(t, ids[0], citizen.NoticePreference, map[string]any{"channel": "text"})
		h.noticesSent(t, 4)
		files, err := os.ReadDir(texts)
		require.NoError(t, err)
		require.Len(t, files, 1)
		text, err := os.ReadFile(filepath.Join(texts, files[0].Name()))
		require.NoError(t, err)
		require.Contains(t, string(text), `"to":"+14165550199"`)
		h.changesContact(t, ids[0], citizen.AddressChanged, map[string]any{
			"kind": "home", "street": "1 First St", "city": "Kenora", "province": "ON", "postal_code": "P9N 3X9", "country": "CA",
		})
		h.changesContact(t, ids[0], citizen.NoticePreference, map[string]any{"channel": "letter"})
		h.noticesSent(t, 7)
		files, err = os.ReadDir(letters)
		require.NoError(t, err)
		require.Len(t, files, 1)

		old := box.to("old-0@canary.example")
		require.Len(t, old, 1)
		token := regexp.MustCompile(`https://tellonce\.example/en/notices/([\w-]+)`).FindStringSubmatch(old[0].text)[1]
		plain, err := base64.RawURLEncoding.DecodeString(token)
		require.NoError(t, err)
		require.NotContains(t, string(plain), string(ids[0][:]))
		status, page := process.call(t, "", "GET", "/en/notices/"+token, "")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, page, "This was not me")
		citizenToken := p.token("citizen", "--person", "n-0", "--source", "import")
		told := func() int {
			status, _ := process.call(t, citizenToken, "POST", "/v1/changes", move, "Idempotency-Key", uuid.NewString())
			return status
		}
		require.Equal(t, http.StatusAccepted, told(), "to look changes nothing")
		status, page = process.call(t, "", "POST", "/en/notices/"+token, "")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, page, "Changes are stopped")
		status, refused := process.call(t, citizenToken, "POST", "/v1/changes", move, "Idempotency-Key", uuid.NewString())
		require.Equal(t, http.StatusUnprocessableEntity, status)
		require.Contains(t, refused, `"frozen"`)
		operator := &hubProcess{url: process.operatorURL}
		status, metrics := operator.call(t, "", "GET", "/metrics", "")
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, metrics, `tellonce_notice_sent_total{channel="email",code="delivered"}`)
		for _, secret := range []string{"canary.example", token, "4165550199"} {
			require.NotContains(t, process.stderr.String()+metrics, secret)
		}
		require.Equal(t, 0, process.stop(t))
	})
}

// TestCarriersAreConfiguredWhole: what can't work is refused before the hub is ready.
func TestCarriersAreConfiguredWhole(t *testing.T) {
	t.Parallel()
	p := &place{t: t, dir: t.TempDir()}
	p.run("init", "--sandbox")
	for _, args := range [][]string{
		{"--smtp", "127.0.0.1:25"}, {"--smtp-from", "a@example.ca"}, {"--smtp", "127.0.0.1:25", "--smtp-from", "a@example.ca", "--smtp-user", "hub"},
		{"--smtp", "127.0.0.1", "--smtp-from", "a@example.ca"}, {"--smtp", "127.0.0.1:25", "--smtp-from", "nobody"},
		{"--smtp", "127.0.0.1:25", "--smtp-from", "a@example.ca", "--smtp-user", "hub", "--smtp-password-file", filepath.Join(p.dir, "none")},
	} {
		_, errs, code := p.try(nil, append([]string{"serve", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0"}, args...)...)
		require.Equal(t, 2, code, "%v: %s", args, errs)
	}
}
