package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
)

var streamOwners = []journal.Role{journal.RoleMinistry, journal.RoleOperator}

func (s *server) ministryRoutes() {
	register(s, route{
		method: http.MethodGet, path: "/v1/streams", id: "streams", tag: "streams", roles: streamOwners,
		summary: "Your streams, how far each lane is, and how far you are behind", description: lagDescription,
	}, s.streams)
	register(s, route{
		method: http.MethodPost, path: "/v1/streams/{stream}/receipts", id: "receipts", tag: "streams", roles: streamOwners, status: http.StatusNoContent,
		summary:     "Say what became of events",
		description: "Ranges of cursors, ends included; all are recorded, or none. `reason` belongs to a rejection. What says nothing new is taken and adds nothing.",
		body:        []receiptLine{},
		codes:       slices.Concat(repeatCodes, []string{codeUnknownStream, codeOthersStream, codeReceipt}),
	}, s.receipts)
	s.linkRoutes()
}

// receiptLine is one item of the body of receipts, for the document; readReceipts reads it.
type receiptLine struct {
	_      struct{} `additionalProperties:"false"`
	From   string   `json:"from" example:"1.0.1" doc:"cursor of the first event"`
	To     string   `json:"to" example:"1.0.40" doc:"cursor of the last event, of the same lane"`
	Status string   `json:"status" enum:"received,applied,rejected"`
	Reason string   `json:"reason,omitempty" maxLength:"500" doc:"of a rejection"`
}

type receiptsInput struct {
	Repeatable
	Stream string `path:"stream" doc:"a stream's name" example:"moh.health-card"`
}

// receipts is POST /v1/streams/{stream}/receipts, step 11 of a change's life.
func (s *server) receipts(ctx context.Context, in *receiptsInput) (*struct{}, error) {
	if _, err := s.Delivery.Open(ctx, caller(ctx), in.Stream); err != nil {
		return nil, err
	}
	list, err := s.parseList(ctx)
	if err != nil {
		return nil, err
	}
	receipts, err := readReceipts(list)
	if err != nil {
		return nil, err
	}
	command, err := repeatable(ctx, in.Key, "POST /v1/streams/"+in.Stream+"/receipts", list)
	if err != nil {
		return nil, err
	}
	return nil, s.Delivery.Record(ctx, caller(ctx), command, in.Stream, receipts)
}

// readReceipts reads the shape of a list of receipts; what they may say is delivery's to judge.
func readReceipts(list []any) ([]delivery.Receipt, error) {
	root := newObject(nil)
	out := make([]delivery.Receipt, 0, len(list))
	for i, value := range list {
		o := root.item("", i, value)
		if o == nil {
			continue
		}
		out = append(out, delivery.Receipt{
			From: o.text("from", true, anyText, ""), To: o.text("to", true, anyText, ""),
			Status: o.text("status", true, anyText, ""), Reason: o.text("reason", false, anyText, ""),
		})
		o.done()
	}
	return out, root.err()
}

func anyText(string) bool { return true }

// mayOpen refuses a stream that is not the caller's to read, in the order: its name is public, its content is not.
func (s *server) mayOpen(r *http.Request) (journal.StreamOpened, error) {
	return s.Delivery.Open(r.Context(), caller(r.Context()), r.PathValue("stream"))
}

// number reads a decimal number of a query within bounds.
func number(text string, fallback, low, high int) (int, bool) {
	if text == "" {
		return fallback, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= low && n <= high && strconv.Itoa(n) == text
}
