package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/tellonce/hub/adapters/auth"
	"github.com/tellonce/hub/adapters/keys"
	"github.com/tellonce/hub/domain/audit"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/domain/projection"
	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/postgres"
	"github.com/tellonce/hub/eventstore/seal"
	"github.com/tellonce/hub/eventstore/sqlite"
	"github.com/tellonce/hub/schemas"
)

// hub is the rooms of one process on one log. Clean-ups are stacked while it is built and run backwards by Close.
type hub struct {
	config     *config
	logger     *slog.Logger
	store      eventstore.Store
	keyStore   seal.KeyStore
	wrapper    *keys.FileWrapper
	keyring    *seal.Keyring
	registry   *schemas.Registry
	journal    *journal.Journal
	command    *command.Handler
	delivery   *delivery.Delivery
	projection *projection.Projection
	audit      *audit.Audit
	tokens     *auth.Issuer
	verifier   *auth.Verifier
	cleanups   []func()
}

// Close runs the clean-ups, last first.
func (h *hub) Close() {
	for i := len(h.cleanups) - 1; i >= 0; i-- {
		h.cleanups[i]()
	}
	h.cleanups = nil
}

// openHub opens the log that the configuration names. On failure everything that was opened is closed.
func openHub(ctx context.Context, c *config, logger *slog.Logger) (h *hub, err error) {
	h = &hub{config: c, logger: logger}
	defer func() {
		if err != nil {
			h.Close()
		}
	}()
	if err = h.openStore(ctx, true); err != nil {
		return h, err
	}
	genesis, err := journal.ReadGenesis(ctx, h.store)
	if err != nil {
		return h, err
	}
	if err = h.openJournal(ctx, genesis); err != nil {
		return h, err
	}
	h.command, h.delivery = command.New(h.journal), delivery.New(h.journal)
	h.projection, h.audit = projection.New(h.journal), audit.New(h.journal)
	return h, h.openTokens(genesis)
}

// onHub is a command on the open log that the configuration names.
func (c *cli) onHub(run func(cmd *cobra.Command, h *hub, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		h, err := openHub(cmd.Context(), &c.config, c.logger())
		if err != nil {
			return err
		}
		defer h.Close()
		return run(cmd, h, args)
	}
}

// openStore opens the log's store; mustExist forbids making one.
func (h *hub) openStore(ctx context.Context, mustExist bool) error {
	if h.config.postgres() {
		dsn, schema, err := h.config.database()
		if err != nil {
			return err
		}
		store, err := postgres.Open(ctx, postgres.Config{DSN: dsn, Schema: schema, Logf: func(text string) { h.logger.Warn(text) }})
		if err != nil {
			return err
		}
		h.store = store
	} else {
		store, err := sqlite.Open(ctx, sqlite.Config{Dir: h.config.store, MustExist: mustExist})
		if err != nil {
			return err
		}
		h.store = store
	}
	h.onClose(h.store.Close)
	return nil
}

func (h *hub) onClose(f func() error) {
	h.cleanups = append(h.cleanups, func() {
		if err := f(); err != nil {
			h.logger.Error("closing", "error", err)
		}
	})
}

// openKeys opens the key store beside the log.
func (h *hub) openKeys(ctx context.Context) error {
	if h.config.postgres() {
		dsn, schema, err := h.config.database()
		if err != nil {
			return err
		}
		if schema != "" {
			schema += "_keys"
		}
		store, err := postgres.OpenKeys(ctx, postgres.KeysConfig{DSN: dsn, Schema: schema})
		if err != nil {
			return err
		}
		h.keyStore = store
		h.onClose(store.Close)
		return nil
	}
	store, err := sqlite.OpenKeys(ctx, h.config.keysDir())
	if err != nil {
		return err
	}
	h.keyStore = store
	h.onClose(store.Close)
	return nil
}

func (h *hub) openJournal(ctx context.Context, genesis journal.Genesis) (err error) {
	if h.wrapper, err = keys.OpenWrapper(h.config.keysDir()); err != nil {
		return err
	}
	if err := h.openKeys(ctx); err != nil {
		return err
	}
	if h.keyring, err = seal.NewKeyring(ctx, seal.Config{Store: h.keyStore, Wrapper: h.wrapper, LogID: genesis.LogID}); err != nil {
		return err
	}
	if h.registry, err = schemas.New(); err != nil {
		return err
	}
	h.journal, err = journal.Open(ctx, journal.Config{Store: h.store, Keyring: h.keyring, Registry: h.registry, Clock: time.Now, CachedStates: h.config.cachedStates})
	return err
}

// initialise makes keys and genesis. Keys come first: if the process dies between, the next init goes on with them.
func initialise(ctx context.Context, c *config, logger *slog.Logger, genesis journal.Genesis) (err error) {
	h := &hub{config: c, logger: logger}
	defer h.Close()
	if err := h.openStore(ctx, false); err != nil {
		return err
	}
	if _, err := journal.ReadGenesis(ctx, h.store); err == nil {
		return fmt.Errorf("%w: %s", journal.ErrExists, c.place())
	} else if !errors.Is(err, eventstore.ErrNoGenesis) {
		return err
	}
	if err := keys.Init(c.keysDir()); err != nil {
		return err
	}
	wrapper, err := keys.OpenWrapper(c.keysDir())
	if err != nil {
		return err
	}
	if err := h.openKeys(ctx); err != nil {
		return err
	}
	// The key store belongs to one log: an init that died after it was bound goes on with the same log id.
	if genesis.LogID, err = seal.BoundLog(ctx, h.keyStore); err != nil {
		return err
	}
	if genesis.LogID == uuid.Nil {
		genesis.LogID = uuid.New()
	}
	if _, err := seal.NewKeyring(ctx, seal.Config{Store: h.keyStore, Wrapper: wrapper, LogID: genesis.LogID}); err != nil {
		return err
	}
	return journal.Begin(ctx, h.store, genesis)
}

// explain turns an error into one clear sentence that says what to do.
func explain(err error) string {
	var unreachable *pgconn.ConnectError
	switch {
	case errors.As(err, &unreachable):
		return fmt.Sprintf("the database can't be reached (%s); check that it runs and that --store names it", strings.Join(strings.Fields(unreachable.Error()), " "))
	case errors.Is(err, eventstore.ErrNoGenesis):
		return "there is no log here yet; make one with `tellonce init` (or `tellonce init --sandbox` to try things out)"
	case errors.Is(err, journal.ErrExists):
		return err.Error() + "; it is left as it is. Choose another --store, or use this one"
	case errors.Is(err, eventstore.ErrServed):
		return "another `tellonce serve` runs on this store; stop it first, or use PostgreSQL, which any number of replicas share"
	case errors.Is(err, seal.ErrStaleEpoch):
		return err.Error() + "; put the newest copy of wrapping.key into the keys directory (--keys names it)"
	case errors.Is(err, eventstore.ErrStoreVersion):
		return err.Error() + "; run `tellonce migrate` with the newer program, or use the program that made it"
	case errors.Is(err, os.ErrPermission):
		return err.Error() + "; check who owns the files and their mode"
	case errors.Is(err, context.Canceled):
		return "stopped"
	}
	return err.Error()
}
