package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/eventstore"
	"github.com/tellonce/hub/eventstore/sqlite"
)

// disk is a VFS that knows which bytes have reached the platter: those written before the file's last Sync. It can be cut off power, and it
// can fail.
type disk struct {
	vfs.VFS
	mu    sync.Mutex
	files map[string]*platter // by base name
	fails func(op string) error
}

// platter is one file: what is safe, and what has been written since.
type platter struct {
	safe    []byte
	pending []change
}

// change is a write at an offset, or (data nil) a truncation to it.
type change struct {
	at   int64
	data []byte
}

func (p *platter) apply(c change) {
	if c.data == nil {
		p.safe = p.safe[:min(int64(len(p.safe)), c.at)]
		return
	}
	if short := c.at + int64(len(c.data)) - int64(len(p.safe)); short > 0 {
		p.safe = append(p.safe, make([]byte, short)...)
	}
	copy(p.safe[c.at:], c.data)
}

var disks atomic.Int64

// newDisk registers a disk; it returns its name.
func newDisk(t *testing.T) (*disk, string) {
	d := &disk{VFS: vfs.Find(""), files: map[string]*platter{}, fails: func(string) error { return nil }}
	name := fmt.Sprintf("disk-%d", disks.Add(1))
	vfs.Register(name, d)
	t.Cleanup(func() { vfs.Unregister(name) })
	return d, name
}

func (d *disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	file, flags, err := vfsutil.WrapOpenFilename(d.VFS, name, flags)
	if err != nil {
		return nil, flags, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	base := filepath.Base(name.String())
	if d.files[base] == nil {
		content, err := os.ReadFile(name.String())
		if err != nil {
			return nil, flags, err
		}
		d.files[base] = &platter{safe: content}
	}
	return &diskFile{File: file, disk: d, platter: d.files[base]}, flags, nil
}

func (d *disk) Delete(name string, syncDir bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, filepath.Base(name))
	return d.VFS.Delete(name, syncDir)
}

// cut writes into dir what a power cut right now might leave: what is safe, and of the rest any part, in sectors. Without random all of
// the rest is kept, which is what a kill leaves.
func (d *disk) cut(dir string, random *rand.Rand) error {
	for name, p := range d.files {
		left := platter{safe: append([]byte(nil), p.safe...)}
		for _, c := range p.pending {
			kept := 2
			if random != nil {
				kept = random.IntN(3)
			}
			switch {
			case kept == 0:
				continue
			case kept == 1 && len(c.data) > 512:
				c.data = c.data[:512*(1+random.IntN(len(c.data)/512))]
			}
			left.apply(c)
		}
		if err := os.WriteFile(filepath.Join(dir, name), left.safe, 0o600); err != nil {
			return err
		}
	}
	return nil
}

type diskFile struct {
	vfs.File
	disk    *disk
	platter *platter
}

func (f *diskFile) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }
func (f *diskFile) LockState() vfs.LockLevel       { return vfsutil.WrapLockState(f.File) }
func (f *diskFile) Unwrap() vfs.File               { return f.File }

func (f *diskFile) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.fails("write"); err != nil {
		return 0, err
	}
	f.platter.pending = append(f.platter.pending, change{at, append([]byte{}, b...)})
	return f.File.WriteAt(b, at)
}

func (f *diskFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.platter.pending = append(f.platter.pending, change{at: size})
	return f.File.Truncate(size)
}

// Sync makes safe what has been written. The real file isn't synced: nobody cuts the power of the machine that runs the test.
func (f *diskFile) Sync(vfs.SyncFlag) error { return f.disk.sync(f.platter) }

func (d *disk) sync(p *platter) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.fails("sync"); err != nil {
		return err
	}
	for _, c := range p.pending {
		p.apply(c)
	}
	p.pending = nil
	return nil
}

// syncWAL syncs the WAL of the store on this disk.
func (d *disk) syncWAL() error {
	d.mu.Lock()
	wal := d.files[sqlite.File+"-wal"]
	d.mu.Unlock()
	return d.sync(wal)
}

