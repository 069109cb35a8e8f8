package consent

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs every property 2,000 times, unless the command line says otherwise: the oracle draws 50 cases each time.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", "2000"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// rowsOf is a registry as the schemas give it: the fields of each type in bit order.
func rowsOf(eventType string) []string { return rows[eventType] }

var rows = map[string][]string{
	"address-changed":        {"kind", "unit", "street", "city", "province", "postal_code", "country"},
	"name-changed":           {"given_names", "family_name"},
	"contact-changed":        {"email", "phone"},
	"marital-status-changed": {"status"},
	"language-changed":       {"language"},
	"birth-registered":       {"child_given_names", "child_family_name", "child_birth_date"},
	"death-registered":       {"death_date", "reported_by"},
	"announced-only":         {},
}

// bits is the set of field names of a type in rowsOf; names of other types count nothing.
func bits(eventType string, names ...string) FieldSet {
	var set FieldSet
	for bit, field := range rowsOf(eventType) {
		for _, name := range names {
			if name == field {
				set |= 1 << bit
			}
		}
	}
	return set
}

func years(n int) *int { return &n }
