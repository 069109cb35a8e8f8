package web

import (
	"net/http"
	"strings"

	"github.com/tellonce/hub/consent"
	"github.com/tellonce/hub/domain/journal"
)

// anybody marks a page that needs no sign-in.
const anybody = journal.RoleNone

// handleFunc registers a page, below each language, for a role.
type handleFunc func(method, path string, role journal.Role, page pageFunc)

// routes registers every page in each language, literally.
func (s *server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.chooseLanguage)
	mux.HandleFunc("GET "+s.style.path, s.style.serve)
	mux.HandleFunc("GET "+s.script.path, s.script.serve)
	for _, lang := range languages {
		handle := func(method, path string, role journal.Role, page pageFunc) {
			route := "/" + lang + path
			mux.HandleFunc(strings.TrimSpace(method+" "+route), s.page(lang, route, role, page))
		}
		s.publicPages(handle)
		s.residentPages(handle)
		s.ministryPages(handle)
		s.officerPages(handle)
		handle("", "/", anybody, func(*request) error { return errNoPage })
	}
	return mux
}

// publicPages are everybody's.
func (s *server) publicPages(handle handleFunc) {
	handle("GET", "/{$}", anybody, s.home)
	handle("GET", "/sign-in", anybody, s.signInPage)
	handle("GET", "/performance", anybody, s.performancePage)
	handle("GET", "/notices/{token}", anybody, s.noticePage)
	handle("POST", "/notices/{token}", anybody, s.noticePost)
	if len(s.Personas) > 0 {
		handle("POST", "/sign-in", anybody, s.signIn)
		handle("POST", "/sign-out", anybody, s.signOut)
	}
}

func (s *server) residentPages(handle handleFunc) {
	handle("GET", "/me", journal.RoleCitizen, s.details)
	for _, kind := range []string{consent.AddressHome, consent.AddressMailing} {
		of := func(page func(*request, string) error) pageFunc {
			return func(r *request) error { return page(r, kind) }
		}
		handle("GET", "/address/"+kind, journal.RoleCitizen, of(s.addressPage))
		handle("POST", "/address/"+kind, journal.RoleCitizen, of(s.addressPost))
		handle("GET", "/address/"+kind+"/who", journal.RoleCitizen, of(s.whoPage))
		handle("POST", "/address/"+kind+"/who", journal.RoleCitizen, of(s.whoPost))
		handle("GET", "/address/"+kind+"/check", journal.RoleCitizen, of(s.checkPage))
		handle("POST", "/address/"+kind+"/check", journal.RoleCitizen, of(s.checkPost))
	}
	handle("GET", "/consents", journal.RoleCitizen, s.consentsPage)
	handle("POST", "/consents", journal.RoleCitizen, s.consentsPost)
	handle("GET", "/my-data", journal.RoleCitizen, s.myDataPage)
	handle("GET", "/my-data/file", journal.RoleCitizen, s.myDataFile)
	handle("GET", "/erasure", journal.RoleCitizen, s.erasurePage)
	handle("POST", "/erasure", journal.RoleCitizen, s.erasurePost)
	handle("GET", "/receipts/{number}", journal.RoleCitizen, s.receiptPage)
	handle("GET", "/receipts/{number}/live", journal.RoleCitizen, s.receiptLive)
}

func (s *server) ministryPages(handle handleFunc) {
	handle("GET", "/streams", journal.RoleMinistry, s.streamsPage)
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
