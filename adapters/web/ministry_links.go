package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/schemas"
)

// maxUpload is how many bytes a form with a file may have: a list of clients as large as the API's, and the rest of the form.
const maxUpload = 4<<20 + maxForm

// linksView is the upload of a list of clients, and what came of it.
type linksView struct {
	Stream, Command            string
	Lines                      equivalent
	Example                    string
	Faults                     []string
	Done                       bool
	Linked, Ambiguous, Unknown string
	Rows                       []linkRow
	More                       string
}

// linkRow is a line that linked nobody.
type linkRow struct {
	Line                   int
	Reference, Result, Tag string
}

const (
	shownFaults = 20
	shownLinks  = 200 // lines of a result
)

const clientExample = `{"client_reference":"8805-222-127-CL","given_names":"Zoë","family_name":"Tremblay","birth_date":"1980-05-17","postal_code":"P9N 3X9"}`

func (s *server) linksPage(r *request) error {
	v, err := s.linksView(r)
	if err != nil {
		return err
	}
	return s.showLinks(r, http.StatusOK, v, nil)
}

func (s *server) linksView(r *request) (linksView, error) {
	stream, err := s.ownStream(r)
	if err != nil {
		return linksView{}, err
	}
	law, err := s.Journal.FreshLaw(r.Context())
	if err != nil {
		return linksView{}, err
	}
	if !asksForLinks(law, stream.Stream) {
		return linksView{}, errNoPage
	}
	curl := strings.Replace(s.post(r, stream.Stream, "/links", "@"), "application/json", "application/x-ndjson", 1)
	return linksView{
		Stream: stream.Stream, Command: newCommand(), Example: clientExample,
		Lines: equivalent{Curl: strings.Replace(curl, `-d '@'`, "--data-binary @clients.ndjson", 1)},
	}, nil
}

func (s *server) showLinks(r *request, status int, v linksView, problems []problem) error {
	return s.show(r, status, "ministry-links", view{
		Title: r.say("ministry.links.title", "Stream", v.Stream), Back: "/" + r.lang() + streamPath(v.Stream, ""), Problems: problems, Data: v,
	})
}

// asksForLinks says whether an agreement of a stream is for linked people only.
func asksForLinks(law *journal.Law, stream string) bool {
	for _, a := range law.Book.Approved() {
		if a.Stream == stream && a.Population == consent.PopulationLinked {
			return true
		}
	}
	return false
}

// linksPost takes a list of clients, whole or not at all. The answer names the ministry's own references, so it is no redirect: nothing of it
// stands in an address.
func (s *server) linksPost(r *request) error {
	v, err := s.linksView(r)
	if err != nil {
		return err
	}
	refuse := func(text string) error {
		return s.showLinks(r, http.StatusUnprocessableEntity, v, []problem{{"list", text}})
	}
	body, err := upload(r, "list")
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return refuse(r.say("ministry.links.error.none"))
	}
	id, err := ministryCommand(r, "")
	if err != nil {
		return err
	}
	list, ok := parseClients(body)
	if !ok || len(list) > command.MaxClients {
		return refuse(r.say("ministry.links.error.format"))
	}
	clients, faults := readClients(r, list)
	if len(faults) > 0 {
		v.Faults = faults[:min(len(faults), shownFaults)]
		return refuse(r.say("ministry.links.error.faults", "Count", len(faults)))
	}
	content, err := schemas.Canonical(list)
	if err != nil {
		return refuse(r.say("ministry.links.error.format"))
	}
	c := command.Command{ID: id.ID, Scope: id.Issuer, Content: append([]byte("links "+v.Stream+"\n"), content...), Actor: r.actor, Issuer: issuer}
	results, err := s.Command.LinkList(r.Context(), c, v.Stream, clients)
	var rejection *citizen.Rejection
	if errors.As(err, &rejection) {
		return errForm // the same form was sent with another list
	}
	if err != nil {
		return err
	}
	s.linked(r, &v, clients, results)
	return s.showLinks(r, http.StatusOK, v, nil)
}

