package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tellonce/hub/domain/delivery"
	"github.com/tellonce/hub/domain/journal"
	"github.com/tellonce/hub/eventstore/seal"
)

// What ann told stands first and last in a lane that is longer than what the system takes in between the hub and a reader who does not read
// (4 MiB to send, as Linux is set up): ann's last is still with the hub then.
const (
	crowd     = 2100
	crowdEach = 3
	pageLimit = 10_000
	onTheWay  = 5 << 20 // bytes; less than the page has
)

// TestAnErasureDuringASend: two readers are being sent a page when somebody in it is erased; one has stopped reading, one goes on slowly.
// What had been let out may arrive within D and never later; after the erasure's answer no reading, by whatever way, gives a byte of theirs;
// and the answer says what may be outside.
func TestAnErasureDuringASend(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p *place) {
		card := agreementText("card", "statute", "all", 1, "{event: address-changed, fields: [street, unit, city]}")
		w := startWorld(p, []string{strings.ReplaceAll(card, "NAME", "s00")})
		s := &sending{scene: w.scene(t, 0)}
		s.register("ann")
		s.fill()
		stopped, slow := s.ask(4<<10), s.ask(0)
		require.Zero(t, s.ended(), "both answers are under way")
		s.erase()
		_, received := slow.rest()
		require.Eventually(t, func() bool { return s.ended() == 2 }, time.Minute, pollTime, "the hub does not wait for ever for who does not read")
		whole, late := stopped.rest()
		require.False(t, whole, "what had not left in time was cut off")
		require.NotContains(t, late, "2 Annlast St")
		given := s.goneForAll()
		for _, text := range []string{received, late} {
			s.sameBytes(text, given)
		}
		s.hub.kill()
		s.hub = p.serve()
		same := func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }
		require.True(t, slices.EqualFunc(given, s.pulled("")[:s.last], same), "and so it stays")
		s.closed()
		w.settled(t)
	})
}

// sending is a scene whose lane is being sent.
type sending struct {
	*scene
	facts []int64 // ann's positions
	last  int     // the number of ann's second
}

// fill has ann tell something, then a crowd very much, then ann again.
func (s *sending) fill() {
	s.Helper()
	home := func(street, city string) string {
		return fmt.Sprintf(`{"kind":"home","unit":%q,"street":%q,"city":%q,"province":"ON","postal_code":"P9N 3X9","country":"CA"}`, street, street, city)
	}
	s.facts = append(s.facts, s.tell("ann", "address-changed", home("1 Annfirst St", "Kenora")))
	var lines strings.Builder
	day := today()
	line := func(person, eventType, data string) {
		fmt.Fprintf(&lines, `{"id":%q,"person":%q,"channel":"web","told_at":"2026-01-05T12:00:00Z","type":%q,"effective":%q,"data":%s}`+"\n",
			uuid.NewString(), s.id+"-"+person, eventType, day, data)
	}
	for n := range crowd {
		line(fmt.Sprint("crowd-", n), "person-registered", s.text(`{"given_names":"Crowd","family_name":"Of NAME","birth_date":"1980-05-17","language":"en"}`))
	}
	for n := range crowd * crowdEach {
		line(fmt.Sprint("crowd-", n%crowd), "address-changed", home(strings.Repeat("Long ", 39)+"St", fmt.Sprint("Town ", n)))
	}
	file := filepath.Join(s.TempDir(), "crowd.ndjson")
	require.NoError(s, os.WriteFile(file, []byte(lines.String()), 0o600))
	require.Equal(s, crowd*(1+crowdEach), strings.Count(s.place.run("import", file), `"accepted"`))
	s.facts = append(s.facts, s.tell("ann", "address-changed", home("2 Annlast St", "Dryden")))
	s.last = crowd*crowdEach + 2
	s.onLog("ann", "address-changed", "decided", "address-changed", "decided")
}

// reader is a ministry's connection, from which the test reads when it will.
type reader struct {
	*sending
	conn     *net.TCPConn
	response *http.Response
	begun    []byte // what has been read
}

// ask asks for everything, with a receive buffer of so many bytes (0: the system's), and reads the beginning: ann's first fact has left, so
// numbers are given and on the log.
func (s *sending) ask(buffer int) *reader {
	s.Helper()
	dialer := net.Dialer{Timeout: waitTime}
	conn, err := dialer.DialContext(context.Background(), "tcp", strings.TrimPrefix(s.hub.url, "http://"))
	require.NoError(s, err)
	s.Cleanup(func() { _ = conn.Close() })
	tcp, ok := conn.(*net.TCPConn)
	require.True(s, ok)
	if buffer > 0 {
		require.NoError(s, tcp.SetReadBuffer(buffer))
	}
	request := s.request("", fmt.Sprintf("?limit=%d", pageLimit))
	require.NoError(s, request.Write(conn))
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 4<<10), request)
	require.NoError(s, err)
	s.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(s, http.StatusOK, response.StatusCode)
	require.Greater(s, response.ContentLength, int64(onTheWay))
	r := &reader{sending: s, conn: tcp, response: response, begun: make([]byte, 2<<10)}
	_, err = io.ReadFull(response.Body, r.begun)
	require.NoError(s, err)
	require.Contains(s, string(r.begun), "1 Annfirst St")
	return r
}

func (s *sending) request(accept, query string) *http.Request {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.hub.url+"/v1/streams/"+s.id+".card/events"+query, nil)
	require.NoError(s, err)
	request.Header.Set("Authorization", "Bearer "+s.as("ministry"))
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	return request
}

