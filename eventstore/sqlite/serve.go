package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tellonce/hub/eventstore"
)

// ServeFile is the name of the file that the serving process holds a lock on.
const ServeFile = "serve.lock"

// Serve takes the store's one place for a hub that serves; eventstore.ErrServed while another process, or another handle, has it. Other
// commands work beside. The lock is the operating system's: when the process dies, however it dies, the place is free.
func (s *Store) Serve(ctx context.Context) (release func(), err error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	path := filepath.Join(s.config.Dir, ServeFile)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec -- the operator's own path
	if err != nil {
		return nil, fmt.Errorf("sqlite: lock the store: %w", err)
	}
	taken, err := lockFile(file)
	if err != nil || !taken {
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("sqlite: lock the store: %w", err)
		}
		return nil, fmt.Errorf("%w: %s", eventstore.ErrServed, s.config.Dir)
	}
	// The file stays: deleting it would let two processes lock two files of one name.
	return func() { _ = file.Close() }, nil
}
