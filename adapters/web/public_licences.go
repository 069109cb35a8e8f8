package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"runtime/debug"
)

// licence is that of one work which the hub hands on: its own, and of what deploy/dev/web built in.
type licence struct {
	File    string `json:"file"` // in the path of the page that shows its text
	Name    string `json:"name"`
	Version string `json:"version"`
	SPDX    string `json:"licence"` // the licence's identifier
	text    string
}

// loadLicences reads the hub's own licence and those that the build copied beside what it bundled.
func loadLicences(built fs.FS) ([]licence, error) {
	own, err := files.ReadFile("static/licence.txt")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	list := []licence{{File: "tellonce", Name: "Tellonce", SPDX: "Apache-2.0", text: string(own)}}
	raw, err := fs.ReadFile(built, "dist/licences/list.json")
	if errors.Is(err, fs.ErrNotExist) {
		return list, nil
	}
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	var others []licence
	if err := json.Unmarshal(raw, &others); err != nil {
		return nil, fmt.Errorf("web: the list of licences: %w", err)
	}
	for _, l := range others {
		text, err := fs.ReadFile(built, "dist/licences/"+l.File+".txt")
		if err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
		l.text = string(text)
		list = append(list, l)
	}
	return list, nil
}

// licencesView is what the hub is made of.
type licencesView struct {
	Full     bool // the design system is built in
	Licences []licence
	Modules  []licence // Go's, by the build's own record
}

func (s *server) licencesPage(r *request) error {
	v := licencesView{Full: s.look.full, Licences: s.licences}
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, m := range build.Deps {
			v.Modules = append(v.Modules, licence{Name: m.Path, Version: m.Version})
		}
	}
	return s.show(r, http.StatusOK, "public-licences", view{Title: r.say("public.licences.title"), Data: v})
}

// licencePage shows the text of one licence, as it was handed to us.
func (s *server) licencePage(r *request) error {
	for _, l := range s.licences {
		if l.File == r.PathValue("file") {
			return s.show(r, http.StatusOK, "public-licence", view{Title: l.Name, Back: "/" + r.lang() + "/licences", Data: l.text})
		}
	}
	return errNoPage
}
