package web

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// digests are what a confirmation carries back of its previews.
func digests(previews []command.Preview) string {
	out := make([]string, len(previews))
	for i := range previews {
		out[i] = previews[i].Digest
	}
	return strings.Join(out, ".")
}

// shown is what a page showed of its previews, so that a later one can say what has changed since. It decides nothing.
func shown(previews []command.Preview) string {
	var out []string
	for i := range previews {
		for _, d := range previews[i].Decisions {
			out = append(out, fmt.Sprintf("%d:%s:%t:%d", i, d.Agreement, d.Reason == consent.None, d.Fields))
		}
	}
	return strings.Join(out, " ")
}

// differences says in sentences what is no longer as a page showed it.
func (s *server) differences(r *request, law *journal.Law, before, now string) []string {
	was := map[string][]string{}
	for _, line := range strings.Fields(before) {
		if part := strings.Split(line, ":"); len(part) == 4 {
			was[part[0]+":"+part[1]] = part[2:]
		}
	}
	var out []string
	add := func(key, id string) {
		agreement := &consent.Agreement{ID: id}
		if a, ok := law.Book.Find(id); ok {
			agreement = a
		}
		if line := r.say(key, "Name", s.organisation(r.words, agreement)); !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	for _, line := range strings.Fields(now) {
		part := strings.Split(line, ":")
		key := part[0] + ":" + part[1]
		old, known := was[key]
		delete(was, key)
		told := known && old[0] == "true"
		switch {
		case part[2] == "true" && !told:
			add("resident.stale.told", part[1])
		case part[2] != "true" && told:
			add("resident.stale.not-told", part[1])
		case told && old[1] != part[3]:
			add("resident.stale.fields", part[1])
		}
	}
	for key, old := range was {
		if old[0] == "true" && before != "" {
			add("resident.stale.not-told", key[strings.Index(key, ":")+1:])
		}
	}
	slices.Sort(out)
	return out
}
