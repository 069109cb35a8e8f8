package seal

import (
	"crypto/cipher"
	"hash"
	"sync"
	"sync/atomic"
)

// key is a citizen's key of one class, ready to use. Apart from its place in the cache it never changes, so those who hold one go on
// using it when it is evicted.
type key struct {
	id        KeyID
	ref       int64
	destroyed bool
	aead      cipher.AEAD // of a data key
	pairwise  *pairwise   // of class Public: the pairwise secret

	older, newer *key // in the shard's list, under its lock
}

// pairwise is a prepared HMAC under a citizen's pairwise secret.
type pairwise struct {
	mu  sync.Mutex
	mac hash.Hash
	sum [32]byte
}

// cache keeps the keys used last, at most shards × perShard. The raw bytes of a key are cleared as soon as its cipher is made; the
// expanded form within the cipher can't be, and goes with the garbage collector.
type cache struct {
	shards   []shard
	perShard int
}

type shard struct {
	mu      sync.Mutex
	keys    map[KeyID]*key
	list    key           // sentinel: list.newer is the oldest, list.older the newest
	evicted atomic.Uint64 // calls of evict
	_       [64]byte
}

const maxShards = 64 // 128 callers on any number of cores rarely meet in one

func newCache(size int) *cache {
	shards := maxShards
	for shards > 1 && size/shards < 16 {
		shards /= 2
	}
	c := &cache{shards: make([]shard, shards), perShard: max(1, size/shards)}
	for i := range c.shards {
		s := &c.shards[i]
		s.keys = make(map[KeyID]*key)
		s.list.older, s.list.newer = &s.list, &s.list
	}
	return c
}

// shard spreads by bytes of the citizen's id, which is random.
func (c *cache) shard(id KeyID) *shard {
	h := int(id.Subject[0]) ^ int(id.Subject[15]) ^ int(id.Class)<<3
	return &c.shards[h&(len(c.shards)-1)]
}

// get returns the key or nil, and marks it as used.
func (c *cache) get(id KeyID) *key {
	s := c.shard(id)
	s.mu.Lock()
	k := s.keys[id]
	if k != nil && s.list.older != k {
		k.unlink()
		s.pushNewest(k)
	}
	s.mu.Unlock()
	return k
}

// evictions is a number to hand to put: who reads a key from the store asks for it before.
func (c *cache) evictions(id KeyID) uint64 { return c.shard(id).evicted.Load() }

// evict drops the keys of ids, and those that are being fetched just now.
func (c *cache) evict(ids []KeyID) {
	for _, id := range ids {
		s := c.shard(id)
		s.mu.Lock()
		s.evicted.Add(1)
		if old := s.keys[id]; old != nil {
			old.unlink()
			delete(s.keys, id)
		}
		s.mu.Unlock()
	}
}

// put adds a key in place of any other of its id, and drops the one unused longest. A key that was read from the store before an
// eviction is not kept: it may be the very one that was destroyed since.
func (c *cache) put(k *key, evictions uint64) {
	s := c.shard(k.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.evicted.Load() != evictions {
		return
	}
	if old := s.keys[k.id]; old != nil {
		old.unlink()
	} else if len(s.keys) >= c.perShard {
		oldest := s.list.newer
		oldest.unlink()
		delete(s.keys, oldest.id)
	}
	s.keys[k.id] = k
	s.pushNewest(k)
}

// count is the number of keys held.
func (c *cache) count() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += len(s.keys)
		s.mu.Unlock()
	}
	return n
}

func (s *shard) pushNewest(k *key) {
	k.older, k.newer = s.list.older, &s.list
	s.list.older.newer = k
	s.list.older = k
}

func (k *key) unlink() {
	k.older.newer, k.newer.older = k.newer, k.older
	k.older, k.newer = nil, nil
}
