package citizen

// The types that tell who somebody is and where they live, by which exact reference data are compared.
const (
	NameChanged    = "name-changed"
	AddressChanged = "address-changed"
)

// AddressHome is the key of the address where somebody lives.
const AddressHome = "home"

// Identity is the exact reference data of one citizen on a day. Texts stand as they were told.
type Identity struct {
	GivenNames, FamilyName string
	BirthDate              string // ISO 8601
	PostalCode             string // of the home address; empty where there is none
}

// Identity is who the citizen is by what holds: the name of the registration, or the one that replaced it. False for somebody who is not
// registered.
func (p *Profile) Identity() (Identity, bool) {
	registered, ok := p.Latest(PersonRegistered, "")
	if !ok {
		return Identity{}, false
	}
	name := registered
	if changed, ok := p.Facts[Key{Type: NameChanged}]; ok {
		name = changed
	}
	home := p.Facts[Key{Type: AddressChanged, Key: AddressHome}]
	return Identity{
		GivenNames: name.text("given_names"), FamilyName: name.text("family_name"), BirthDate: registered.text("birth_date"),
		PostalCode: home.text("postal_code"),
	}, true
}

// Names are all names that the citizen has or is announced to have, each with the birth date that holds: for finding them.
func (p *Profile) Names() []Identity {
	registered, ok := p.Latest(PersonRegistered, "")
	if !ok {
		return nil
	}
	born := registered.text("birth_date")
	of := func(f Fact) Identity {
		return Identity{GivenNames: f.text("given_names"), FamilyName: f.text("family_name"), BirthDate: born}
	}
	names := []Identity{of(registered)}
	if changed, ok := p.Facts[Key{Type: NameChanged}]; ok {
		names = append(names, of(changed))
	}
	for _, f := range p.Announced {
		if f.Type == NameChanged {
			names = append(names, of(f))
		}
	}
	return names
}
