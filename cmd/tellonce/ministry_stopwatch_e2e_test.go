package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// developer is a ministry's developer with a browser and a terminal, who knows nothing but what the pages show.
type developer struct {
	t   *testing.T
	ctx context.Context
	dir string // of the terminal
}

// stopwatch is the time until which a first event must have come (issue 6).
const stopwatch = 2 * time.Minute

func newDeveloper(t *testing.T) *developer {
	t.Helper()
	if testing.Short() {
		t.Skip("a real browser takes its time")
	}
	path := ""
	for _, name := range []string{"google-chrome", "chromium", "chromium-headless-shell"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
		}
	}
	if path == "" {
		require.Empty(t, os.Getenv("CI"), "CI needs a browser")
		t.Skip("no browser: install chromium-headless-shell (Debian)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.Flag("log-level", "3"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closing := chromedp.NewContext(allocator)
	t.Cleanup(closing)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate("about:blank")))
	ctx, cancel := context.WithTimeout(ctx, stopwatch)
	t.Cleanup(cancel)
	d := &developer{t: t, ctx: ctx, dir: t.TempDir()}
	require.NoError(t, os.Symlink(binary, filepath.Join(d.dir, "tellonce")))
	return d
}

// js evaluates an expression in the page; find is there, for what a person would look for by its words.
func js[T any](d *developer, expression string) T {
	d.t.Helper()
	const find = `const find = (selector, words) => [...document.querySelectorAll(selector)].find(e => e.innerText.includes(words));`
	v, err := chromedp.Run(d.ctx, chromedp.Evaluate[T](`(() => {`+find+` return `+expression+`;})()`))
	require.NoError(d.t, err, expression)
	return v
}

// text is what the page says.
func (d *developer) text() string { return js[string](d, `document.body.innerText`) }

// press follows the link, or presses the button, that says so; the next page is there when it returns.
func (d *developer) press(words string) {
	d.t.Helper()
	quoted := strconv.Quote(words)
	require.True(d.t, js[bool](d, `!!find("main a, main button", `+quoted+`)`), "%q is not on the page:\n%s", words, d.text())
	_, err := chromedp.Run(d.ctx, chromedp.WaitEvent(page.LoadEventFired, func(page.EventLoadEventFired) bool { return true },
		chromedp.Evaluate[chromedp.Void](`[...document.querySelectorAll("main a, main button")].find(e => e.innerText.includes(`+quoted+`)).click()`)))
	require.NoError(d.t, err, words)
}

// choose ticks what is labelled so.
func (d *developer) choose(label string) {
	d.t.Helper()
	require.True(d.t, js[bool](d, `(e => !!e && (e.click(), true))(find("label", `+strconv.Quote(label)+`))`), "%q can't be chosen:\n%s", label, d.text())
}

// fill types into the field that is labelled so.
func (d *developer) fill(label, value string) {
	d.t.Helper()
	id := js[string](d, `(e => e ? e.htmlFor : "")(find("label", `+strconv.Quote(label)+`))`)
	require.NotEmpty(d.t, id, "no field %q:\n%s", label, d.text())
	require.NoError(d.t, chromedp.Do(d.ctx, chromedp.SendKeys(chromedp.ID(id), value)))
}

// command is the first command below a heading.
func (d *developer) command(heading string) string {
	d.t.Helper()
	text := js[string](d, `(() => {
		for (let e = find("main h2", `+strconv.Quote(heading)+`); e; e = e.nextElementSibling) {
			const line = e.matches("pre") ? e : e.querySelector("pre");
			if (line && !e.matches("details")) return line.textContent;
		}
		return "";
	})()`)
	require.NotEmpty(d.t, text, "no command below %q:\n%s", heading, d.text())
	return text
}

// until waits in the page, which nobody loads again, until it says so.
func (d *developer) until(words string) {
	d.t.Helper()
	_, err := chromedp.Run(d.ctx, chromedp.Evaluate[bool](`new Promise(done => {
		const look = () => document.body.innerText.includes(`+strconv.Quote(words)+`) ? done(true) : requestAnimationFrame(look);
		look();
	})`, chromedp.EvalAwaitPromise))
	require.NoError(d.t, err, "the page never said %q", words)
}