// witness appends and folds a view from several goroutines, and remembers what it was told.
type witness struct {
	store  *sqlite.Store
	folds  bool
	folded int64 // the checkpoint it was told of last
	mu     sync.Mutex
	told   map[eventstore.Command]eventstore.Result
	asked  map[eventstore.Command]error // refused, or the outcome is unknown
}

func (w *witness) work(ctx context.Context, n int) {
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := 0; i < n && ctx.Err() == nil; i++ {
				a := tell(uuid.New(), 0)
				a.Rows = []eventstore.Row{{View: "with", Key: a.Command.Key[:], Value: []byte{1}}}
				results, err := w.store.Append(context.Background(), a)
				w.mu.Lock()
				if err == nil {
					w.told[a.Command] = results[0]
				} else {
					w.asked[a.Command] = err
				}
				w.mu.Unlock()
			}
		})
	}
	wait.Go(func() {
		for i := 0; w.folds && i < n && ctx.Err() == nil; i++ {
			at, err := w.store.Checkpoint(context.Background(), "fold")
			if err != nil {
				continue
			}
			row := eventstore.Row{View: "fold", Key: []byte("at"), Value: fmt.Append(nil, at+1)}
			if w.store.Commit(context.Background(), "fold", at, at+1, []eventstore.Row{row}) == nil {
				w.mu.Lock()
				w.folded = at + 1
				w.mu.Unlock()
			}
		}
	})
	wait.Wait()
}

// check says what is wrong with the store in dir, by what was told.
func check(dir string, told map[eventstore.Command]eventstore.Result, folded int64, refused map[eventstore.Command]error) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Config{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if says, err := s.IntegrityCheck(); err != nil || says != "ok" {
		return fmt.Errorf("integrity check: %s (%w)", says, err)
	}
	records, err := s.ReadAll(ctx, 0, 1<<20)
	if err != nil {
		return err
	}
	for i, r := range records {
		of, err := s.ReadAggregate(ctx, r.Aggregate, r.Version, 1)
		if err != nil || len(of) != 1 || of[0].Position != int64(i) || r.Position != int64(i) {
			return fmt.Errorf("record %d is at %d, and in its aggregate %v (%w)", i, r.Position, of, err)
		}
	}
	for c, want := range told {
		known, err := s.ReadCommands(ctx, c)
		if err != nil {
			return err
		}
		if !known[0].Found || known[0].Result.Position != want.Position || want.Position+1 >= int64(len(records)) {
			return fmt.Errorf("acknowledged at %d and lost", want.Position)
		}
		row, err := s.Get(ctx, "with", c.Key[:])
		if err != nil || row[0] == nil {
			return fmt.Errorf("acknowledged at %d without its row (%w)", want.Position, err)
		}
	}
	for c, err := range refused {
		known, reading := s.ReadCommands(ctx, c)
		if reading != nil {
			return reading
		}
		if known[0].Found && !errors.Is(err, eventstore.ErrUnknownOutcome) {
			return fmt.Errorf("refused (%w), and on the log at %d", err, known[0].Result.Position)
		}
	}
	at, err := s.Checkpoint(ctx, "fold")
	if err == nil && at < folded {
		err = fmt.Errorf("the view was folded to %d; it stands at %d, the rest is lost", folded, at)
	}
	if err != nil || at == 0 {
		return err
	}
	if row, err := s.Get(ctx, "fold", []byte("at")); err != nil || string(row[0]) != fmt.Sprint(at) {
		return fmt.Errorf("the view's checkpoint is %d and its row %q (%w)", at, row[0], err)
	}
	return nil
}