// linked says what came of each line.
func (s *server) linked(r *request, v *linksView, clients []command.Client, results []string) {
	count := map[string]int{}
	rest := 0
	for i, result := range results {
		count[result]++
		switch {
		case result == command.Linked:
		case len(v.Rows) == shownLinks:
			rest++
		default:
			v.Rows = append(v.Rows, linkRow{Line: i + 1, Reference: clients[i].Reference, Result: r.say("ministry.links.result." + result)})
		}
	}
	v.Done = true
	v.Linked, v.Ambiguous, v.Unknown = r.words.number(count[command.Linked]), r.words.number(count[command.Ambiguous]), r.words.number(count[command.Unknown])
	if rest > 0 {
		v.More = r.say("ministry.links.more", "Count", rest)
	}
}

// upload reads a file of a form into memory, never onto a disk: the form is as large as maxUpload at most.
func upload(r *request, name string) ([]byte, error) {
	var large *http.MaxBytesError
	if err := r.ParseMultipartForm(maxUpload); errors.As(err, &large) {
		return nil, errTooLarge
	} else if err != nil {
		return nil, errForm
	}
	r.PostForm = r.MultipartForm.Value
	file, _, err := r.FormFile(name)
	if errors.Is(err, http.ErrMissingFile) {
		return nil, nil
	}
	if err != nil {
		return nil, errForm
	}
	defer file.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(file)
	if err != nil {
		return nil, errForm
	}
	return body, nil
}

// parseClients reads a list as the API does: a JSON array of objects, or an object a line.
func parseClients(body []byte) (list []any, ok bool) {
	var lines [][]byte
	if body = bytes.TrimSpace(body); body[0] == '[' {
		var items []json.RawMessage
		if json.Unmarshal(body, &items) != nil {
			return nil, false
		}
		for _, item := range items {
			lines = append(lines, item)
		}
	} else {
		lines = bytes.Split(body, []byte("\n"))
	}
	for _, line := range lines {
		members, wrong := schemas.ParseObject(bytes.TrimSpace(line), schemas.MaxLine)
		if wrong != nil {
			return nil, false
		}
		list = append(list, members)
	}
	return list, len(list) > 0
}

// clientMembers are a line's, each with what it must be.
var clientMembers = []struct {
	name     string
	optional bool
	valid    func(string) bool
}{
	{"client_reference", false, schemas.ValidReference}, {"given_names", false, schemas.ValidText}, {"family_name", false, schemas.ValidText},
	{"birth_date", false, func(text string) bool { _, err := consent.ParseDate(text); return err == nil }},
	{"postal_code", true, func(text string) bool { return len(text) <= 20 && schemas.ValidText(text) }},
}

// readClients reads the lines; what is wrong is said by line and member, without what stands there.
func readClients(r *request, list []any) (clients []command.Client, faults []string) {
	for i, item := range list {
		members, _ := item.(map[string]any)
		texts, known := map[string]string{}, 0
		for _, m := range clientMembers {
			value, given := members[m.name]
			if given {
				known++
			}
			text, isText := value.(string)
			if texts[m.name] = text; given && (!isText || text == "" || !m.valid(text)) || !given && !m.optional {
				faults = append(faults, r.say("ministry.links.error.line", "Line", i+1, "Member", m.name))
			}
		}
		if known < len(members) {
			faults = append(faults, r.say("ministry.links.error.members", "Line", i+1))
		}
		one := command.Client{Reference: texts["client_reference"]}
		one.GivenNames, one.FamilyName, one.BirthDate, one.PostalCode = texts["given_names"], texts["family_name"], texts["birth_date"], texts["postal_code"]
		one.Content, _ = schemas.Canonical(item) // texts alone, or it is refused
		clients = append(clients, one)
	}
	return clients, faults
}
