package seal

// CacheCount is the number of keys that the keyring holds ready.
func (k *Keyring) CacheCount() int { return k.cache.count() }
