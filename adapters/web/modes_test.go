package web_test

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// noted keeps what the pages' policy stopped and what could not be fetched: the design system's own markup would come with styles that the
// policy drops without a word.
const noted = `window.noted = [];
addEventListener('securitypolicyviolation', e => noted.push(e.violatedDirective + ' ' + e.blockedURI));
addEventListener('error', e => noted.push(e.message || e.target.outerHTML), true);`

// fits is what a page must be at every size: nothing scrolls sideways, is cut off at the side, or is too small to hit (24 by 24 px).
const fits = `(() => {
	const wrong = [], all = Array.from(document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea, summary'));
	if (document.scrollingElement.scrollWidth > innerWidth) wrong.push({Rule: 'scrolls sideways', Where: document.scrollingElement.scrollWidth + ' px in ' + innerWidth});
	for (const e of all) {
		const box = e.getBoundingClientRect();
		if (box.width === 0 || e.classList.contains('skip') || e.closest('[role=region], pre')) continue;
		if (box.left < 0 || box.right > innerWidth + 0.5) wrong.push({Rule: 'cut off', Where: e.outerHTML.slice(0, 200)});
		const inText = e.tagName === 'A' && getComputedStyle(e).display === 'inline';
		if (!inText && (box.width < 24 || box.height < 24)) wrong.push({Rule: 'too small', Where: e.outerHTML.slice(0, 200)});
	}
	return wrong;
})()`

// edges is what forced colours must leave: they take backgrounds and shadows away, so everything that one can press or fill in needs an edge
// of its own, be it the browser's (radios) or the one that the design system draws beside a hidden radio.
const edges = `(() => {
	const edge = style => parseFloat(style.borderTopWidth) > 0 && !['none', 'hidden'].includes(style.borderTopStyle) && style.borderTopColor !== style.backgroundColor;
	return Array.from(document.querySelectorAll('button:not(.plain), .ontario-button, input:not([type=hidden]), select, textarea, .tag, .ontario-alert, .ontario-callout, .error-summary')).filter(e => {
		const style = getComputedStyle(e);
		if (['radio', 'checkbox', 'file'].includes(e.type)) {
			const native = style.appearance !== 'none' && style.opacity !== '0';
			return !native && !edge(style) && !(e.labels[0] && edge(getComputedStyle(e.labels[0], '::before')));
		}
		return e.getBoundingClientRect().width > 0 && !edge(style);
	}).map(e => ({Rule: 'no edge in forced colours', Where: e.outerHTML.slice(0, 200)}));
})()`

// still is what a reader gets who asked for less motion.
const still = `Array.from(document.querySelectorAll('*')).filter(e => ['', '::before', '::after'].some(part => {
	const style = getComputedStyle(e, part);
	return style.transitionDuration.split(', ').some(time => parseFloat(time) > 0.001) || (style.animationName !== 'none' && parseFloat(style.animationDuration) > 0.001) || style.scrollBehavior === 'smooth';
})).map(e => ({Rule: 'moves', Where: e.outerHTML.slice(0, 200)}))`

// media asks for a page as readers have it who set this in their system; none puts it back.
func (b *tab) media(features ...*emulation.MediaFeature) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	}))
}

// modes are the ways in which people look at a page.
var modes = []struct {
	name       string
	enter      func(b *tab)
	expression string
}{
	{"on a phone", func(b *tab) { b.do(chromedp.EmulateViewport(320, 640)) }, fits},
	{"on a tablet", func(b *tab) { b.do(chromedp.EmulateViewport(768, 1024)) }, fits},
	{"on a desktop", func(b *tab) { b.do(chromedp.EmulateViewport(1280, 900)) }, fits},
	{"at 200 %", func(b *tab) { b.do(chromedp.EmulateViewport(640, 512, chromedp.EmulateScale(2))) }, fits},
	{"at 400 %", func(b *tab) { b.do(chromedp.EmulateViewport(320, 256, chromedp.EmulateScale(4))) }, fits},
	{"with text at 200 %", func(b *tab) {
		b.do(chromedp.EmulateViewport(640, 512))
		evaluate[string](b, `document.documentElement.style.fontSize = '200%'`)
	}, fits},
	{"in forced colours", func(b *tab) {
		evaluate[string](b, `document.documentElement.style.fontSize = ''`)
		b.media(&emulation.MediaFeature{Name: "forced-colors", Value: "active"})
	}, edges},
	{"with reduced motion", func(b *tab) { b.media(&emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "reduce"}) }, still},
	{"at all", func(b *tab) { b.media() }, `noted.map(what => ({Rule: 'stopped', Where: what}))`},
}

func TestModes(t *testing.T) {
	t.Parallel()
	var wrong findings
	each(t, noted, func(b *tab, s *shot) {
		for _, mode := range modes {
			mode.enter(b)
			wrong.add(s.name()+" "+mode.name, evaluate[[]found](b, mode.expression))
		}
	})
	wrong.none(t)
}

