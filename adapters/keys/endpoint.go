package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// endpointDir is the directory, in the keys directory, of the endpoints' signing secrets: a file each, by the name that is on the log.
const endpointDir = "endpoints"

// endpointName is what a name may be: a stream's, an @ and more. No way leads out of the directory.
var endpointName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}@[0-9a-f]{1,32}$`)

// EndpointSecrets keeps the secrets by which what is pushed to ministries' endpoints is signed. What a file holds never changes, so every
// replica that shares the keys directory signs alike.
type EndpointSecrets struct{ dir string }

// Endpoints returns the endpoints' secrets of the keys directory dir.
func Endpoints(dir string) EndpointSecrets { return EndpointSecrets{filepath.Join(dir, endpointDir)} }

// Read returns what stands under a name; fs.ErrNotExist if nothing does.
func (e EndpointSecrets) Read(name string) ([]byte, error) {
	if !endpointName.MatchString(name) {
		return nil, fmt.Errorf("keys: no name of an endpoint's secret: %w", fs.ErrNotExist)
	}
	if _, err := os.Lstat(filepath.Join(e.dir, name)); err != nil {
		return nil, fmt.Errorf("keys: an endpoint's secret: %w", err)
	}
	return read(e.dir, name)
}

// Create keeps text under a name, for good when it returns, and returns what stands there: what was there already stays.
func (e EndpointSecrets) Create(name string, text []byte) ([]byte, error) {
	if !endpointName.MatchString(name) {
		return nil, errors.New("keys: no name of an endpoint's secret")
	}
	if err := os.MkdirAll(e.dir, dirMode); err != nil {
		return nil, fmt.Errorf("keys: make the directory of the endpoints' secrets: %w", err)
	}
	if err := checkDir(e.dir); err != nil {
		return nil, err
	}
	if err := create(e.dir, name, text); err != nil {
		return nil, fmt.Errorf("keys: make %s: %w", filepath.Join(e.dir, name), err)
	}
	return read(e.dir, name)
}

// Sweep removes what was made before a time under names that begin with prefix, but one name: what a command left that failed or died, and
// what has been replaced.
func (e EndpointSecrets) Sweep(prefix, keep string, before time.Time) error {
	entries, err := os.ReadDir(e.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keys: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		if entry.Name() == keep || !strings.HasPrefix(entry.Name(), prefix) {
			continue
		}
		info, err := entry.Info()
		if err == nil && info.ModTime().Before(before) {
			err = os.Remove(filepath.Join(e.dir, entry.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // another process sweeps, too
			errs = append(errs, fmt.Errorf("keys: remove an endpoint's secret: %w", err))
		}
	}
	return errors.Join(errs...)
}
