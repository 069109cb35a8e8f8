// Package merkle is all that an offline verifier of the log needs: leaves, tree, checkpoints, proofs. It knows no storage and no network.
package merkle

import (
	"crypto/sha256"
	"encoding/binary"
)

// Format is the version of the leaf input's layout, its first field.
const Format = 1

// NoCause is the Cause of a record that nothing on the log triggered; in the leaf it is a field of length 0.
const NoCause int64 = -1

// Record holds the fields of one record of the log that its leaf binds, in the order of the leaf. The payload is bound by Commitment;
// the key reference is not bound, for keys rotate.
type Record struct {
	LogID       [16]byte
	Generation  int64
	Position    int64
	Category    int64
	AggregateID [16]byte
	Version     int64
	EventID     [16]byte
	Type        string
	Schema      int64
	RecordedAt  int64 // microseconds since 1970-01-01T00:00:00Z
	Cause       int64 // a position or NoCause
	Issuer      int64
	ActorKind   int64
	Channel     int64
	Subject     [16]byte // all zero: none
	Class       int64
	Commitment  [32]byte
}

// AppendEntry appends the leaf input of r to dst, without the 0x00 that the hash puts before it: for each field its length as uint32
// and its bytes, big-endian, integers as 8 bytes, none as length 0. These are the bytes of the log's entry tiles.
func AppendEntry(dst []byte, r *Record) []byte {
	dst = appendInt(dst, Format)
	dst = appendBytes(dst, r.LogID[:])
	dst = appendInt(dst, r.Generation)
	dst = appendInt(dst, r.Position)
	dst = appendInt(dst, r.Category)
	dst = appendBytes(dst, r.AggregateID[:])
	dst = appendInt(dst, r.Version)
	dst = appendBytes(dst, r.EventID[:])
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(r.Type))) // #nosec G115 -- the same bits, or small
	dst = append(dst, r.Type...)
	dst = appendInt(dst, r.Schema)
	dst = appendInt(dst, r.RecordedAt)
	if r.Cause == NoCause {
		dst = appendBytes(dst, nil)
	} else {
		dst = appendInt(dst, r.Cause)
	}
	dst = appendInt(dst, r.Issuer)
	dst = appendInt(dst, r.ActorKind)
	dst = appendInt(dst, r.Channel)
	if r.Subject == [16]byte{} {
		dst = appendBytes(dst, nil)
	} else {
		dst = appendBytes(dst, r.Subject[:])
	}
	dst = appendInt(dst, r.Class)
	return appendBytes(dst, r.Commitment[:])
}

func appendInt(dst []byte, v int64) []byte {
	dst = append(dst, 0, 0, 0, 8)
	return binary.BigEndian.AppendUint64(dst, uint64(v)) // #nosec G115 -- the same bits, or small
}

func appendBytes(dst, b []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b))) // #nosec G115 -- the same bits, or small
	return append(dst, b...)
}

// LeafHash returns SHA-256(0x00 ‖ entry of r), as RFC 6962 hashes a leaf. buf is scratch space, returned for the next call: with a
// reused one nothing is allocated.
func LeafHash(buf []byte, r *Record) ([32]byte, []byte) {
	buf = AppendEntry(append(buf[:0], 0), r)
	return sha256.Sum256(buf), buf
}

// EntryHash returns the leaf hash of an entry, the bytes of AppendEntry.
func EntryHash(entry []byte) [32]byte {
	return sha256.Sum256(append([]byte{0}, entry...))
}
