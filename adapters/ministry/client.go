package ministry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// ClientConfig of a Client. URL and Token must be set.
type ClientConfig struct {
	// URL is the hub's address, such as https://hub.example.ca.
	URL string
	// Token returns the ministry's bearer token; it is asked for each request, so a token may be replaced while the program runs.
	Token func() (string, error)
	// HTTP makes the requests; nil: a client of its own, which compresses and follows no redirect.
	HTTP *http.Client
}

// TokenFile reads a token from a file, anew each time.
func TokenFile(path string) func() (string, error) {
	return func() (string, error) {
		text, err := os.ReadFile(path) // #nosec G304 -- the caller's own file
		if err != nil {
			return "", fmt.Errorf("ministry: the token can't be read: %w", err)
		}
		return strings.TrimSpace(string(text)), nil
	}
}

// Client is the hub's API as far as a ministry's stream goes. It tries each request once. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	token func() (string, error)
	http  *http.Client
}

var _ Receipts = (*Client)(nil)

// NewClient returns a Client; it connects when it is first used.
func NewClient(config ClientConfig) (*Client, error) {
	base, err := url.Parse(config.URL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, errors.New("ministry: the hub's address is like https://hub.example.ca")
	}
	if config.Token == nil {
		return nil, errors.New("ministry: a client needs a token")
	}
	if config.HTTP == nil {
		transport, ok := http.DefaultTransport.(*http.Transport)
		if !ok {
			transport = &http.Transport{Proxy: http.ProxyFromEnvironment}
		}
		config.HTTP = &http.Client{
			Transport:     transport.Clone(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token is for this address alone
		}
	}
	base.Path = strings.TrimRight(base.Path, "/")
	return &Client{base: base, token: config.Token, http: config.HTTP}, nil
}

// APIError is an answer of the hub that is none of success.
type APIError struct {
	Status     int
	Code       string        // the hub's word for machines, such as unknown-cursor; empty if it was not the hub that answered
	Detail     string        // what the hub says to people
	RetryAfter time.Duration // as the hub asked; 0: it did not
}

// The codes of the hub that a reader of a stream meets.
const (
	codeUnknownCursor = "unknown-cursor"
	codePaused        = "stream-paused"
)

// ErrUnknownCursor: the hub never gave out the cursor from which a consumer wants to read on.
var ErrUnknownCursor = errors.New("ministry: the hub does not know this cursor")

// Error holds nothing of what was sent.
func (e *APIError) Error() string {
	text := fmt.Sprintf("ministry: the hub answered %d", e.Status)
	if e.Code != "" {
		text += " (" + e.Code + "): " + e.Detail
	}
	return text
}

// Is says whether an unknown cursor is meant.
func (e *APIError) Is(target error) bool {
	return target == ErrUnknownCursor && e.Code == codeUnknownCursor
}

// lasting says whether the same request would fail again: somebody must do something first.
func (e *APIError) lasting() bool {
	switch {
	case e.Code == codePaused, e.Status == http.StatusUnauthorized: // until it is resumed; until the token is replaced
		return false
	case e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooManyRequests, e.Code == "":
		return false
	}
	return e.Status < http.StatusInternalServerError
}

const (
	pageLimit  = 1000
	maxPage    = 128 << 20 // bytes of a page, unpacked
	maxProblem = 64 << 10
	slack      = 30 * time.Second // for a request beside what it waits
	batchMedia = "application/cloudevents-batch+json"
)

// Query says what of a stream to read.
type Query struct {
	Stream string
	Lane   int
	After  Cursor        // zero: from the first event
	Limit  int           // most events; 0: 1000
	Wait   time.Duration // how long to wait while there is none, at most 30 s
}

// Page is a piece of a lane.
type Page struct {
	Events []Event
	Next   string // where to read on, as the hub's Link says
}

// Events reads a page.
func (c *Client) Events(ctx context.Context, q Query) (Page, error) {
	values := url.Values{"lane": {strconv.Itoa(q.Lane)}}
	if !q.After.IsZero() {
		values.Set("after", q.After.String())
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Wait > 0 {
		values.Set("wait", q.Wait.String())
	}
	return c.page(ctx, c.path(q.Stream, "events")+"?"+values.Encode(), q.Wait)
}

// Next reads the page after another, which waits as that one did.
func (c *Client) Next(ctx context.Context, p Page, wait time.Duration) (Page, error) {
	return c.page(ctx, p.Next, wait)
}

func (c *Client) path(stream, what string) string {
	return c.base.String() + "/v1/streams/" + url.PathEscape(stream) + "/" + what
}

func (c *Client) page(ctx context.Context, address string, wait time.Duration) (Page, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+slack)
	defer cancel()
	response, err := c.do(ctx, http.MethodGet, address, nil, "Accept", batchMedia)
	if err != nil {
		return Page{}, err
	}
	defer func() { _ = response.Body.Close() }()
	if media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); media != batchMedia {
		return Page{}, errors.New("ministry: the answer is no page of events; is this the hub's address?")
	}
	text, err := readAll(response.Body, maxPage)
	if err != nil {
		return Page{}, err
	}
	page := Page{}
	if page.Events, err = ParseBatch(text); err != nil {
		return Page{}, err
	}
	page.Next, err = c.next(response)
	return page, err
}