// shell is a command in the developer's terminal.
func (d *developer) shell(command string) *exec.Cmd {
	cmd := exec.CommandContext(d.ctx, "bash", "-c", command)
	cmd.Dir, cmd.Env = d.dir, append(os.Environ(), "PATH="+d.dir+":"+os.Getenv("PATH"))
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// run runs a command that the page showed to its end.
func (d *developer) run(command string) string {
	d.t.Helper()
	var errs bytes.Buffer
	cmd := d.shell(command)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(d.t, err, "%s: %s", command, errs.String())
	return string(out)
}

// demoURL starts a demonstration and returns its address.
func demoURL(t *testing.T) string {
	t.Helper()
	p := &place{t: t, dir: t.TempDir()}
	cmd := p.command("demo", "--listen", "127.0.0.1:0", "--operator-listen", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	require.NoError(t, err)
	var ready struct{ URL string }
	require.NoError(t, json.Unmarshal(line, &ready))
	return ready.URL
}

// arrive opens the demonstration as a ministry, and goes to the page of a way.
func (d *developer) arrive(url, way string) {
	d.t.Helper()
	require.NoError(d.t, chromedp.Do(d.ctx, chromedp.Navigate(url+"/en/")))
	for range 3 { // past whatever leads to where one says who one is
		if js[bool](d, `!!find("label", "Ministry of Health")`) {
			break
		}
		next := "Sign in"
		if js[bool](d, `!!find("main a, main button", "Go to the sign-in page")`) {
			next = "Go to the sign-in page"
		}
		d.press(next)
	}
	d.choose("Ministry of Health")
	d.press("Sign in")
	d.press("moh.health-card")
	d.press("Try this stream")
	d.press(way)
}

// synthetic is what the page says that one should see.
func (d *developer) synthetic() string {
	d.t.Helper()
	shown := js[string](d, `[...document.querySelectorAll("main p")].find(e => e.innerText.includes("event with") || e.innerText.includes("one with")).querySelector("code").innerText`)
	require.Contains(d.t, shown, "synthetic")
	return shown
}

// TestFirstEventByTheStopwatch: a developer who reads only what the pages show has a first event within two minutes, by pull and by webhook,
// with the commands as the page gives them.
func TestFirstEventByTheStopwatch(t *testing.T) {
	t.Parallel()
	t.Run("pull", func(t *testing.T) {
		t.Parallel()
		url, d := demoURL(t), newDeveloper(t)
		began := time.Now()
		d.arrive(url, "Pull")
		d.press("Make a token")
		require.Empty(t, d.run(d.command("Get a token")))
		d.press("Send a synthetic event")
		shown := d.synthetic()
		require.Contains(t, strings.ReplaceAll(d.run(d.command("Fetch it")), " ", ""), shown)
		d.until("Say that you applied it")
		d.run(d.command("What the hub sees"))
		d.until("It works")
		t.Log("a first event by pull, handed over and answered, after", time.Since(began).Round(time.Millisecond))
	})
	t.Run("webhook", func(t *testing.T) {
		t.Parallel()
		url, d := demoURL(t), newDeveloper(t)
		began := time.Now()
		d.arrive(url, "Webhook")
		listen, events := d.shell("exec "+d.command("Listen")), &lockedBuffer{}
		listen.Stdout = events
		said, err := listen.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, listen.Start())
		t.Cleanup(func() {
			_ = listen.Process.Signal(syscall.SIGTERM)
			_ = listen.Wait()
		})
		lines := bufio.NewReader(said)
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, "listening")
		go func() { _, _ = io.Copy(io.Discard, lines) }()
		address := regexp.MustCompile(`http[^" ]+`).FindString(line)
		require.NotEmpty(t, address, line)
		d.fill("Address of your endpoint", address)
		d.press("Send a challenge and use this address")
		require.Empty(t, d.run(d.command("Tell the hub where to send")))
		d.press("Send a synthetic event")
		shown := d.synthetic()
		d.until("It works")
		require.Contains(t, events.String(), shown)
		t.Log("a first event by webhook, signed and taken, after", time.Since(began).Round(time.Millisecond))
	})
}
