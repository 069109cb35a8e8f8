package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tellonce/hub/adapters/web"
	"github.com/tellonce/hub/domain/citizen"
	"github.com/tellonce/hub/domain/command"
	"github.com/tellonce/hub/domain/journal"
)

// webBench is what `bench web` takes.
type webBench struct {
	rate    int
	seconds int
}

func (c *cli) benchWeb() *cobra.Command {
	var b webBench
	cmd := &cobra.Command{
		Use:   "web",
		Short: "Measure the pages: how long the server takes for each, and how large each is",
		Long: `Serves the sample data in this process, on a store of its own of the given kind, signs in as a resident, a ministry and an officer, and asks for the
main pages of each at a fixed rate, whatever becomes of those before (an open loop: a hub that stalls is seen to stall). Printed are the time
in the server, the time from the moment when a page was to be asked for until it was there, and its bytes in gzip; last, all pages together.`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if b.rate < 1 || b.seconds < 1 {
				return usageError{errors.New("--rate and --seconds are 1 or more")}
			}
			return c.webBench(cmd.Context(), b)
		},
	}
	cmd.Flags().IntVar(&b.rate, "rate", 50, "pages asked for in a second")
	cmd.Flags().IntVar(&b.seconds, "seconds", 30, "for how long")
	return cmd
}

func (c *cli) webBench(ctx context.Context, b webBench) error {
	h, closeHub, err := c.benchHub(ctx, 0)
	if err != nil {
		return err
	}
	defer closeHub()
	times := &serverTimes{of: map[string][]time.Duration{}}
	s := serveConfig{around: times.around}
	s.flags(&cobra.Command{}) // their defaults
	s.listen, s.operatorListen = "127.0.0.1:0", "127.0.0.1:0"
	if s.personas, err = h.personas(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	address := make(chan string, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return h.serve(ctx, s, func(url, _ string) error {
			address <- url
			return nil
		})
	})
	group.Go(func() error {
		defer stop()
		select {
		case at := <-address:
			return c.measurePages(ctx, b, h, at, s.personas, times)
		case <-ctx.Done():
			return nil // serve says why
		}
	})
	return group.Wait()
}

// serverTimes are how long the handler took, by path, once it is told to count.
type serverTimes struct {
	mu    sync.Mutex
	count bool
	of    map[string][]time.Duration
}

func (s *serverTimes) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		next.ServeHTTP(w, r)
		took := time.Since(began)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.count {
			s.of[r.URL.Path] = append(s.of[r.URL.Path], took)
		}
	})
}

// benchPage is one page as one person has it.
type benchPage struct {
	client *http.Client
	who    string
	name   string // without what is special in it
	url    string
	packed int // bytes
	came   []time.Duration
}

