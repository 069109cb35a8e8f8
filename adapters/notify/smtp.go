// Package notify hands notices to their carriers: e-mails to a mail server, text messages and letters to an outbox from which a carrier takes
// them. It says what it could not do in words of its own: what a server answers may repeat an address.
package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/tellonce/hub/domain/notice"
)

// SMTPConfig names a mail server that takes e-mails for everybody.
type SMTPConfig struct {
	Address  string // host:port; on port 465 TLS from the first byte
	From     string // an address, or a name with one: Name <address>
	User     string // empty: no sign-in
	Password string
	Timeout  time.Duration // of one e-mail; default 10 s
}

// SMTP sends e-mails through a mail server. TLS is mandatory, but for a server on this very machine.
type SMTP struct {
	client *gomail.Client
	from   *mail.Address
	domain string // of Message-IDs
}

var _ notice.Sender = (*SMTP)(nil)

// NewSMTP returns a sender of e-mails. The server is not asked yet.
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	host, portText, err := net.SplitHostPort(c.Address)
	port, portErr := strconv.Atoi(portText)
	if err != nil || portErr != nil || host == "" {
		return nil, errors.New("notify: the mail server is named like mail.example.ca:587")
	}
	from, err := mail.ParseAddress(c.From)
	if err != nil {
		return nil, errors.New("notify: the sender is an e-mail address, or a name with one: Name <address>")
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	policy := gomail.TLSMandatory
	if isLoopback(host) {
		policy = gomail.TLSOpportunistic
	}
	options := []gomail.Option{gomail.WithPort(port), gomail.WithTimeout(c.Timeout), gomail.WithTLSPolicy(policy)}
	if port == 465 {
		options = append(options, gomail.WithSSL())
	}
	if c.User != "" {
		auth := gomail.SMTPAuthAutoDiscover
		if policy == gomail.TLSOpportunistic {
			auth = gomail.SMTPAuthPlainNoEnc
		}
		options = append(options, gomail.WithSMTPAuth(auth), gomail.WithUsername(c.User), gomail.WithPassword(c.Password))
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	return &SMTP{client: client, from: from, domain: from.Address[strings.LastIndexByte(from.Address, '@')+1:]}, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Send hands an e-mail to the server. Nil: the server has it. The Message-ID is the same whenever this notice is sent, so that a mailbox can
// drop the second of two.
func (s *SMTP) Send(ctx context.Context, n notice.Notice) error {
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	message.FromMailAddress(s.from)
	if err := message.To(n.To); err != nil {
		return fmt.Errorf("%w: it is no e-mail address", notice.ErrPermanent)
	}
	message.SetMessageIDWithValue(n.ID + "@" + s.domain)
	message.SetDate()
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetGenHeader("Content-Language", n.Language)
	message.Subject(n.Subject)
	message.SetBodyString(gomail.TypeTextPlain, n.Text)
	if n.HTML != "" {
		message.AddAlternativeString(gomail.TypeTextHTML, n.HTML)
	}
	err := s.client.DialAndSendWithContext(ctx, message)
	if message.IsDelivered() { // whatever went wrong when saying goodbye
		return nil
	}
	return said(err)
}

// said turns an error of the mail client into ours. Only what the server says for good about this recipient or this message is permanent: a
// wrong password or a sender that is not allowed is for an operator to mend, and must lose no notice.
func said(err error) error {
	var refused *gomail.SendError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &refused):
		return errors.New("notify: the mail server can't be reached, or does not let us in")
	}
	code := refused.ErrorCode()
	about := refused.Reason == gomail.ErrSMTPRcptTo || refused.Reason == gomail.ErrSMTPDataClose
	if about && code >= 500 && code < 600 {
		return fmt.Errorf("%w: the mail server refused it (%d)", notice.ErrPermanent, code)
	}
	return fmt.Errorf("notify: the mail server did not take an e-mail (%d)", code)
}
