package web

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/domain/journal"
)

// draft is a form under way, as typed. It travels in a cookie that only hubs of this log can open.
type draft struct {
	Command string            `json:"command"` // id of the command that the confirmation will give
	At      time.Time         `json:"at"`      // when it was begun or last changed
	Values  map[string]string `json:"values,omitempty"`
	Today   string            `json:"today,omitempty"` // the day on which the first page was sent
	With    []string          `json:"with,omitempty"`  // who changes too: their marks

	Posted bool     `json:"posted,omitempty"` // the first page was sent: what is wrong with it is shown
	Chosen bool     `json:"chosen,omitempty"` // the second page was sent
	Agree  []string `json:"agree,omitempty"`  // agreements newly agreed to
	Stop   []string `json:"stop,omitempty"`   // agreements no longer agreed to
	Done   []string `json:"done,omitempty"`   // the receipts: this was told
}

// draftLife is how long a form may lie; maxCookie how large a cookie every browser keeps.
const (
	draftLife = time.Hour
	maxCookie = 4000
)

// draftCookie, with a form's name behind it, holds a form under way.
const draftCookie = "tellonce-form-"

// draftBox seals what a browser keeps for these pages, under a key that all replicas of a hub derive from the log's keyring, bound to who may
// read it and to what it is.
type draftBox struct{ aead cipher.AEAD }

func newDraftBox(j *journal.Journal) (draftBox, error) {
	key := j.Digest("web form draft")
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return draftBox{}, fmt.Errorf("web: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return draftBox{}, fmt.Errorf("web: %w", err)
	}
	return draftBox{aead: aead}, nil
}

// sealContext binds what is sealed to who is signed in, to the person whom it is about, and to what it is.
func sealContext(r *request, what string) []byte {
	return append(append(r.actor.Citizen[:], r.actor.ID...), uuid.UUID(r.citizen()).String()+" "+what...)
}

func (b draftBox) seal(v any, context []byte) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("web: %w", err)
	}
	// #nosec G407 -- this AEAD makes its own random nonce, and takes none
	return base64.RawURLEncoding.EncodeToString(b.aead.Seal(nil, nil, plain, context)), nil
}

// open reads into v what was sealed, if it was sealed for this context.
func (b draftBox) open(text string, context []byte, v any) bool {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	plain, err := b.aead.Open(nil, nil, sealed, context)
	return err == nil && json.Unmarshal(plain, v) == nil
}

// draft is a form under way, with ok; or the zero draft.
func (s *server) draft(r *request, name string) (d draft, ok bool) {
	cookie, err := r.Cookie(draftCookie + name)
	if err != nil || !s.drafts.open(cookie.Value, sealContext(r, name), &d) {
		return draft{}, false
	}
	if age := s.Clock().Sub(d.At); age >= draftLife || age <= -draftLife {
		return draft{}, false
	}
	return d, true
}

// keep puts the form into its cookie. One that is too large for a cookie is not kept: the page still shows what was typed.
func (s *server) keep(r *request, name string, d draft) error {
	d.At = s.Clock().UTC()
	sealed, err := s.drafts.seal(d, sealContext(r, name))
	if err != nil {
		return err
	}
	if len(sealed) > maxCookie {
		sealed = ""
	}
	s.setCookie(r, draftCookie+name, sealed)
	return nil
}

// forgetDrafts takes away what the browser keeps of forms, and for whom somebody acts.
func (s *server) forgetDrafts(r *request) {
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, draftCookie) || cookie.Name == actingCookie {
			s.setCookie(r, cookie.Name, "")
		}
	}
}

// print is a short keyed hash of what a form says.
func (s *server) print(d draft) string {
	plain, _ := json.Marshal([]any{d.Values, d.Today, d.With, d.Agree, d.Stop}) //nolint:errchkjson // texts alone
	sum := s.Journal.Digest("web form print", plain)
	return hex.EncodeToString(sum[:12])
}
