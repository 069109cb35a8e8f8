package keys

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/tellonce/hub/eventstore/seal"
)

const (
	keySize   = 32
	checkSize = 8
	heading   = "# Tellonce wrapping keys: epoch, key, check; the newest is used for new keys.\n" +
		"# Without this file nothing that residents told can be read. Back it up apart from the log, and let nobody else read it.\n"
)

// FileWrapper wraps data keys under the keys of a file, with AES-256-GCM: nonce(12) ‖ ciphertext. Each line of the file is an epoch; the
// newest wraps, all unwrap. The file may gain and lose epochs while the wrapper is in use: one that it does not know makes it read the
// file again. Nonces are random, so an epoch is good for 2³² keys: rotate before. Safe for concurrent use.
type FileWrapper struct {
	dir, path string
	known     atomic.Pointer[epochs] // the file as it was read last

	mu sync.Mutex // held while it is read again: what was read later stays
}

// epochs is what a file of wrapping keys holds.
type epochs struct {
	newest  int32
	ciphers map[int32]cipher.AEAD
}

var _ seal.KeyWrapper = (*FileWrapper)(nil)

// OpenWrapper reads the wrapping keys in the directory dir. An error is one sentence that says what to do.
func OpenWrapper(dir string) (*FileWrapper, error) {
	w := &FileWrapper{dir: dir, path: filepath.Join(dir, WrappingFile)}
	if err := w.Refresh(); err != nil {
		return nil, err
	}
	return w, nil
}

// Refresh reads the file again. If it can't be read, what was read before stays in use.
func (w *FileWrapper) Refresh() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	content, err := read(w.dir, WrappingFile)
	if err != nil {
		return err
	}
	defer clear(content)
	found, err := parseEpochs(w.path, content)
	if err != nil {
		return err
	}
	w.known.Store(found)
	return nil
}

// Epochs are the epochs of the file as it was read last, oldest first.
func (w *FileWrapper) Epochs() []int32 { return slices.Sorted(maps.Keys(w.known.Load().ciphers)) }

// Epoch is the newest epoch of the file as it was read last.
func (w *FileWrapper) Epoch() int32 { return w.known.Load().newest }

// Wrap seals key under the newest epoch, which it returns; aad must be the same when it is unwrapped.
func (w *FileWrapper) Wrap(aad, key []byte) (epoch int32, wrapped []byte, err error) {
	known := w.known.Load()
	return known.newest, known.ciphers[known.newest].Seal(nil, nil, key, aad), nil // #nosec G407 -- the cipher draws the nonce itself
}

// Unwrap opens what Wrap sealed under epoch. An epoch that it does not know it looks for in the file.
func (w *FileWrapper) Unwrap(epoch int32, aad, wrapped []byte) ([]byte, error) {
	aead := w.known.Load().ciphers[epoch]
	if aead == nil {
		if err := w.Refresh(); err != nil {
			return nil, err
		}
		if aead = w.known.Load().ciphers[epoch]; aead == nil {
			return nil, fmt.Errorf("keys: %s holds no key of epoch %d: restore a newer copy of it", w.path, epoch)
		}
	}
	key, err := aead.Open(nil, nil, wrapped, aad)
	if err != nil {
		return nil, fmt.Errorf("keys: the key of epoch %d in %s does not open this: it is not the file that wrapped it", epoch, w.path)
	}
	return key, nil
}

// Format prints the epoch alone, whatever the verb.
func (w *FileWrapper) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, w.name()) }

// LogValue is the epoch alone.
func (w *FileWrapper) LogValue() slog.Value { return slog.StringValue(w.name()) }

func (w *FileWrapper) name() string { return fmt.Sprintf("wrapping key (epoch %d)", w.Epoch()) }

// newWrapping is a file with a random key of epoch 1.
func newWrapping() ([]byte, error) {
	key := make([]byte, keySize)
	defer clear(key)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("keys: random numbers: %w", err)
	}
	return append([]byte(heading), formatLine(1, key)...), nil
}

// parseEpochs reads the lines of a file. The error never holds any of it.
func parseEpochs(path string, content []byte) (*epochs, error) {
	found := &epochs{ciphers: make(map[int32]cipher.AEAD)}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		epoch, aead, err := parseLine(line)
		if err == nil && epoch <= found.newest { // from 1 on
			err = errors.New("epochs must rise")
		}
		if err != nil {
			return nil, damaged(path, fmt.Sprintf("line %d: %v", n, err))
		}
		found.ciphers[epoch], found.newest = aead, epoch
	}
	if lines.Err() != nil {
		return nil, damaged(path, "a line is too long")
	}
	if found.newest == 0 {
		return nil, damaged(path, "it holds no key")
	}
	return found, nil
}

func formatLine(epoch int32, key []byte) []byte {
	line := strconv.AppendInt(nil, int64(epoch), 10)
	line = base64.StdEncoding.AppendEncode(append(line, ' '), key)
	line = base64.StdEncoding.AppendEncode(append(line, ' '), check(epoch, key))
	return append(line, '\n')
}

// parseLine reads a line: epoch, key, check. The error never holds any of it.
func parseLine(line []byte) (epoch int32, aead cipher.AEAD, err error) {
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return 0, nil, errors.New("not an epoch, a key and a check")
	}
	n, err := strconv.ParseInt(string(fields[0]), 10, 32)
	if err != nil {
		return 0, nil, errors.New("no epoch")
	}
	var key [keySize]byte
	defer clear(key[:])
	sum := make([]byte, checkSize)
	if !decode(key[:], fields[1]) || !decode(sum, fields[2]) || !bytes.Equal(sum, check(int32(n), key[:])) {
		return 0, nil, errors.New("the key does not match its check")
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return 0, nil, errors.New("no AES key")
	}
	aead, err = cipher.NewGCMWithRandomNonce(block)
	return int32(n), aead, err
}

// decode fills dst from base64; anything shorter, longer or in another spelling is refused.
func decode(dst, text []byte) bool {
	out, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	defer clear(out)
	return err == nil && len(out) == len(dst) && copy(dst, out) == len(dst)
}

// check finds a damaged line before anything is wrapped under a key that nobody has. It tells nothing about a random key of 256 bits.
func check(epoch int32, key []byte) []byte {
	hash := sha256.New()
	hash.Write([]byte("tellonce wrapping key"))
	hash.Write(binary.BigEndian.AppendUint32(nil, uint32(epoch))) // #nosec G115 -- epochs are > 0
	hash.Write(key)
	return hash.Sum(nil)[:checkSize]
}
