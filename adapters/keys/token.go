package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"
)

const tokenBlock = "PRIVATE KEY"

// TokenKey reads the key that signs tokens (Ed25519, PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it). An error is one
// sentence that says what to do. Who replaces the file ends every token that was issued.
func TokenKey(dir string) (ed25519.PrivateKey, error) {
	content, err := read(dir, TokenFile)
	if err != nil {
		return nil, err
	}
	defer clear(content)
	path := filepath.Join(dir, TokenFile)
	block, rest := pem.Decode(content)
	if block == nil || block.Type != tokenBlock || len(bytes.TrimSpace(rest)) > 0 {
		return nil, damaged(path, "it is not one private key in PEM")
	}
	defer clear(block.Bytes)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, damaged(path, "its private key can't be read")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("keys: %s holds a key that is not Ed25519: make one with: openssl genpkey -algorithm ed25519 -out %s", path, path)
	}
	return key, nil
}

// newToken is a file with a random key.
func newToken() ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("keys: random numbers: %w", err)
	}
	defer clear(key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("keys: encode the token key: %w", err)
	}
	defer clear(der)
	return pem.EncodeToMemory(&pem.Block{Type: tokenBlock, Bytes: der}), nil
}
