package seal

// CacheCount is the number of keys that the keyring holds ready.
func (k *Keyring) CacheCount() int { return k.cache.count() }

// WrapAAD is what a data key is wrapped with.
var WrapAAD = wrapAAD
