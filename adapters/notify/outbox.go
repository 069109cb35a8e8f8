package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/notice"
)

// Outbox writes text messages or letters as files into a folder, from which a carrier takes them: one JSON object a file, named by the
// notice's id, whole or not there at all. A carrier moves a file away once it is done with it. A notice that is sent twice, because of a
// crash, has the same name.
type Outbox struct{ dir string }

var _ notice.Sender = (*Outbox)(nil)

// NewOutbox returns an outbox in a folder, which is made if it is not there. Only this user may read it.
func NewOutbox(dir string) (*Outbox, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("notify: the outbox can't be made: %w", err)
	}
	return &Outbox{dir: dir}, nil
}

// item is a file of the outbox.
type item struct {
	ID       string   `json:"id"`
	To       string   `json:"to,omitempty"`      // a phone number, E.164
	Address  []string `json:"address,omitempty"` // of a letter: the lines on its envelope
	Language string   `json:"language"`
	Subject  string   `json:"subject,omitempty"`
	Text     string   `json:"text"`
}

// Send writes a file. Nil: it is on the disk.
func (o *Outbox) Send(_ context.Context, n notice.Notice) error {
	it := item{ID: n.ID, To: n.To, Language: n.Language, Subject: n.Subject, Text: n.Text}
	if n.Channel == journal.NoticeLetter {
		it.To, it.Address = "", strings.Split(n.To, "\n")
	}
	text, err := json.Marshal(it)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	if err := o.write(n.ID+".json", append(text, '\n')); err != nil {
		return fmt.Errorf("notify: the outbox can't be written: %w", err)
	}
	return nil
}

// write puts a file into the folder at once. If the process dies before the rename, a file whose name begins with a dot is left, which no
// carrier takes; the notice is written again.
func (o *Outbox) write(name string, text []byte) error {
	file, err := os.CreateTemp(o.dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // after the rename there is none
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), filepath.Join(o.dir, name)); err != nil {
		return err
	}
	folder, err := os.Open(o.dir) // #nosec G304 -- the operator's own folder
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	return folder.Sync()
}
