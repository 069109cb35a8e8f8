package web

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/journal"
)

// draft is an address form under way, as typed. It travels in a cookie that only hubs of this log can open.
type draft struct {
	Command string    `json:"command"` // id of the command that the confirmation will give
	At      time.Time `json:"at"`      // when it was begun or last changed

	Street   string `json:"street,omitempty"`
	Unit     string `json:"unit,omitempty"`
	City     string `json:"city,omitempty"`
	Province string `json:"province,omitempty"`
	Postal   string `json:"postal,omitempty"`
	Year     string `json:"year,omitempty"`
	Month    string `json:"month,omitempty"`
	Day      string `json:"day,omitempty"`

	Posted bool     `json:"posted,omitempty"` // the first page was sent: what is wrong with it is shown
	Chosen bool     `json:"chosen,omitempty"` // the second page was sent
	Agree  []string `json:"agree,omitempty"`  // agreements newly agreed to
	Stop   []string `json:"stop,omitempty"`   // agreements no longer agreed to
	Done   string   `json:"done,omitempty"`   // the receipt: this change was told
}

// draftLife is how long a form may lie; maxCookie how large a cookie every browser keeps.
const (
	draftLife = time.Hour
	maxCookie = 4000
)

// draftBox seals drafts under a key that all replicas of a hub derive from the log's keyring, bound to the resident and the kind of
// address.
type draftBox struct{ aead cipher.AEAD }

func newDraftBox(j *journal.Journal) (draftBox, error) {
	key := j.Digest("web address draft")
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

func draftContext(who uuid.UUID, kind string) []byte { return append(who[:], kind...) }

func (b draftBox) seal(d draft, who uuid.UUID, kind string) (string, error) {
	plain, err := json.Marshal(d)
	if err != nil {
		return "", fmt.Errorf("web: %w", err)
	}
	// #nosec G407 -- this AEAD makes its own random nonce, and takes none
	return base64.RawURLEncoding.EncodeToString(b.aead.Seal(nil, nil, plain, draftContext(who, kind))), nil
}

func (b draftBox) open(text string, who uuid.UUID, kind string) (d draft, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return draft{}, false
	}
	plain, err := b.aead.Open(nil, nil, sealed, draftContext(who, kind))
	if err != nil || json.Unmarshal(plain, &d) != nil {
		return draft{}, false
	}
	return d, true
}

// draft is the resident's form under way, or a new one.
func (s *server) draft(r *request, kind string) draft {
	if cookie, err := r.Cookie(draftCookie + kind); err == nil {
		d, ok := s.drafts.open(cookie.Value, r.actor.Citizen, kind)
		if age := s.Clock().Sub(d.At); ok && age < draftLife && age > -draftLife {
			return d
		}
	}
	return draft{Command: uuid.NewString(), Province: "ON"}
}

// keep puts the form into its cookie. One that is too large for a cookie is not kept: the page still shows what was typed.
func (s *server) keep(r *request, kind string, d draft) error {
	d.At = s.Clock().UTC()
	sealed, err := s.drafts.seal(d, r.actor.Citizen, kind)
	if err != nil {
		return err
	}
	if len(sealed) > maxCookie {
		sealed = ""
	}
	s.setCookie(r, draftCookie+kind, sealed)
	return nil
}

func (s *server) forgetDrafts(r *request) {
	for _, kind := range []string{consent.AddressHome, consent.AddressMailing} {
		if _, err := r.Cookie(draftCookie + kind); err == nil {
			s.setCookie(r, draftCookie+kind, "")
		}
	}
}

// print is a short keyed hash of what a form says.
func (s *server) print(d draft) string {
	sum := s.Journal.Digest("web address print", []byte(d.Street), []byte(d.Unit), []byte(d.City), []byte(d.Province), []byte(d.Postal),
		[]byte(d.Year), []byte(d.Month), []byte(d.Day), fmt.Appendf(nil, "%q %q", d.Agree, d.Stop))
	return hex.EncodeToString(sum[:12])
}
