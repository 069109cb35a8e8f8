// Package keys keeps the hub's own keys in files: the wrapping keys under which every citizen's data keys are stored, and the key that
// signs tokens. They stand in the keys directory, apart from the log and its backups: who has a backup of the log and not this
// directory can read nobody's data.
package keys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// The files of the keys directory. Each can be read by its owner alone, or is refused.
const (
	WrappingFile = "wrapping.key"
	TokenFile    = "token.key"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
	maxFile  = 1 << 20 // bytes; a longer one is no key file
)

// Init makes the directory dir and in it the key files that are missing. What is there stays as it is, so Init can be repeated: a crash
// between two files leaves the first, whole.
func Init(dir string) error {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return fmt.Errorf("keys: make the keys directory: %w", err)
	}
	if err := checkDir(dir); err != nil {
		return err
	}
	for name, content := range map[string]func() ([]byte, error){WrappingFile: newWrapping, TokenFile: newToken} {
		_, err := os.Lstat(filepath.Join(dir, name))
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keys: %w", err)
		}
		bytes, err := content()
		if err != nil {
			return err
		}
		err = create(dir, name, bytes)
		clear(bytes)
		if err != nil {
			return fmt.Errorf("keys: make %s: %w", filepath.Join(dir, name), err)
		}
	}
	return nil
}

// create makes dir/name with content, whole or not at all. If another process makes it at the same time, one of the two files stands.
func create(dir, name string, content []byte) (err error) {
	path := filepath.Join(dir, name)
	draft, err := draftOf(path)
	if err != nil {
		return err
	}
	// A crash up to the link leaves the draft: a key that nothing was ever wrapped under, readable by its owner alone.
	defer func() { err = errors.Join(err, os.Remove(draft)) }()
	if err := writeSynced(draft, content); err != nil {
		return err
	}
	// Link, unlike rename, refuses to replace.
	if err := os.Link(draft, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

func writeSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode) // #nosec G304 -- the operator's own path
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory can't be synced there
	}
	file, err := os.Open(dir) // #nosec G304 -- the operator's own path
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// read returns the content of a key file after checking who else may read it, or a sentence that says what to do.
func read(dir, name string) ([]byte, error) {
	path := filepath.Join(dir, name)
	file, err := os.Open(path) // #nosec G304 -- the operator's own path
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf(`keys: there is no %s: run "tellonce init", or name the directory that holds it with --keys`, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("keys: %s belongs to another user: run tellonce as that user, or change its owner", path)
	case err != nil:
		return nil, fmt.Errorf("keys: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	// Checked on the open file: what is read is what was checked.
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("keys: %s is no regular file", path)
	}
	if err := checkMode(path, info.Mode(), 0o077, "can be read by other users", "600"); err != nil {
		return nil, err
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if len(content) > maxFile {
		return nil, damaged(path, "it is longer than any key file")
	}
	return content, nil
}

// checkDir refuses a directory in which others could put another key in a key's place.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return checkMode(dir, info.Mode(), 0o022, "can be changed by other users", "700")
}

func checkMode(path string, mode fs.FileMode, forbidden fs.FileMode, what, want string) error {
	if runtime.GOOS == "windows" || mode.Perm()&forbidden == 0 { // Windows has no such bits
		return nil
	}
	return fmt.Errorf("keys: %s %s (mode %04o): run: chmod %s %s", path, what, mode.Perm(), want, path)
}

func damaged(path, what string) error {
	return fmt.Errorf("keys: %s is damaged (%s): restore it from its backup", path, what)
}