// TestModesCanFail on a page where everything is wrong.
func TestModesCanFail(t *testing.T) {
	t.Parallel()
	b := faultsPage(t, noted)
	evaluate[string](b, `document.body.insertAdjacentHTML('beforeend', '<p style="width: 2000px; transition: all 1s">Wide</p><button style="border: 0">No edge</button><img src="/nothing" alt="">') || ''`)
	answer[bool](b, `new Promise(done => { const look = () => noted.length ? done(true) : requestAnimationFrame(look); look(); })`)
	seen := map[string]bool{}
	for _, mode := range modes {
		mode.enter(b)
		for _, fault := range evaluate[[]found](b, mode.expression) {
			seen[fault.Rule] = true
		}
	}
	for _, rule := range []string{"scrolls sideways", "too small", "no edge in forced colours", "moves", "stopped"} {
		require.True(t, seen[rule], rule)
	}
}

// stops gives a page what it needs to judge where Tab comes to: each thing that takes the focus, how it looks without, and which must follow.
// Radios of one name are one stop.
const stops = `(() => {
	const look = e => { const s = getComputedStyle(e), l = e.labels && e.labels[0] ? getComputedStyle(e.labels[0], '::before') : s; return [s.outlineStyle, s.outlineWidth, s.boxShadow, l.boxShadow, l.outlineStyle].join(); };
	const all = Array.from(document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]')).filter(e => e.getClientRects().length > 0);
	const at = document.activeElement, groups = new Set();
	window.awaited = all.filter(e => {
		if (at !== document.body && !(at.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING)) return false;
		if (e.type !== 'radio') return true;
		const first = !groups.has(e.name);
		groups.add(e.name);
		return first;
	});
	window.unfocused = new Map(all.map(e => [e, look(e)]));
	window.last = null;
	window.stop = () => {
		const e = document.activeElement, wrong = [], say = rule => wrong.push({Rule: rule, Where: e.outerHTML.slice(0, 200)});
		if (e === document.body) return {Left: true, Wrong: awaited.map(e => ({Rule: 'Tab does not come here', Where: e.outerHTML.slice(0, 200)}))};
		awaited = awaited.filter(a => a !== e && !(a.type === 'radio' && a.name === e.name));
		if (last && !(last.compareDocumentPosition(e) & Node.DOCUMENT_POSITION_FOLLOWING)) say('out of order');
		last = e;
		if (unfocused.get(e) === look(e)) say('the focus is not seen');
		const box = (e.labels && e.labels[0] && getComputedStyle(e).opacity === '0' ? e.labels[0] : e).getBoundingClientRect();
		if (box.bottom < 1 || box.right < 1 || box.top > innerHeight - 1 || box.left > innerWidth - 1) say('out of view');
		const x = Math.min(Math.max((box.left + box.right) / 2, 0), innerWidth - 1), y = Math.min(Math.max((box.top + box.bottom) / 2, 0), innerHeight - 1);
		const top = document.elementFromPoint(x, y);
		const own = e.labels && Array.from(e.labels).some(l => l.contains(top)); // the design system draws a radio on its label
		if (top && !own && e.getClientRects().length === 1 && !e.contains(top) && !top.contains(e)) say('painted over by ' + top.tagName);
		return {Left: false, Wrong: wrong};
	};
	return awaited.length;
})()`

// TestTab walks through every page by the keyboard: it comes to everything, in order, in view, and one sees where one is. The order does not
// hang on the language.
func TestTab(t *testing.T) {
	t.Parallel()
	var wrong findings
	each(t, "", func(b *tab, s *shot) {
		if s.lang == "en" {
			wrong.add(s.name(), walkByTab(b))
		}
	})
	wrong.none(t)
}

func walkByTab(b *tab) (wrong []found) {
	b.t.Helper()
	answer[bool](b, `new Promise(done => { // a page's own choice of focus comes with its first frame
		const look = () => !document.querySelector('[autofocus]') || document.activeElement !== document.body ? done(true) : requestAnimationFrame(look);
		look();
	})`)
	for range evaluate[int](b, stops) + 2 {
		b.do(chromedp.KeyEvent(kb.Tab))
		stop := evaluate[struct {
			Left  bool
			Wrong []found
		}](b, `stop()`)
		wrong = append(wrong, stop.Wrong...)
		if stop.Left {
			break
		}
	}
	return wrong
}

// TestTabCanFail on a page where somebody jumps the queue and somebody hides.
func TestTabCanFail(t *testing.T) {
	t.Parallel()
	b := faultsPage(t, "")
	evaluate[string](b, `document.body.insertAdjacentHTML('beforeend', '<button style="outline: none">Hides</button><a href="/x" tabindex="-1">Left out</a>') || ''`)
	seen := map[string]bool{}
	for _, fault := range walkByTab(b) {
		seen[fault.Rule] = true
	}
	for _, rule := range []string{"out of order", "the focus is not seen", "Tab does not come here"} {
		require.True(t, seen[rule], rule)
	}
}
