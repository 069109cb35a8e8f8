package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tellonce/hub/adapters/keys"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/seal"
)

func (c *cli) keysCommand() *cobra.Command {
	return group("keys", "The keys: rotation, and the tombstones of destroyed ones", c.keysRotate(), c.keysTombstones())
}

func (c *cli) keysRotate() *cobra.Command {
	var retire, yes bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Wrap every stored key under a new wrapping key, while the hub runs",
		Long: "Adds a wrapping key of the next epoch to the keys directory, records it in the log, and wraps every stored key under it. The data\n" +
			"keys stay what they are: nothing is encrypted anew. The hub and other commands go on meanwhile. Interrupted at any moment, the same\n" +
			"command goes on where it was.\n" +
			"--retire then takes the earlier epochs out of the file. Whoever has a copy of them opens nothing with it that is stored from then\n" +
			"on; nor can a backup of the key store made before the rotation be used without such a copy.",
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if retire && !yes {
				return usageError{errors.New("--retire destroys the wrapping keys of earlier epochs; say --yes if that is meant")}
			}
			rotation, err := keys.Rotate(c.config.keysDir())
			if err != nil {
				return err
			}
			defer rotation.Close() //nolint:errcheck // the lock ends with the process at the latest
			h, err := openHub(cmd.Context(), &c.config, c.logger())
			if err != nil {
				return err
			}
			defer h.Close()
			if retire {
				return c.retire(cmd.Context(), h, rotation)
			}
			return c.rotate(cmd.Context(), h, rotation)
		},
	}
	cmd.Flags().BoolVar(&retire, "retire", false, "take the epochs under which no key stands any more out of the keys directory")
	cmd.Flags().BoolVar(&yes, "yes", false, "with --retire: destroy those wrapping keys")
	return cmd
}

// rotate goes to a new epoch, or goes on with a rotation that was interrupted. Each step can be repeated: the file is replaced as a whole,
// the event has a command id of its own, and a key stands under one epoch or the other.
func (c *cli) rotate(ctx context.Context, h *hub, rotation *keys.Rotation) error {
	standing, err := h.keyring.CloseEpochs(ctx)
	if err != nil {
		return err
	}
	// If all keys stand under the newest epoch, the last rotation is finished. A crash right after Add leaves an epoch under which none
	// stands: the hub's own secret, which there always is, tells.
	if seal.Before(standing, h.wrapper.Epoch()) == 0 {
		if _, err := rotation.Add(); err != nil {
			return err
		}
		if err := h.wrapper.Refresh(); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.err, "A rotation to epoch %d was interrupted: it goes on.\n", h.wrapper.Epoch())
	}
	epoch := h.wrapper.Epoch()
	if err := h.recordEpoch(ctx, epoch); err != nil {
		return err
	}
	bar := c.progress("keys rotate", "keys", 0)
	n, err := h.keyring.Rewrap(ctx, func(done, total int64) { bar.total = total; bar.at(done, done) })
	if err != nil {
		return fmt.Errorf("the rotation to epoch %d stopped after %d keys (give the command again to go on): %w", epoch, n, err)
	}
	bar.done(n)
	out := c.lines()
	text := fmt.Sprintf("All keys stand under epoch %d. Back up the keys directory, then take the earlier epochs out with: "+
		"tellonce keys rotate --retire --yes", epoch)
	if err := out.emit(map[string]any{"epoch": epoch, "keys": n}, text); err != nil {
		return err
	}
	return out.flush()
}

// recordEpoch appends key-epoch-rotated, once for each epoch.
func (h *hub) recordEpoch(ctx context.Context, epoch int32) error {
	name := fmt.Sprint("epoch ", epoch)
	_, err := h.journal.Append(ctx, journal.Step{
		Command: journal.CommandID{Issuer: "keys", ID: name, Content: []byte(name)},
		Origin:  journal.Origin{Issuer: journal.IssuerCommand, Actor: journal.ActorOperator},
		Events:  []journal.New{{Aggregate: journal.HubAggregate, Event: journal.KeyEpochRotated{Epoch: int(epoch)}, Cause: eventstore.NoCause}},
	})
	if err != nil {
		return fmt.Errorf("record the new epoch: %w", err)
	}
	return nil
}

