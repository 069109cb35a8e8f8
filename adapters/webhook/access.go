package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"runtime"
)

// Access is how the hub knows endpoints, and they the hub. The zero Access trusts whom this machine trusts, and shows no certificate.
type Access struct {
	// CA is the PEM file of those who sign endpoints' certificates, instead of whom this machine trusts. It is read once.
	CA string
	// Cert and Key are PEM files: the hub's own certificate, for endpoints that ask for one. Nobody else may be able to read the key. Both are
	// read anew for each connection, so that they can be exchanged while the hub runs.
	Cert, Key string
}

// Use makes config's connections by a. The files must be there and in order already.
func (a Access) Use(config *Config) error {
	if a.CA != "" {
		text, err := os.ReadFile(a.CA)
		if err != nil {
			return fmt.Errorf("webhook: %w", err)
		}
		config.Roots = x509.NewCertPool()
		if !config.Roots.AppendCertsFromPEM(text) {
			return fmt.Errorf("webhook: %s holds no PEM certificate", a.CA)
		}
	}
	if (a.Cert == "") != (a.Key == "") {
		return errors.New("webhook: a certificate and the file of its key go together")
	}
	if a.Cert == "" {
		return nil
	}
	config.Certificate = a.certificate
	_, err := a.certificate()
	return err
}

func (a Access) certificate() (*tls.Certificate, error) {
	info, err := os.Stat(a.Key)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	if others := info.Mode().Perm() & 0o077; others != 0 && runtime.GOOS != "windows" { // which has no such bits
		return nil, fmt.Errorf("webhook: %s can be read by other users (mode %04o): run: chmod 600 %s", a.Key, info.Mode().Perm(), a.Key)
	}
	pair, err := tls.LoadX509KeyPair(a.Cert, a.Key)
	if err != nil {
		return nil, fmt.Errorf("webhook: %s with %s: %w", a.Cert, a.Key, err)
	}
	return &pair, nil
}
