package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Access is how brokers know us, and we them. The zero Access is for a broker that anybody may use in the clear, as in development.
// Passwords, certificates and keys are read anew for each connection, so that they can be exchanged while the hub runs.
type Access struct {
	// User and PasswordFile log in by SASL, SCRAM-SHA-512. Nobody else may be able to read the file.
	User, PasswordFile string
	// CA is the PEM file of those who sign the brokers' certificates, or SystemCA. With it every connection is TLS, without it none: then
	// the password stays secret, and nothing else does.
	CA string
	// Cert and Key are PEM files: our own certificate, where the brokers want one. Nobody else may be able to read the key.
	Cert, Key string
}

// SystemCA trusts whom this machine trusts.
const SystemCA = "system"

// Use makes config's connections by a. The files must be there and in order already.
func (a Access) Use(config *Config) error {
	switch {
	case (a.User == "") != (a.PasswordFile == ""):
		return errors.New("kafka: a user and the file of its password go together")
	case (a.Cert == "") != (a.Key == ""):
		return errors.New("kafka: a certificate and the file of its key go together")
	case a.CA == "" && a.Cert != "":
		return errors.New("kafka: a certificate needs TLS: name who signs the brokers' certificates, or " + SystemCA)
	}
	if a.User != "" {
		login := scramFile{a.User, a.PasswordFile}
		if _, _, err := login.Start(context.Background()); err != nil {
			return err
		}
		config.SASL = login
	}
	if a.CA == "" {
		return nil
	}
	config.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if a.CA != SystemCA {
		text, err := os.ReadFile(a.CA)
		if err != nil {
			return fmt.Errorf("kafka: %w", err)
		}
		config.TLS.RootCAs = x509.NewCertPool()
		if !config.TLS.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("kafka: %s holds no PEM certificate", a.CA)
		}
	}
	if a.Cert == "" {
		return nil
	}
	certificate := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return a.certificate() }
	config.TLS.GetClientCertificate = certificate
	_, err := certificate(nil)
	return err
}

func (a Access) certificate() (*tls.Certificate, error) {
	key, err := readSecret(a.Key)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(a.Cert)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	pair, err := tls.X509KeyPair(text, key)
	if err != nil {
		return nil, fmt.Errorf("kafka: %s with %s: %w", a.Cert, a.Key, err)
	}
	return &pair, nil
}

// scramFile is SCRAM-SHA-512 with a password that stands in a file.
type scramFile struct{ user, file string }

var _ sasl.Mechanism = scramFile{}

// Name is the mechanism's.
func (scramFile) Name() string { return scram.SHA512.Name() }

// Start begins one connection's log-in.
func (s scramFile) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	password, err := ReadPassword(s.file)
	if err != nil {
		return nil, nil, err
	}
	mechanism, err := scram.Mechanism(scram.SHA512, s.user, password)
	if err != nil {
		return nil, nil, fmt.Errorf("kafka: the user's name or password can't be used: %w", err)
	}
	return mechanism.Start(ctx)
}

// ReadPassword reads a password's file: one line of printable ASCII, which nobody else may read.
func ReadPassword(path string) (string, error) {
	text, err := readSecret(path)
	if err != nil {
		return "", err
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" || strings.ContainsFunc(password, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", fmt.Errorf("kafka: %s must hold one line of printable ASCII, the password", path)
	}
	return password, nil
}

// readSecret reads a small file, unless others may read it, too.
func readSecret(path string) ([]byte, error) {
	file, err := os.Open(path) // #nosec G304 -- the operator's own path
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	// Checked on the open file: what is read is what was checked.
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	if others := info.Mode().Perm() & 0o077; others != 0 && runtime.GOOS != "windows" { // which has no such bits
		return nil, fmt.Errorf("kafka: %s can be read by other users (mode %04o): run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(file, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return text, nil
}