// retire takes the earlier epochs out of the file, if nothing stands under them. They are closed first: no process can store a key under
// one of them between the count and the end of its wrapping key.
func (c *cli) retire(ctx context.Context, h *hub, rotation *keys.Rotation) error {
	standing, err := h.keyring.CloseEpochs(ctx)
	if err != nil {
		return err
	}
	epoch := h.wrapper.Epoch()
	if n := seal.Before(standing, epoch); n > 0 {
		return fmt.Errorf("%d keys still stand under epochs before %d; run `tellonce keys rotate` to its end first", n, epoch)
	}
	retired := slices.DeleteFunc(h.wrapper.Epochs(), func(e int32) bool { return e >= epoch })
	text := fmt.Sprintf("There is no epoch before %d to retire.", epoch)
	if len(retired) > 0 {
		if err := rotation.Retire(retired...); err != nil {
			return err
		}
		text = fmt.Sprintf("Retired: %v. Epoch %d is in use. Back up the key store and the keys directory now: "+
			"older backups of the key store need the retired keys.", retired, epoch)
	}
	out := c.lines()
	if err := out.emit(map[string]any{"epoch": epoch, "retired": append([]int32{}, retired...)}, text); err != nil {
		return err
	}
	return out.flush()
}

// tombstone is one line of `keys tombstones`: a destroyed key. It holds no personal data.
type tombstone struct {
	Subject   uuid.UUID `json:"subject"`
	Class     int16     `json:"class"`     // 0: the citizen's pairwise secret
	Reference int64     `json:"reference"` // by which the log's records name the key
	Destroyed bool      `json:"destroyed"` // always true
}

// tombstonePage is how many are read or planted at once.
const tombstonePage = 1000

func (c *cli) keysTombstones() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "tombstones",
		Short: "Print every destroyed key, one JSON object a line; or plant them after a restore",
		Long: "A key that was destroyed after a backup was made comes back when the backup is restored. Keep this command's output apart from the\n" +
			"backups, and plant it with --import in a restored key store, before the hub is started: what was erased is erased again.\n" +
			"The lines hold no personal data.",
		Args: exactly(0, "no arguments"),
		RunE: c.onHub(func(cmd *cobra.Command, h *hub, _ []string) error {
			if file != "" {
				return c.plantTombstones(cmd.Context(), h.keyring, file)
			}
			return c.printTombstones(cmd.Context(), h.keyring)
		}),
	}
	cmd.Flags().StringVar(&file, "import", "", "plant the tombstones of a file (- for stdin); may be repeated")
	return cmd
}

func (c *cli) printTombstones(ctx context.Context, keyring *seal.Keyring) error {
	out := bufio.NewWriter(c.out)
	encoder := json.NewEncoder(out)
	for after := (seal.KeyID{}); ; {
		page, err := keyring.Tombstones(ctx, after, tombstonePage)
		if err != nil {
			return err
		}
		for _, key := range page {
			if err := encoder.Encode(tombstone{key.Subject, int16(key.Class), key.Ref, true}); err != nil {
				return err
			}
		}
		if len(page) < tombstonePage {
			return out.Flush()
		}
		after = page[len(page)-1].KeyID
	}
}

// plantTombstones destroys the keys of a file's lines, page by page: after a failure the same file again goes on.
func (c *cli) plantTombstones(ctx context.Context, keyring *seal.Keyring, name string) error {
	in, size, err := c.input(name)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // only read
	bar := c.progress("tombstones", "lines", size)
	lines := bufio.NewScanner(in)
	var page []seal.KeyID
	planted, bytes := int64(0), int64(0)
	plant := func() error {
		if _, err := keyring.Destroy(ctx, page...); err != nil {
			return fmt.Errorf("after %d tombstones: %w", planted, err)
		}
		planted += int64(len(page))
		page = page[:0]
		bar.at(bytes, planted)
		return nil
	}
	for n := 1; lines.Scan(); n++ {
		id, err := parseTombstone(lines.Text())
		if err != nil {
			return fmt.Errorf("line %d of %s: %w; %d tombstones were planted before it", n, name, err, planted)
		}
		bytes += int64(len(lines.Bytes())) + 1
		if page = append(page, id); len(page) == tombstonePage {
			if err := plant(); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w; %d tombstones were planted", name, err, planted)
	}
	if err := plant(); err != nil {
		return err
	}
	bar.done(planted)
	return nil
}

var errNoTombstone = errors.New("not a line that `tellonce keys tombstones` printed")

func parseTombstone(line string) (seal.KeyID, error) {
	var t tombstone
	decoder := json.NewDecoder(strings.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&t); err != nil {
		return seal.KeyID{}, errNoTombstone
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return seal.KeyID{}, errNoTombstone
	}
	id := seal.KeyID{Subject: t.Subject, Class: eventstore.Class(t.Class)}
	if !t.Destroyed || id == (seal.KeyID{}) || id.Class < eventstore.Public || id.Class > eventstore.IdentityTie {
		return seal.KeyID{}, errNoTombstone
	}
	return id, nil
}
