package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

// box seals what the hub hands out or stores and wants back unchanged, under a key that all replicas of a hub share.
type box struct{ aead cipher.AEAD }

func newBox(key [32]byte) (box, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return box{}, fmt.Errorf("auth: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return box{}, fmt.Errorf("auth: %w", err)
	}
	return box{aead: aead}, nil
}

// seal binds plain to where it belongs: it opens nowhere else.
func (b box) seal(plain []byte, where string) []byte {
	return b.aead.Seal(nil, nil, plain, []byte(where)) // #nosec G407 -- this AEAD makes its own random nonce, and takes none
}

func (b box) open(sealed []byte, where string) (plain []byte, ok bool) {
	plain, err := b.aead.Open(nil, nil, sealed, []byte(where))
	return plain, err == nil
}
