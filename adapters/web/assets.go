package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed templates/*.html locales/*.json static/*
var files embed.FS

// dist is what deploy/dev/web built: the Ontario Design System's sheet, its typefaces and their licences. On a bare checkout it is empty.
//
//go:embed all:dist
var dist embed.FS

// look is how the pages look: the sheets that each links, the script that some do, and every file that those bring.
type look struct {
	sheets []string // paths, in the order in which a page links them
	script string   // path
	files  []asset
	full   bool // the design system's sheet is built in
}

// FullLook says whether the Ontario Design System's sheet was built in; else pages have the plain look of fallback.css.
func FullLook() (bool, error) {
	sheets, err := fs.Glob(dist, "dist/ods.*.css")
	if err != nil {
		return false, fmt.Errorf("web: %w", err)
	}
	return len(sheets) > 0, nil
}

// loadLook takes the design system's sheet if it is built in, else the one that stands for it: never both, they collide. plain leaves out what is built in.
func loadLook(built fs.FS, plain bool) (look, error) {
	l := look{}
	if !plain {
		if err := l.loadBuilt(built); err != nil {
			return l, err
		}
	}
	own := []string{"fallback.css", "app.css", "live.js"}
	if l.full {
		own = own[1:]
	}
	for _, name := range own {
		content, err := files.ReadFile("static/" + name)
		if err != nil {
			return l, fmt.Errorf("web: %w", err)
		}
		sum, extension := sha256.Sum256(content), path.Ext(name)
		a, err := newAsset(strings.TrimSuffix(name, extension)+"."+hex.EncodeToString(sum[:6])+extension, content)
		if err != nil {
			return l, err
		}
		l.files = append(l.files, a)
		if extension == ".css" {
			l.sheets = append(l.sheets, a.path)
		} else {
			l.script = a.path
		}
	}
	return l, nil
}

// loadBuilt takes what was built, if it was: the bundler has put a hash into each name.
func (l *look) loadBuilt(built fs.FS) error {
	for _, kind := range []string{"ods.*.css", "*.woff2"} {
		names, err := fs.Glob(built, "dist/"+kind)
		if err != nil {
			return fmt.Errorf("web: %w", err)
		}
		for _, name := range names {
			content, err := fs.ReadFile(built, name)
			if err != nil {
				return fmt.Errorf("web: %w", err)
			}
			a, err := newAsset(path.Base(name), content)
			if err != nil {
				return err
			}
			l.files = append(l.files, a)
			if path.Ext(name) == ".css" {
				l.sheets, l.full = append(l.sheets, a.path), true
			}
		}
	}
	return nil
}

// asset is a file that never changes under its path: the path holds a hash of its bytes.
type asset struct {
	path, kind string
	content    []byte
	packed     []byte // content in gzip, of what is text
}

// assetKinds are the types of the files of a look, by their ending.
var assetKinds = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".woff2": "font/woff2"}

func newAsset(name string, content []byte) (asset, error) {
	a := asset{path: "/assets/" + name, kind: assetKinds[path.Ext(name)], content: content}
	if path.Ext(name) == ".woff2" { // packed in itself
		return a, nil
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return a, fmt.Errorf("web: %w", err)
	}
	if _, err := z.Write(content); err != nil {
		return a, fmt.Errorf("web: %w", err)
	}
	if err := z.Close(); err != nil {
		return a, fmt.Errorf("web: %w", err)
	}
	a.packed = b.Bytes()
	return a, nil
}

// serve answers with the file, packed for who takes it so. Pages themselves are never packed: what is in a page beside what a link may carry
// could be guessed from its packed length.
func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h, content := w.Header(), a.content
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Type", a.kind)
	if a.packed != nil {
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			content = a.packed
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(content) // a reader that is gone needs no answer
}
