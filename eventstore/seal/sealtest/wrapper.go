package sealtest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tellonce/hub/eventstore/seal"
)

// Wrapper wraps keys under random keys in memory, one for each epoch.
type Wrapper struct {
	file   *file
	epochs atomic.Pointer[map[int32]cipher.AEAD] // what this process has read of the file
}

// file is what all processes read.
type file struct {
	mu     sync.Mutex
	epochs map[int32]cipher.AEAD
}

var _ seal.KeyWrapper = (*Wrapper)(nil)

// NewWrapper returns a wrapper with a file of its own that holds a key of one epoch.
func NewWrapper(epoch int32) (*Wrapper, error) {
	w := &Wrapper{file: &file{epochs: map[int32]cipher.AEAD{}}}
	return w, w.Add(epoch)
}

// Add puts an epoch into the file, and reads it.
func (w *Wrapper) Add(epoch int32) error {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return err
	}
	w.file.mu.Lock()
	w.file.epochs[epoch] = aead
	w.file.mu.Unlock()
	return w.Refresh()
}

// Process is another process's wrapper on the same file.
func (w *Wrapper) Process() *Wrapper {
	other := &Wrapper{file: w.file}
	_ = other.Refresh() // never fails
	return other
}

// Stolen is a copy of the file as it is now: it learns of nothing that comes.
func (w *Wrapper) Stolen() *Wrapper {
	w.file.mu.Lock()
	defer w.file.mu.Unlock()
	return (&Wrapper{file: &file{epochs: maps.Clone(w.file.epochs)}}).Process()
}

// Retire takes epochs from the file.
func (w *Wrapper) Retire(epochs ...int32) {
	w.file.mu.Lock()
	defer w.file.mu.Unlock()
	for _, epoch := range epochs {
		delete(w.file.epochs, epoch)
	}
}

// Epoch is the newest epoch this process knows.
func (w *Wrapper) Epoch() int32 { return slices.Max(slices.Collect(maps.Keys(*w.epochs.Load()))) }

// Wrap seals key under the newest epoch.
func (w *Wrapper) Wrap(aad, key []byte) (int32, []byte, error) {
	epoch := w.Epoch()
	return epoch, w.aead(epoch).Seal(nil, nil, key, aad), nil // #nosec G407 -- the cipher draws the nonce itself
}

// Unwrap opens what Wrap sealed.
func (w *Wrapper) Unwrap(epoch int32, aad, wrapped []byte) ([]byte, error) {
	aead := w.aead(epoch)
	if aead == nil {
		_ = w.Refresh() // never fails
		if aead = w.aead(epoch); aead == nil {
			return nil, errors.New("sealtest: another epoch")
		}
	}
	return aead.Open(nil, nil, wrapped, aad)
}

func (w *Wrapper) aead(epoch int32) cipher.AEAD { return (*w.epochs.Load())[epoch] }

// Refresh reads the file.
func (w *Wrapper) Refresh() error {
	w.file.mu.Lock()
	epochs := maps.Clone(w.file.epochs)
	w.file.mu.Unlock()
	w.epochs.Store(&epochs)
	return nil
}
