package notify_test

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/adapters/notify"
	"github.com/tellonce/hub/domain/notice"
)

// mailServer is a real SMTP server that keeps what it took, and refuses as a test says.
type mailServer struct {
	address string
	rcpt    func(to string) error
	data    func() error
	reset   func() // after a message was taken
	user    string // if set, nothing is taken without a sign-in

	mu   sync.Mutex
	took []*mail.Message
	body [][]byte
}

type session struct {
	server *mailServer
	conn   *smtp.Conn
	signed bool
	taken  bool
}

func serve(t *testing.T, s *mailServer, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{server: s, conn: c}, nil }))
	server.Domain, server.AllowInsecureAuth, server.EnableSMTPUTF8 = "mail.example.ca", true, true
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	s.address = listener.Addr().String()
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.server.user || password != "secret" {
			return smtp.ErrAuthFailed
		}
		s.signed = true
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error {
	if s.server.user != "" && !s.signed {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.server.rcpt != nil {
		return s.server.rcpt(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	if s.server.data != nil {
		if err := s.server.data(); err != nil {
			return err
		}
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	message, err := mail.ReadMessage(strings.NewReader(string(text)))
	if err != nil {
		return err
	}
	body, err := io.ReadAll(message.Body)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.took, s.server.body = append(s.server.took, message), append(s.server.body, body)
	s.taken = true
	return err
}

func (s *session) Reset() {
	if s.taken && s.server.reset != nil {
		s.server.reset()
		_ = s.conn.Conn().Close()
	}
}

func (s *session) Logout() error { return nil }

func email(to string) notice.Notice {
	return notice.Notice{
		ID: "0123456789abcdef0123456789abcdef", Channel: "email", To: to, Language: "fr", Subject: "Un changement\u00a0: Coordonnées",
		Text: "Bonjour,\n\nUn changement a été noté.\n", HTML: "<p>Bonjour,</p>\n<p>Un changement a été noté.</p>\n",
	}
}

func sender(t *testing.T, c notify.SMTPConfig) *notify.SMTP {
	t.Helper()
	c.From = "Tell government once <no-reply@tellonce.example>"
	s, err := notify.NewSMTP(c)
	require.NoError(t, err)
	return s
}

// TestAnEmailArrivesWhole: both texts, in their language, under an id that is the same each time.
func TestAnEmailArrivesWhole(t *testing.T) {
	t.Parallel()
	server := &mailServer{}
	serve(t, server, "127.0.0.1:0")
	s := sender(t, notify.SMTPConfig{Address: server.address})
	for range 2 {
		require.NoError(t, s.Send(context.Background(), email("zoë@example.ca")))
	}
	require.Len(t, server.took, 2)
	require.Equal(t, server.took[0].Header.Get("Message-Id"), server.took[1].Header.Get("Message-Id"))
	h := server.took[0].Header
	require.Equal(t, "<0123456789abcdef0123456789abcdef@tellonce.example>", h.Get("Message-Id"))
	require.Equal(t, "auto-generated", h.Get("Auto-Submitted"))
	require.Equal(t, "fr", h.Get("Content-Language"))
	subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, "Un changement\u00a0: Coordonnées", subject)
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", media)
	parts := multipart.NewReader(strings.NewReader(string(server.body[0])), params["boundary"])
	for _, want := range []string{email("").Text, email("").HTML} {
		part, err := parts.NextRawPart()
		require.NoError(t, err)
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		require.NoError(t, err)
		require.Equal(t, want, strings.ReplaceAll(string(text), "\r\n", "\n"))
	}
}

// TestWhatAServerSays: for good only what is about the recipient or the message; and no error repeats what the server said.
func TestWhatAServerSays(t *testing.T) {
	t.Parallel()
	says := func(code int) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "no such user canary@example.ca"}
	}
	for name, c := range map[string]struct {
		server    *mailServer
		to        string
		permanent bool
		code      string
	}{
		"unknown recipient": {server: &mailServer{rcpt: func(string) error { return says(550) }}, permanent: true, code: "550"},
		"try later":         {server: &mailServer{rcpt: func(string) error { return says(451) }}, code: "451"},
		"message refused":   {server: &mailServer{data: func() error { return says(554) }}, permanent: true, code: "554"},
		"full":              {server: &mailServer{data: func() error { return says(452) }}, code: "452"},
		"no password":       {server: &mailServer{user: "hub"}, code: "502"},
		"no address":        {server: &mailServer{}, to: "not an address", permanent: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := c.server
			serve(t, server, "127.0.0.1:0")
			to := "canary@example.ca"
			if c.to != "" {
				to = c.to
			}
			err := sender(t, notify.SMTPConfig{Address: server.address}).Send(context.Background(), email(to))
			require.Error(t, err)
			require.Equal(t, c.permanent, errors.Is(err, notice.ErrPermanent), "%v", err)
			require.NotContains(t, err.Error(), "canary")
			require.Contains(t, err.Error(), c.code)
			require.Empty(t, server.took)
		})
	}
}

// TestSignIn: with the password nothing is lost, and a wrong one is for an operator to mend.
func TestSignIn(t *testing.T) {
	t.Parallel()
	server := &mailServer{user: "hub"}
	serve(t, server, "127.0.0.1:0")
	err := sender(t, notify.SMTPConfig{Address: server.address, User: "hub", Password: "wrong"}).Send(context.Background(), email("a@example.ca"))
	require.Error(t, err)
	require.NotErrorIs(t, err, notice.ErrPermanent)
	require.NotContains(t, err.Error(), "wrong")
	require.NoError(t, sender(t, notify.SMTPConfig{Address: server.address, User: "hub", Password: "secret"}).Send(context.Background(), email("a@example.ca")))
	require.Len(t, server.took, 1)
}

// TestAServerThatIsAway, and one that hangs up after it took the e-mail: that one has it.
func TestAServerThatIsAway(t *testing.T) {
	t.Parallel()
	server := &mailServer{reset: func() {}}
	serve(t, server, "127.0.0.1:0")
	require.NoError(t, sender(t, notify.SMTPConfig{Address: server.address}).Send(context.Background(), email("a@example.ca")))
	require.Len(t, server.took, 1)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	err = sender(t, notify.SMTPConfig{Address: listener.Addr().String()}).Send(context.Background(), email("a@example.ca"))
	require.Error(t, err)
	require.NotErrorIs(t, err, notice.ErrPermanent)
}

// TestNoPlainTextOverANetwork: what is not on this machine must speak TLS.
func TestNoPlainTextOverANetwork(t *testing.T) {
	t.Parallel()
	server := &mailServer{}
	serve(t, server, "0.0.0.0:0")
	_, port, err := net.SplitHostPort(server.address)
	require.NoError(t, err)
	addresses, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, address := range addresses {
		network, ok := address.(*net.IPNet)
		if !ok || network.IP.IsLoopback() || network.IP.To4() == nil {
			continue
		}
		err := sender(t, notify.SMTPConfig{Address: net.JoinHostPort(network.IP.String(), port)}).Send(context.Background(), email("a@example.ca"))
		require.Error(t, err)
		require.Empty(t, server.took)
	}
}

func TestBadConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []notify.SMTPConfig{
		{Address: "mail.example.ca", From: "a@example.ca"}, {Address: "mail.example.ca:smtp", From: "a@example.ca"}, {Address: "mail.example.ca:587", From: "nobody"}, {Address: ":587", From: "a@example.ca"},
	} {
		_, err := notify.NewSMTP(c)
		require.Error(t, err)
	}
}
