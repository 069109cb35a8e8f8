package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
)

//go:embed templates/*.html locales/*.json static/app.css
var files embed.FS

// asset is a file that never changes under its path: the path holds a hash of its bytes.
type asset struct {
	path    string
	kind    string
	content []byte
}

func loadStyle() (asset, error) {
	content, err := files.ReadFile("static/app.css")
	if err != nil {
		return asset{}, fmt.Errorf("web: %w", err)
	}
	sum := sha256.Sum256(content)
	return asset{path: "/assets/app." + hex.EncodeToString(sum[:6]) + ".css", kind: "text/css; charset=utf-8", content: content}, nil
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.content)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(a.content) // a reader that is gone needs no answer
}
