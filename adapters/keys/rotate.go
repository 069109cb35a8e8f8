package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// lockFileName is the file that a Rotation holds locked. It stays, empty.
const lockFileName = WrappingFile + ".lock"

// ErrRotating: another process is changing the file of wrapping keys.
var ErrRotating = errors.New("keys: another process is rotating these keys: let it finish")

// Rotation is the right to change the file of wrapping keys, of which there is one at a time, on whatever machine the directory is used.
type Rotation struct {
	dir  string
	lock *os.File
}

// Rotate takes that right; ErrRotating if another process has it. It ends with Close, or with the process.
func Rotate(dir string) (*Rotation, error) {
	if _, err := read(dir, WrappingFile); err != nil { // also who may change the directory
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFileName), os.O_RDWR|os.O_CREATE, fileMode) // #nosec G304 -- the operator's own path
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	taken, err := lockFile(lock)
	if err == nil && !taken {
		err = ErrRotating
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Rotation{dir: dir, lock: lock}, nil
}

// Close gives the right back.
func (r *Rotation) Close() error { return r.lock.Close() }

// Add puts a random key of the next epoch into the file, and returns the epoch. The file is replaced as a whole: whatever happens, the old
// one stands or the new one, and when Add returns the new one stands for good. Nothing must be wrapped under the key before.
func (r *Rotation) Add() (epoch int32, err error) {
	content, err := read(r.dir, WrappingFile)
	if err != nil {
		return 0, err
	}
	defer clear(content)
	path := filepath.Join(r.dir, WrappingFile)
	known, err := parseEpochs(path, content)
	if err != nil {
		return 0, err
	}
	if known.newest == math.MaxInt32 {
		return 0, damaged(path, "there is no epoch after its last")
	}
	key := make([]byte, keySize)
	defer clear(key)
	if _, err := rand.Read(key); err != nil {
		return 0, fmt.Errorf("keys: random numbers: %w", err)
	}
	epoch = known.newest + 1
	// After a last line without an end, too.
	fresh := slices.Concat(bytes.TrimRight(content, "\n"), []byte("\n"), formatLine(epoch, key))
	defer clear(fresh)
	return epoch, r.replace(fresh)
}

// Retire takes epochs from the file, never the newest: what is wrapped under them can't be opened any more, and no copy of the key store
// made before this can be used without a copy of the file made before this.
func (r *Rotation) Retire(retired ...int32) error {
	content, err := read(r.dir, WrappingFile)
	if err != nil {
		return err
	}
	defer clear(content)
	path := filepath.Join(r.dir, WrappingFile)
	known, err := parseEpochs(path, content)
	if err != nil {
		return err
	}
	if slices.Contains(retired, known.newest) {
		return fmt.Errorf("keys: epoch %d is the newest of %s and is in use", known.newest, path)
	}
	fresh := make([]byte, 0, len(content))
	defer func() { clear(fresh) }()
	for line := range bytes.Lines(content) {
		if !isOf(line, retired) {
			fresh = append(fresh, line...)
		}
	}
	return r.replace(fresh)
}

// isOf says whether a line is one of those epochs'.
func isOf(line []byte, epochs []int32) bool {
	fields := bytes.Fields(line)
	if len(fields) == 0 {
		return false
	}
	epoch, err := strconv.ParseInt(string(fields[0]), 10, 32)
	return err == nil && slices.Contains(epochs, int32(epoch))
}

// replace puts content in the file's place, whole or not at all.
func (r *Rotation) replace(content []byte) error {
	path := filepath.Join(r.dir, WrappingFile)
	// What a rotation that died has left: keys that may have been retired since.
	drafts, err := filepath.Glob(path + draftInfix + "*")
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	for _, draft := range drafts {
		if err := os.Remove(draft); err != nil {
			return fmt.Errorf("keys: remove a draft: %w", err)
		}
	}
	if _, err := parseEpochs(path, content); err != nil {
		return err
	}
	draft, err := draftOf(path)
	if err != nil {
		return fmt.Errorf("keys: random numbers: %w", err)
	}
	// A crash up to the rename leaves the draft, with a key that nothing was ever wrapped under, readable by its owner alone.
	if err := writeSynced(draft, content); err != nil {
		return fmt.Errorf("keys: write %s: %w", draft, errors.Join(err, os.Remove(draft)))
	}
	if err := os.Rename(draft, path); err != nil {
		return fmt.Errorf("keys: replace %s: %w", path, errors.Join(err, os.Remove(draft)))
	}
	if err := syncDir(r.dir); err != nil {
		return fmt.Errorf("keys: replace %s: %w", path, err)
	}
	return nil
}

// draftInfix stands between the name of a file and the random end of its draft's.
const draftInfix = ".new-"

func draftOf(path string) (string, error) {
	var random [8]byte
	_, err := rand.Read(random[:])
	return path + draftInfix + hex.EncodeToString(random[:]), err
}
