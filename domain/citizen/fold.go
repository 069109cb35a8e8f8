package citizen

// Key names the facts of which only the latest is true.
type Key struct{ Type, Key string }

// Profile is what is true of one citizen. The zero Profile is someone of whom nothing was ever told.
type Profile struct {
	Registered, Deceased bool
	Facts                map[Key]Fact
}

// Fold makes the profile of facts in log order.
func Fold(facts ...Fact) *Profile {
	p := &Profile{}
	for _, f := range facts {
		p.Apply(f)
	}
	return p
}

// Apply takes the next fact in log order: the latest per (type, key) is true.
func (p *Profile) Apply(f Fact) {
	switch f.Type {
	case PersonRegistered:
		p.Registered = true
	case DeathRegistered:
		p.Deceased = true
	}
	if p.Facts == nil {
		p.Facts = map[Key]Fact{}
	}
	p.Facts[Key{Type: f.Type, Key: f.Key}] = f
}

// Latest is the fact that holds for a type and key.
func (p *Profile) Latest(eventType, key string) (Fact, bool) {
	f, ok := p.Facts[Key{Type: eventType, Key: key}]
	return f, ok
}