// next is the address in Link that reads on; it must be the hub's, for the token goes there.
func (c *Client) next(response *http.Response) (string, error) {
	for _, link := range response.Header.Values("Link") {
		target, parameters, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
		if !ok || !strings.Contains(parameters, `rel="next"`) {
			continue
		}
		to, err := response.Request.URL.Parse(target)
		if err != nil || to.Scheme != c.base.Scheme || to.Host != c.base.Host {
			return "", errors.New("ministry: the page's next link leads away from the hub")
		}
		return to.String(), nil
	}
	return "", errors.New("ministry: the page has no next link")
}

// Send records receipts. It implements Receipts.
func (c *Client) Send(ctx context.Context, stream, key string, receipts []Receipt) error {
	body, err := json.Marshal(receipts)
	if err != nil {
		return fmt.Errorf("ministry: encode receipts: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, slack)
	defer cancel()
	response, err := c.do(ctx, http.MethodPost, c.path(stream, "receipts"), body, "Content-Type", "application/json", "Idempotency-Key", key)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusNoContent { // a proxy's page, maybe
		err = errors.New("ministry: the answer to receipts is not the hub's; is this its address?")
	}
	return errors.Join(err, response.Body.Close())
}

// Lanes says how many lanes a stream has.
func (c *Client) Lanes(ctx context.Context, stream string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, slack)
	defer cancel()
	response, err := c.do(ctx, http.MethodGet, c.base.String()+"/v1/streams", nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := readAll(response.Body, maxPage)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Streams []struct {
			Stream string     `json:"stream"`
			Lanes  []struct{} `json:"lanes"`
		} `json:"streams"`
	}
	if json.Unmarshal(text, &answer) != nil {
		return 0, errors.New("ministry: the answer is no list of streams; is this the hub's address?")
	}
	for _, s := range answer.Streams {
		if s.Stream == stream {
			return len(s.Lanes), nil
		}
	}
	return 0, &APIError{Status: http.StatusNotFound, Code: "unknown-stream", Detail: "This token's ministry has no such stream. GET /v1/streams lists its own."}
}

// do makes one request. The answer is one of success, or an *APIError.
func (c *Client) do(ctx context.Context, method, address string, body []byte, headers ...string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("ministry: the address is none")
	}
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ministry: the hub can't be reached: %w", err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		defer func() { _ = response.Body.Close() }()
		return nil, problemOf(response)
	}
	return response, nil
}

func problemOf(response *http.Response) *APIError {
	e := &APIError{Status: response.StatusCode}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(min(seconds, 3600)) * time.Second
	}
	if media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); media != "application/problem+json" {
		return e
	}
	var problem struct{ Code, Detail string }
	if text, err := readAll(response.Body, maxProblem); err == nil && json.Unmarshal(text, &problem) == nil {
		e.Code, e.Detail = problem.Code, problem.Detail
	}
	return e
}

// readAll reads a body whole; one that is cut off or too long is an error.
func readAll(body io.Reader, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, most+1))
	if err != nil {
		return nil, fmt.Errorf("ministry: the hub's answer was cut off: %w", err)
	}
	if int64(len(text)) > most {
		return nil, errors.New("ministry: the hub's answer is too long")
	}
	return text, nil
}

// waitOf is how long a failed request's answer asked to wait.
func waitOf(err error) time.Duration {
	var answer *APIError
	if errors.As(err, &answer) {
		return answer.RetryAfter
	}
	return 0
}

// halts says whether an error ends a source: it would come again until somebody has done something.
func halts(err error) bool {
	var answer *APIError
	if errors.As(err, &answer) {
		return answer.lasting()
	}
	return errors.Is(err, ErrHole) || errors.Is(err, ErrGeneration) || errors.Is(err, ErrOtherStream)
}