// rest reads on, a little at a time, to the end or to where the hub cut off, and returns all that came.
func (r *reader) rest() (whole bool, text string) {
	r.Helper()
	require.NoError(r, r.conn.SetReadBuffer(1<<20)) // what waits in between comes soon
	all := bytes.NewBuffer(r.begun)
	_, err := io.CopyBuffer(struct{ io.Writer }{all}, struct{ io.Reader }{r.response.Body}, make([]byte, 4<<10))
	require.Equal(r, err == nil, int64(all.Len()) == r.response.ContentLength, "%v", err)
	return err == nil, all.String()
}

// ended is how many answers of the lane the hub is done with: it logs each then.
func (s *sending) ended() int {
	return strings.Count(s.hub.stderr.String(), `"route":"GET /v1/streams/{stream}/events"`)
}

// erase demands a receipt that says what may be outside, and the destroyed keys on the log.
func (s *sending) erase() {
	s.Helper()
	gone := s.call("ann", "POST", "/v1/me/erasure", "").ok().has(`"handed_over":[{"ministry":"NAME","stream":"NAME.card","events":2,"first":"`)
	recs, err := s.log.store.Read(context.Background(), gone.at())
	require.NoError(s, err)
	until, err := time.Parse(time.RFC3339Nano, gone.body["in_flight_until"].(string))
	require.NoError(s, err)
	require.True(s, recs[0].RecordedAt.Add(delivery.D).Equal(until), gone.text)
	events := s.unseen("ann")
	require.Equal(s, "erased", events[0])
	require.Len(s, events[1:], len(gone.body["keys"].([]any)))
	for _, e := range events[1:] {
		require.Equal(s, "keys-destroyed", e)
	}
}

// pulled are the lane's events as the ministry pulls them after a cursor.
func (s *sending) pulled(after string) []json.RawMessage {
	s.Helper()
	page := s.call("ministry", "GET", fmt.Sprintf("/v1/streams/NAME.card/events?limit=%d%s", pageLimit, after), "").ok()
	var out []json.RawMessage
	require.NoError(s, json.Unmarshal([]byte(page.text), &out))
	return out
}

// goneForAll reads the lane in every way: ann's numbers are recalled, and all others hold what they held. It returns the pulled events.
func (s *sending) goneForAll() []json.RawMessage {
	s.Helper()
	given := s.pulled("")
	s.after["card"] = s.last
	s.delivered("card", fmt.Sprintf(`%d erased {"cursors":["1.0.1","1.0.%d"]}`, s.last+1, s.last))
	live, terminal := s.live(), strings.Split(strings.TrimSpace(s.place.run("stream", "read", s.id+".card")), "\n")
	require.Len(s, given, s.last)
	require.Len(s, terminal, s.last+1)
	for i, text := range given {
		require.NotContains(s, string(text), "Ann")
		require.Equal(s, string(text), live[i])
		require.Equal(s, string(text), terminal[i])
		var e cloudEvent
		require.NoError(s, json.Unmarshal(text, &e))
		require.Equal(s, fmt.Sprint("1.0.", i+1), e.ID)
		if recalled := i == 0 || i == s.last-1; recalled {
			require.Equal(s, "recalled", e.Kind)
			require.Empty(s, e.Subject+string(e.Data))
			continue
		}
		require.Equal(s, "fact", e.Kind)
		require.Contains(s, string(e.Data), fmt.Sprintf(`"city":"Town %d"`, i-1))
	}
	return given
}

// live reads the lane as server-sent events.
func (s *sending) live() (out []string) {
	s.Helper()
	response, err := http.DefaultClient.Do(s.request("text/event-stream", fmt.Sprintf("?limit=%d", pageLimit)))
	require.NoError(s, err)
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	for len(out) < s.last {
		text, err := lines.ReadString('\n')
		require.NoError(s, err)
		if data, ok := strings.CutPrefix(text, "data: "); ok {
			out = append(out, strings.TrimSuffix(data, "\n"))
		}
	}
	return out
}

// sameBytes demands that what came of an answer while the erasure went on is, ann's apart, what is given afterwards.
func (s *sending) sameBytes(text string, given []json.RawMessage) {
	s.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	_, err := decoder.Token()
	require.NoError(s, err)
	came := 0
	for ; decoder.More(); came++ {
		var one json.RawMessage
		if decoder.Decode(&one) != nil { // cut off within it
			break
		}
		if came > 0 && came < s.last-1 {
			require.Equal(s, string(given[came]), string(one))
		}
	}
	require.Greater(s, came, 2)
}

// closed demands that the log says which numbers were recalled, before anybody read again, and that ann's facts open for nobody: neither
// for a process that starts now, nor for the person.
func (s *sending) closed() {
	s.Helper()
	recs, err := s.log.store.ReadAggregate(context.Background(), journal.LaneAggregate(s.id+".card", 0), 1, 1000)
	require.NoError(s, err)
	positions := append([]int64{}, s.facts...)
	for i := range recs {
		positions = append(positions, recs[i].Position)
	}
	fresh := s.place.open()
	defer fresh.Close()
	entries, err := fresh.journal.Read(context.Background(), positions...)
	require.NoError(s, err)
	for _, e := range entries[:len(s.facts)] {
		require.ErrorIs(s, e.Err, seal.ErrDestroyed)
		require.Nil(s, e.Event)
	}
	var recalled []int64
	for _, e := range entries[len(s.facts):] {
		if again, ok := e.Event.(journal.Redelivered); ok {
			recalled = append(recalled, again.Recalled...)
		}
	}
	require.Equal(s, []int64{1, int64(s.last)}, recalled, "once")
	for _, path := range []string{"/v1/me", "/v1/me/export", "/v1/me/disclosures"} {
		require.NotContains(s, s.call("ann", "GET", path, "").text, "Ann")
	}
	s.nothing("ann")
}
