// Package notice tells citizens what the log says happened: that something of theirs changed, so that somebody who did not do it can stop it;
// that an agreement asks for more; that an officer answered. It follows the log, and what it did is on the log: a notice is known by the
// record that caused it, its template, its channel and the contact it went to, and one that is on the log is not sent again. If the process
// dies between sending and that record, the notice goes out twice; it is never lost.
package notice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tellonce/hub/domain/journal"
)

// Notice is one message to one person, ready to be sent.
type Notice struct {
	ID       string // the same whenever this notice is sent: 32 hex digits that say nothing
	Channel  string // journal.NoticeEmail, NoticeText or NoticeLetter
	To       string // an e-mail address, a phone number (E.164), or a name and a postal address, line by line
	Language string // en or fr
	Subject  string // empty for a text message
	Text     string
	HTML     string // the same as Text; of e-mail alone
}

// Format prints the channel alone under every verb: a notice never reaches a log line by way of fmt.
func (n Notice) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "notice(%s)", n.Channel) }

// LogValue is the channel alone.
func (n Notice) LogValue() slog.Value { return slog.StringValue("notice(" + n.Channel + ")") }

// Sender hands a notice to a carrier. Nil means that the carrier has it for good. An error that is ErrPermanent means that this notice can
// never be sent to this contact; any other that it may be tried again, and that it may have been sent all the same. An error's text holds
// nothing that the notice held, and nothing that the carrier said.
type Sender interface {
	Send(ctx context.Context, n Notice) error
}

// ErrPermanent marks a Sender's error that another attempt can't mend.
var ErrPermanent = errors.New("notice: this contact does not take notices")

// Config is what Notices need.
type Config struct {
	Journal *journal.Journal
	// Senders are the carriers, by channel. A channel that has none is not used: who prefers it is reached by another one, if they gave it.
	Senders    map[string]Sender
	Owner      string // who holds the lease: one a process
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// FirstRetry is how long to wait before a notice is tried again, the first time; default 1 s. Soon after that it steps aside for others
	// and comes again in a minute, then ever later.
	FirstRetry time.Duration
}

// Notices tells citizens. One process at a time does.
type Notices struct {
	Config
	templates templates
	sent      *prometheus.CounterVec
	waiting   prometheus.Gauge
}

// New returns the follower that tells citizens.
func New(c Config) (*Notices, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.FirstRetry == 0 {
		c.FirstRetry = time.Second
	}
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	n := &Notices{
		Config: c,
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tellonce_notice_sent_total", Help: "Notices to citizens that are on the log, by channel and by what became of them.",
		}, []string{"channel", "code"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tellonce_notice_postponed", Help: "How often in a row notices could not be handed to their carrier; 0 while all goes well.",
		}),
	}
	var err error
	if n.templates, err = loadTemplates(); err != nil {
		return nil, err
	}
	for _, collector := range []prometheus.Collector{n.sent, n.waiting} {
		if err := c.Registerer.Register(collector); err != nil {
			return nil, fmt.Errorf("notice: %w", err)
		}
	}
	return n, nil
}
