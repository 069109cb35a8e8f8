package web

import (
	"net/http"
	"strings"

	"github.com/tellonce/hub/domain/journal"
)

// anybody marks a page that needs no sign-in.
const anybody = journal.RoleNone

// handleFunc registers a page, below each language, for a role.
type handleFunc func(method, path string, role journal.Role, page pageFunc)

// routes registers every page in each language, literally.
func (s *server) routes() {
	mux := http.NewServeMux()
	s.mux, s.roles = mux, map[string]journal.Role{}
	mux.HandleFunc("GET /{$}", s.chooseLanguage)
	for _, a := range s.look.files {
		mux.HandleFunc("GET "+a.path, a.serve)
	}
	for _, lang := range languages {
		handle := func(method, path string, role journal.Role, page pageFunc) {
			route := "/" + lang + path
			pattern := strings.TrimSpace(method + " " + route)
			s.roles[pattern] = role
			mux.HandleFunc(pattern, s.page(lang, route, role, page))
		}
		s.publicPages(handle)
		s.aboutPages(handle)
		s.residentPages(handle)
		s.ministryPages(handle)
		s.officerPages(handle)
		handle("", "/", anybody, func(*request) error { return errNoPage })
	}
	if s.SignIn != nil {
		mux.HandleFunc("GET "+callbackPath, s.callback)
	}
}

// publicPages are everybody's.
func (s *server) publicPages(handle handleFunc) {
	handle("GET", "/{$}", anybody, s.home)
	handle("GET", "/sign-in", anybody, s.signInPage)
	handle("GET", "/performance", anybody, s.performancePage)
	handle("GET", "/notices/{token}", anybody, s.noticePage)
	handle("POST", "/notices/{token}", anybody, s.noticePost)
	if s.SignIn == nil {
		return
	}
	handle("GET", "/sign-in/start", anybody, s.startSignIn)
	for _, why := range signInProblems {
		handle("GET", "/sign-in/problem/"+why, anybody, func(r *request) error { return s.signInProblem(r, why) })
	}
	handle("POST", "/sign-out", anybody, s.signOut)
	handle("GET", "/signed-out", anybody, s.signedOutPage)
	handle("GET", "/signed-out/provider", anybody, s.leaveProvider)
	if s.Chooser != nil {
		handle("GET", "/sandbox-idp/{request}", anybody, s.chooserPage)
		handle("POST", "/sandbox-idp/{request}", anybody, s.chooserPost)
	}
}

func (s *server) residentPages(handle handleFunc) {
	s.changePages(func(method, path string, page pageFunc) { handle(method, path, journal.RoleCitizen, s.behalf(page)) })
	handle("GET", "/acting", journal.RoleCitizen, s.behalf(s.actingPage))
	handle("POST", "/acting", journal.RoleCitizen, s.actingPost)
	handle("GET", "/death", journal.RoleCitizen, s.deathPage)
	handle("POST", "/death", journal.RoleCitizen, s.deathPost)
	handle("GET", "/death/check", journal.RoleCitizen, s.deathCheck)
	handle("POST", "/death/check", journal.RoleCitizen, s.deathConfirm)
	handle("GET", "/death/done", journal.RoleCitizen, s.deathDone)
	handle("GET", "/consents", journal.RoleCitizen, s.consentsPage)
	handle("POST", "/consents", journal.RoleCitizen, s.consentsPost)
	handle("GET", "/my-data", journal.RoleCitizen, s.myDataPage)
	handle("GET", "/my-data/file", journal.RoleCitizen, s.myDataFile)
	handle("GET", "/erasure", journal.RoleCitizen, s.erasurePage)
	handle("POST", "/erasure", journal.RoleCitizen, s.erasurePost)
}

// changePages are where changes are told, and what became of them: for the reader, or for whom they act.
func (s *server) changePages(handle func(method, path string, page pageFunc)) {
	handle("GET", "/me", s.details)
	for i := range forms {
		q := &flow{form: &forms[i], path: forms[i].Path}
		s.flowPages(handle, "/"+q.path, func(*request) (*flow, error) { return q, nil })
	}
	s.flowPages(handle, "/receipts/{number}/correct", s.correction)
	handle("GET", "/receipts/{number}/cancel", s.cancelPage)
	handle("POST", "/receipts/{number}/cancel", s.cancelPost)
	handle("GET", "/receipts", s.receiptsPage)
	handle("GET", "/receipts/{number}", s.receiptPage)
	handle("GET", "/receipts/{number}/live", s.receiptLive)
}

func (s *server) ministryPages(handle handleFunc) {
	handle("GET", "/streams", journal.RoleMinistry, s.streamsPage)
	handle("GET", "/drafts", journal.RoleMinistry, s.draftsPage)
	handle("POST", "/drafts", journal.RoleMinistry, s.draftsPost)
	handle("GET", "/drafts/{draft}/{step}", journal.RoleMinistry, s.draftPage)
	handle("POST", "/drafts/{draft}/{step}", journal.RoleMinistry, s.draftPost)
	handle("GET", "/streams/{stream}", journal.RoleMinistry, s.streamPage)
	handle("POST", "/streams/{stream}", journal.RoleMinistry, s.streamPost)
	handle("GET", "/streams/{stream}/undelivered", journal.RoleMinistry, s.undeliveredPage)
	handle("POST", "/streams/{stream}/undelivered", journal.RoleMinistry, s.undeliveredPost)
	handle("GET", "/streams/{stream}/replay", journal.RoleMinistry, s.replayPage)
	handle("POST", "/streams/{stream}/replay", journal.RoleMinistry, s.replayPost)
	handle("GET", "/streams/{stream}/links", journal.RoleMinistry, s.linksPage)
	handle("POST", "/streams/{stream}/links", journal.RoleMinistry, s.linksPost)
	handle("GET", "/streams/{stream}/try", journal.RoleMinistry, s.tryChoice)
	handle("GET", "/streams/{stream}/try/{way}", journal.RoleMinistry, s.tryPage)
	handle("POST", "/streams/{stream}/try/{way}", journal.RoleMinistry, s.tryPost)
	handle("GET", "/streams/{stream}/try/{way}/live", journal.RoleMinistry, s.tryLive)
	handle("GET", "/streams/{stream}/endpoint", journal.RoleMinistry, s.endpointPage)
	handle("POST", "/streams/{stream}/endpoint", journal.RoleMinistry, s.endpointPost)
	handle("GET", "/streams/{stream}/{lane}", journal.RoleMinistry, s.lanePage)
	handle("POST", "/streams/{stream}/{lane}", journal.RoleMinistry, s.lanePost)
}

func (s *server) officerPages(handle handleFunc) {
	handle("GET", "/looks", journal.RoleOfficer, s.lookForm)
	handle("POST", "/looks", journal.RoleOfficer, s.lookPost)
	handle("GET", "/looks/{position}", journal.RoleOfficer, s.lookPage)
	handle("GET", "/agreements", journal.RoleOfficer, s.agreementsPage)
	handle("GET", "/agreements/propose", journal.RoleOfficer, s.proposePage)
	handle("POST", "/agreements/propose", journal.RoleOfficer, s.proposePost)
	handle("GET", "/agreements/{agreement}/{version}", journal.RoleOfficer, s.agreementPage)
	handle("POST", "/agreements/{agreement}/{version}", journal.RoleOfficer, s.agreementPost)
}