// cutPower lets a store work, cuts the power several times, and returns the first thing that is wrong with what is left.
func cutPower(t *testing.T, prepare func(*sqlite.Store), folds bool, lies bool) error {
	d, name := newDisk(t)
	sync := d.syncWAL
	if lies {
		sync = func() error { return nil }
	}
	s, err := sqlite.OpenOn(t.Context(), t.TempDir(), name, sync)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	begin(t, s)
	prepare(s)
	w := &witness{store: s, folds: folds, told: map[eventstore.Command]eventstore.Result{}, asked: map[eventstore.Command]error{}}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.work(ctx, 1<<20) }()
	defer func() { stop(); <-done }()
	random := rand.New(rand.NewPCG(rand.Uint64(), 2)) // #nosec -- a test's choice
	for range 25 {
		time.Sleep(time.Duration(random.IntN(5000)) * time.Microsecond)
		w.mu.Lock()
		told := make(map[eventstore.Command]eventstore.Result, len(w.told))
		for c, r := range w.told {
			told[c] = r
		}
		folded := w.folded
		w.mu.Unlock()
		left := t.TempDir()
		d.mu.Lock()
		err := d.cut(left, random)
		d.mu.Unlock()
		if err != nil {
			return err
		}
		if err := check(left, told, folded, nil); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Logf("%d appends acknowledged", len(w.told))
	return nil
}

// TestPowerCut: what was acknowledged survives a power cut at any moment, whole, and a view's rows stand where its checkpoint stands.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	require.NoError(t, cutPower(t, func(*sqlite.Store) {}, true, false))
}

// TestPowerCutFindsFaults: a store that doesn't wait for the disk loses what it has acknowledged, and the test above would see it.
func TestPowerCutFindsFaults(t *testing.T) {
	t.Parallel()
	err := cutPower(t, func(s *sqlite.Store) {
		require.NoError(t, s.OnWriter(`PRAGMA synchronous = NORMAL`)) // behind the store's back; a view's commit would set it right
	}, false, false)
	require.ErrorContains(t, err, "acknowledged at")
	require.ErrorContains(t, cutPower(t, func(*sqlite.Store) {}, true, true), "the view was folded to")
}

// TestFailingDisk: when the disk fails at any moment, an append is acknowledged and there, or refused and not there, or its outcome is said
// to be unknown; afterwards the store works on.
func TestFailingDisk(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(rand.Uint64(), 3)) // #nosec -- a test's choice
	for _, c := range []struct {
		op   string
		code error
	}{
		{"write", sqlite3.FULL}, {"write", sqlite3.IOERR_WRITE}, {"sync", sqlite3.IOERR_FSYNC},
	} {
		d, name := newDisk(t)
		dir := t.TempDir()
		s, err := sqlite.OpenOn(t.Context(), dir, name, d.syncWAL)
		require.NoError(t, err)
		begin(t, s)
		w := &witness{store: s, folds: true, told: map[eventstore.Command]eventstore.Result{}, asked: map[eventstore.Command]error{}}
		d.mu.Lock()
		var killed []string // what a kill at the moment of a failure would have left
		d.fails = func(op string) error {
			if op != c.op || random.IntN(15) > 0 {
				return nil
			}
			if len(killed) < 10 {
				killed = append(killed, t.TempDir())
				require.NoError(t, d.cut(killed[len(killed)-1], nil))
			}
			return c.code
		}
		d.mu.Unlock()
		w.work(t.Context(), 40)
		d.mu.Lock()
		d.fails = func(string) error { return nil }
		d.mu.Unlock()
		acknowledged := len(w.told)
		w.work(t.Context(), 3)
		require.Len(t, w.told, acknowledged+4*3, "%s: with the disk well again every append succeeds", c.op)
		require.NoError(t, s.Close())
		require.NoError(t, check(dir, w.told, w.folded, w.asked), c.op)
		for _, left := range killed {
			require.NoError(t, check(left, nil, 0, w.asked), "%s failed, then the process was killed", c.op)
		}
		t.Logf("%s, %v: %d acknowledged, %d not", c.op, c.code, len(w.told), len(w.asked))
	}
}