// measurePages asks for every page in turn, then prints.
func (c *cli) measurePages(ctx context.Context, b webBench, h *hub, at string, personas []web.Persona, times *serverTimes) error {
	pages, err := benchPages(ctx, h, at, personas)
	if err != nil {
		return err
	}
	for _, p := range pages { // once before it counts, for its size
		body, err := fetchPage(ctx, p.client, p.url)
		if err != nil {
			return err
		}
		if p.packed, err = packedSize(body); err != nil {
			return err
		}
	}
	times.mu.Lock()
	times.count = true
	times.mu.Unlock()
	var mu sync.Mutex
	asking, asked := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range b.rate * b.seconds {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(b.rate))
		select {
		case <-time.After(time.Until(due)):
		case <-asked.Done():
			return asking.Wait()
		}
		asking.Go(func() error {
			p := pages[i%len(pages)]
			_, err := fetchPage(asked, p.client, p.url)
			mu.Lock()
			defer mu.Unlock()
			p.came = append(p.came, time.Since(due))
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		return err
	}
	return c.pageLines(b, at, pages, times)
}

func (c *cli) pageLines(b webBench, at string, pages []*benchPage, times *serverTimes) error {
	times.mu.Lock()
	defer times.mu.Unlock()
	out := c.lines()
	var server, came []time.Duration
	largest := 0
	line := func(who, name string, size int, server, came []time.Duration) error {
		p50, p99, there := milliseconds(quantile(server, 50)), milliseconds(quantile(server, 99)), milliseconds(quantile(came, 99))
		object := map[string]any{"who": who, "page": name, "rate": b.rate, "asked": len(came), "server_p50_ms": p50, "server_p99_ms": p99, "came_p99_ms": there, "gzip_bytes": size}
		return out.emit(object, fmt.Sprintf("%-9s %-24s %5d times  server p50 %6.2f ms  p99 %6.2f ms  there p99 %7.2f ms  %6d bytes", who, name, len(came), p50, p99, there, size))
	}
	for _, p := range pages {
		took := times.of[strings.TrimPrefix(p.url, at)]
		server, came, largest = append(server, took...), append(came, p.came...), max(largest, p.packed)
		if err := line(p.who, p.name, p.packed, took, p.came); err != nil {
			return err
		}
	}
	return errors.Join(line("all", "all", largest, server, came), out.flush())
}

// benchPages signs in as one person of each role and finds their pages.
func benchPages(ctx context.Context, h *hub, at string, personas []web.Persona) ([]*benchPage, error) {
	var pages []*benchPage
	add := func(client *http.Client, who string, paths ...string) {
		for _, path := range paths {
			pages = append(pages, &benchPage{client: client, who: who, name: path, url: at + "/en" + path})
		}
	}
	add(http.DefaultClient, "nobody", "/", "/who-gets-what", "/privacy", "/accessibility", "/performance")
	for _, of := range []struct {
		role  journal.Role
		paths []string
	}{
		{journal.RoleCitizen, []string{"/me", "/address/home", "/receipts", "/consents", "/my-data"}},
		{journal.RoleMinistry, []string{"/streams"}},
		{journal.RoleOfficer, []string{"/looks", "/agreements"}},
	} {
		i := slices.IndexFunc(personas, func(p web.Persona) bool { return p.Role == of.role })
		if i < 0 {
			return nil, fmt.Errorf("the sample data has nobody who is %s", of.role)
		}
		if of.role == journal.RoleCitizen { // so that there is a receipt
			_, err := h.command.Tell(ctx, command.Command{Actor: personas[i].Actor}, citizen.ID(personas[i].Actor.Citizen), command.Change{
				Type: citizen.AddressChanged, Effective: h.journal.DayOf(time.Now()).Date.String(), Data: inventedAddress(i),
			})
			if err != nil {
				return nil, err
			}
		}
		client, err := benchSignIn(ctx, at, personas[i].ID)
		if err != nil {
			return nil, err
		}
		add(client, string(of.role), of.paths...)
		if err := addLinked(ctx, at, client, string(of.role), add); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// linked are pages whose path is only known from another.
var linked = map[string]struct {
	from string
	find *regexp.Regexp
}{
	string(journal.RoleCitizen):  {"/receipts", regexp.MustCompile(`"/en(/receipts/[^"/]+)"`)},
	string(journal.RoleMinistry): {"/streams", regexp.MustCompile(`"/en(/streams/[^"]+)"`)},
	string(journal.RoleOfficer):  {"/agreements", regexp.MustCompile(`"/en(/agreements/[^"/]+/[0-9]+)"`)},
}

func addLinked(ctx context.Context, at string, client *http.Client, who string, add func(*http.Client, string, ...string)) error {
	body, err := fetchPage(ctx, client, at+"/en"+linked[who].from)
	if err != nil {
		return err
	}
	found := linked[who].find.FindSubmatch(body)
	if found == nil {
		return fmt.Errorf("no link of %s leads further", linked[who].from)
	}
	add(client, who, string(found[1]))
	return nil
}

// benchSignIn is a client that has signed in at the sandbox's identity provider, with two factors.
func benchSignIn(ctx context.Context, at, persona string) (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Jar: jar, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/en/sign-in/start", http.NoBody)
	if err != nil {
		return nil, err
	}
	chooser, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	_ = chooser.Body.Close()
	form := url.Values{"persona": {persona}, "acr": {"2"}}.Encode()
	if request, err = http.NewRequestWithContext(ctx, http.MethodPost, chooser.Request.URL.String(), strings.NewReader(form)); err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	home, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	_ = home.Body.Close()
	if home.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("signing in as %s: %s", persona, home.Status)
	}
	return client, nil
}

// fetchPage is a page's bytes; one that is not there, or leads elsewhere, fails the bench.
func fetchPage(ctx context.Context, client *http.Client, at string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request) // #nosec G704 -- a page of this process
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK || response.Request.URL.String() != at {
		return nil, fmt.Errorf("%s led to %s: %s", at, response.Request.URL.Path, response.Status)
	}
	return body, nil
}

func packedSize(body []byte) (int, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(body)
	if err = errors.Join(err, z.Close()); err != nil {
		return 0, err
	}
	return b.Len(), nil
}
