package web

import (
	"errors"
	"net/http"
	"time"

	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

type noticeView struct {
	What  string // which kind of thing was changed: nothing of what it is now
	When  time.Time
	Used  bool
	Token string
}

// noticePage is where the link in a notice leads: it says what was changed and asks whether that was them. It needs no sign-in, for who has
// lost their account could not; and it changes nothing, for mailboxes look at links by themselves.
func (s *server) noticePage(r *request) error {
	token := r.PathValue("token")
	link, err := s.Command.ReadLink(r.Context(), token)
	if errors.Is(err, command.ErrLink) {
		return s.noLink(r)
	}
	if err != nil {
		return err
	}
	what, err := s.changedType(r, &link.Change)
	if err != nil {
		return err
	}
	v := noticeView{What: what, When: link.Change.RecordedAt, Used: link.Used, Token: token}
	title := r.say("notice.title")
	if v.Used {
		title = r.say("notice.done.title")
	}
	return s.show(r, http.StatusOK, "notice", view{Title: title, Data: v})
}

// noticePost is "this was not me". What lets it happen is the token alone, which no other site knows.
func (s *server) noticePost(r *request) error {
	token := r.PathValue("token")
	_, err := s.Command.NotMe(r.Context(), journal.IssuerPages, token)
	if errors.Is(err, command.ErrLink) {
		return s.noLink(r)
	}
	if err != nil {
		return err
	}
	return r.redirect("/notices/" + token)
}

// noLink answers for a link that is none of ours, has expired, or leads to somebody who is not here any more: which, is nobody's business.
func (s *server) noLink(r *request) error {
	return s.show(r, http.StatusNotFound, "problem", view{Title: r.say("notice.expired.title"), Data: r.say("notice.expired.text")})
}

// changedType is what people call the kind of fact that a change is about.
func (s *server) changedType(r *request, change *journal.Entry) (string, error) {
	at := change
	if corrects := journal.Corrects(change.Event); corrects != 0 {
		entries, err := s.Journal.Read(r.Context(), corrects)
		if err != nil {
			return "", err
		}
		at = &entries[0]
	}
	if told, ok := at.Event.(citizen.Change); ok {
		return s.typeLabel(r.words, told.Type), nil
	}
	return s.typeLabel(r.words, at.Type), nil
}
