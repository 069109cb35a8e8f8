package ministry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"sync"
)

// File is a Store in one JSON file, which is replaced as a whole, and durably, at each Save: for small states, and for handlers that bear to
// see an event twice. One process may use a file at a time.
type File struct {
	path  string
	state any

	mu   sync.Mutex
	text []byte // what stands in the file
	kept fileContent
}

var _ Store = (*File)(nil)

type fileContent struct {
	Lanes map[string]Progress `json:"lanes"` // by <stream>/<lane>
	State json.RawMessage     `json:"state,omitempty"`
}

// OpenFile opens or makes a file. State, if not nil, is a pointer to what handlers change and what is stored with the numbers, as JSON: it is
// filled in from the file, and set back to what is in the file when a Save fails. Handlers of several lanes take turns with it.
func OpenFile(path string, state any) (*File, error) {
	if v := reflect.ValueOf(state); state != nil && (v.Kind() != reflect.Pointer || v.IsNil()) {
		return nil, errors.New("ministry: the state of a file must be a pointer")
	}
	f := &File{path: path, state: state, kept: fileContent{Lanes: map[string]Progress{}}}
	text, err := os.ReadFile(path) // #nosec G304 -- the caller's own file
	if errors.Is(err, fs.ErrNotExist) {
		if f.text, err = f.encode(); err != nil {
			return nil, err
		}
		return f, f.write(f.text)
	}
	if err != nil {
		return nil, fmt.Errorf("ministry: the file of the numbers can't be read: %w", err)
	}
	f.text = text
	if err := f.restore(); err != nil {
		return nil, err
	}
	return f, nil
}

// Load returns a lane's progress.
func (f *File) Load(_ context.Context, stream string, lane int) (Progress, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kept.Lanes[laneName(stream, lane)], nil
}

// Save runs work and writes the file.
func (f *File) Save(ctx context.Context, stream string, lane int, before, after Progress, work func(context.Context) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := laneName(stream, lane)
	if !f.kept.Lanes[name].Equal(before) {
		return ErrMoved
	}
	if err := f.save(ctx, name, after, work); err != nil {
		return errors.Join(err, f.restore())
	}
	return nil
}

func (f *File) save(ctx context.Context, name string, after Progress, work func(context.Context) error) error {
	if work != nil {
		if err := work(ctx); err != nil {
			return err
		}
	}
	f.kept.Lanes[name] = after
	text, err := f.encode()
	if err == nil {
		err = f.write(text)
	}
	if err == nil {
		f.text = text
	}
	return err
}

func (f *File) encode() ([]byte, error) {
	f.kept.State = nil
	if f.state != nil {
		state, err := json.Marshal(f.state)
		if err != nil { // its text may quote the state
			return nil, errors.New("ministry: the state can't be written as JSON")
		}
		f.kept.State = state
	}
	return json.Marshal(f.kept)
}

// restore sets the numbers and the state to what the file holds.
func (f *File) restore() error {
	kept := fileContent{}
	if json.Unmarshal(f.text, &kept) != nil {
		return fmt.Errorf("ministry: %s is damaged or no file of numbers: restore it, or begin with a new one from the first event", f.path)
	}
	if kept.Lanes == nil {
		kept.Lanes = map[string]Progress{}
	}
	f.kept = kept
	if f.state == nil || len(kept.State) == 0 {
		return nil
	}
	state := reflect.ValueOf(f.state).Elem()
	fresh := reflect.New(state.Type()) // in the old one, members that are not in the text would keep what a failed work left there
	if json.Unmarshal(kept.State, fresh.Interface()) != nil {
		return fmt.Errorf("ministry: the state in %s does not fit the program's", f.path)
	}
	if state.Kind() != reflect.Struct {
		state.Set(fresh.Elem())
		return nil
	}
	for i := range state.NumField() {
		if state.Type().Field(i).IsExported() { // all others are not JSON's
			state.Field(i).Set(fresh.Elem().Field(i))
		}
	}
	return nil
}

// write replaces the file. If the process dies in here, the old file or the new one stands, whole.
func (f *File) write(text []byte) error {
	dir := filepath.Dir(f.path)
	next, err := os.CreateTemp(dir, filepath.Base(f.path)+".*") // for its owner only
	if err != nil {
		return fmt.Errorf("ministry: the file of the numbers can't be written: %w", err)
	}
	_, err = next.Write(text)
	if err = errors.Join(err, next.Sync(), next.Close()); err == nil {
		err = os.Rename(next.Name(), f.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("ministry: the file of the numbers can't be written: %w", err), os.Remove(next.Name()))
	}
	return syncDir(dir)
}

// syncDir makes a rename durable where a folder can be synced.
func syncDir(dir string) error {
	folder, err := os.Open(dir) // #nosec G304 -- the folder of the caller's own file
	if err != nil {
		return fmt.Errorf("ministry: the folder of the numbers can't be opened: %w", err)
	}
	_ = folder.Sync() // Windows can't
	return folder.Close()
}

func laneName(stream string, lane int) string { return stream + "/" + strconv.Itoa(lane) }
