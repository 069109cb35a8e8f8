package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/adapters/notify"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/notice"
)

// noticeFlags are the carriers of notices to citizens.
type noticeFlags struct {
	smtp         string
	from         string
	user         string
	passwordFile string
	textDir      string
	letterDir    string
}

func (n *noticeFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&n.smtp, "smtp", "", "mail server for notices to citizens, HOST:PORT (default: no e-mails)")
	f.StringVar(&n.from, "smtp-from", "", "sender of e-mails: an address, or Name <address>")
	f.StringVar(&n.user, "smtp-user", "", "who signs in to the mail server")
	f.StringVar(&n.passwordFile, "smtp-password-file", "", "file with the password for --smtp-user")
	f.StringVar(&n.textDir, "text-dir", "", "folder for text messages, from which a carrier takes them (default: no text messages)")
	f.StringVar(&n.letterDir, "letter-dir", "", "folder for letters, from which a carrier takes them (default: no letters)")
}

// senders are the carriers that the flags name, by channel.
func (n *noticeFlags) senders() (map[string]notice.Sender, error) {
	switch {
	case n.smtp == "" && n.from+n.user+n.passwordFile != "":
		return nil, usageError{errors.New("--smtp-from, --smtp-user and --smtp-password-file need --smtp HOST:PORT")}
	case n.smtp != "" && n.from == "":
		return nil, usageError{errors.New("--smtp needs --smtp-from ADDRESS")}
	case (n.user == "") != (n.passwordFile == ""):
		return nil, usageError{errors.New("--smtp-user and --smtp-password-file go together")}
	}
	out := map[string]notice.Sender{}
	if n.smtp != "" {
		config := notify.SMTPConfig{Address: n.smtp, From: n.from, User: n.user}
		if n.passwordFile != "" {
			text, err := os.ReadFile(n.passwordFile)
			if err != nil {
				return nil, usageError{fmt.Errorf("--smtp-password-file: %w", err)}
			}
			config.Password = strings.TrimRight(string(text), "\r\n")
		}
		sender, err := notify.NewSMTP(config)
		if err != nil {
			return nil, usageError{err}
		}
		out[journal.NoticeEmail] = sender
	}
	for channel, dir := range map[string]string{journal.NoticeText: n.textDir, journal.NoticeLetter: n.letterDir} {
		if dir == "" {
			continue
		}
		sender, err := notify.NewOutbox(dir)
		if err != nil {
			return nil, err
		}
		out[channel] = sender
	}
	return out, nil
}

// tell sends notices to citizens, where there is any carrier.
func (a *app) tell(group *errgroup.Group, work context.Context) error {
	senders, err := a.notices.senders()
	if err != nil || len(senders) == 0 {
		return err
	}
	notices, err := notice.New(notice.Config{Journal: a.journal, Senders: senders, Owner: owner(), Logger: a.logger, Registerer: a.registry})
	if err != nil {
		return err
	}
	group.Go(func() error { return a.keep(work, "notices", func() error { return notices.Run(work) }) })
	return nil
}
