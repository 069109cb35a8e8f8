// Package seal closes the payloads of the log: each under a key of its own citizen and retention class, so that destroying one key
// erases what it closed and nothing else, and bound to the log by a commitment that survives the key.
//
// A sealed payload is nonce(12) ‖ AES-256-GCM(key, salt(32) ‖ plaintext), with the record's identity as associated data, so that no
// payload opens in another record's place. The commitment in the leaf is SHA-256(salt ‖ plaintext): the salt is random and lies within,
// so nobody guesses a field from the hash, and a payload can be sealed anew under another key without touching the tree. Payloads of
// class Public are stored as they are, with SHA-256(plaintext).
package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/google/uuid"

	"github.com/tellonce/hub/eventstore"
)

// The errors of sealing. Test with errors.Is.
var (
	// ErrDestroyed: the key was erased. What it closed can't be read again, by anyone.
	ErrDestroyed = errors.New("seal: the key was destroyed")
	// ErrTampered: the payload does not open, or is not what the record commits to.
	ErrTampered = errors.New("seal: the payload was changed after it was sealed")
	// ErrNoKey: the key store holds neither key nor tombstone for the record: it is another log's, or an older copy.
	ErrNoKey = errors.New("seal: the key store holds no key for this record")
	// ErrOtherLog: the key store belongs to another log.
	ErrOtherLog = errors.New("seal: these keys belong to another log")
	// ErrWrongWrapper: a stored key does not open under the wrapping key at hand.
	ErrWrongWrapper = errors.New("seal: the stored keys were wrapped under another wrapping key")
	// ErrStaleEpoch: the key store has gone on to a later epoch than the newest at hand.
	ErrStaleEpoch = errors.New("seal: the keys have gone on to a later epoch than the newest wrapping key at hand")
	// ErrLocked: the record ties two identities of a protected person; only two officers together open it (WithTwoOfficers).
	ErrLocked = errors.New("seal: only two officers together open this record")
)

const (
	nonceSize = 12
	saltSize  = 32
	tagSize   = 16
	// overhead is what sealing adds to a plaintext, in bytes.
	overhead = nonceSize + saltSize + tagSize
)

// Plaintext is an opened payload. It prints as [sealed] under every verb of fmt, in slog and in JSON, so that personal data reaches no
// log line by accident. (fmt can't ask a value in an unexported field of a struct how it wants to be printed: a struct that holds a
// Plaintext exports the field, or has a Format of its own.)
type Plaintext []byte

const sealed = "[sealed]"

// Format prints [sealed], whatever the verb.
func (Plaintext) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(sealed)) }

// LogValue is [sealed].
func (Plaintext) LogValue() slog.Value { return slog.StringValue(sealed) }

// MarshalJSON gives "[sealed]": who means to encode the bytes says so by converting.
func (Plaintext) MarshalJSON() ([]byte, error) { return []byte(`"` + sealed + `"`), nil }

// MarshalText gives [sealed].
func (Plaintext) MarshalText() ([]byte, error) { return []byte(sealed), nil }

// appendFrame appends b as uint32 length (big-endian) and bytes, so that a sequence of frames can be read in one way only.
func appendFrame[T ~[]byte | ~string](dst []byte, b T) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b))) // #nosec G115 -- payloads and names are far below 4 GiB
	return append(dst, b...)
}

// appendInt appends n as a frame of 8 bytes, big-endian.
func appendInt(dst []byte, n int64) []byte {
	dst = binary.BigEndian.AppendUint32(dst, 8)
	return binary.BigEndian.AppendUint64(dst, uint64(n)) // #nosec G115 -- two's complement, as in the leaf
}

// appendAAD appends log id | event id | type | schema | class, framed as the leaf is.
func appendAAD(dst []byte, logID uuid.UUID, e *eventstore.Event) []byte {
	dst = appendFrame(dst, logID[:])
	dst = appendFrame(dst, e.ID[:])
	dst = appendFrame(dst, e.Type)
	dst = appendInt(dst, int64(e.Schema))
	return appendInt(dst, int64(e.Class))
}

// aadBuffers holds scratch space: cipher.AEAD is an interface, so a buffer on the stack would move to the heap at each call.
var aadBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 160); return &b }}

// sealWith closes pt and sets e's Commitment and Payload.
func sealWith(aead cipher.AEAD, logID uuid.UUID, e *eventstore.Event, pt Plaintext) error {
	out := make([]byte, nonceSize+saltSize+len(pt), overhead+len(pt))
	nonce, content := out[:nonceSize], out[nonceSize:]
	if _, err := rand.Read(out[:nonceSize+saltSize]); err != nil {
		return fmt.Errorf("seal: random numbers: %w", err)
	}
	copy(content[saltSize:], pt)
	e.Commitment = sha256.Sum256(content)
	aad := aadBuffers.Get().(*[]byte)
	*aad = appendAAD((*aad)[:0], logID, e)
	// In place: the ciphertext covers the plaintext that was copied in.
	e.Payload = out[:nonceSize+len(aead.Seal(content[:0], nonce, content, *aad))] // #nosec G407 -- the nonce was read from rand above
	aadBuffers.Put(aad)
	return nil
}

// openWith opens e's payload and checks it against e's commitment.
func openWith(aead cipher.AEAD, logID uuid.UUID, e *eventstore.Event) (Plaintext, error) {
	if len(e.Payload) < overhead {
		return nil, ErrTampered
	}
	aad := aadBuffers.Get().(*[]byte)
	*aad = appendAAD((*aad)[:0], logID, e)
	content, err := aead.Open(nil, e.Payload[:nonceSize], e.Payload[nonceSize:], *aad)
	aadBuffers.Put(aad)
	if err != nil || sha256.Sum256(content) != e.Commitment {
		return nil, ErrTampered
	}
	return content[saltSize:], nil
}
