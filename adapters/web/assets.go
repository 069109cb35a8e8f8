package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed templates/*.html locales/*.json static/app.css static/live.js
var files embed.FS

// asset is a file that never changes under its path: the path holds a hash of its bytes.
type asset struct {
	path    string
	kind    string
	content []byte
}

func loadAsset(name, kind string) (asset, error) {
	content, err := files.ReadFile("static/" + name)
	if err != nil {
		return asset{}, fmt.Errorf("web: %w", err)
	}
	sum, extension := sha256.Sum256(content), path.Ext(name)
	hashed := strings.TrimSuffix(name, extension) + "." + hex.EncodeToString(sum[:6]) + extension
	return asset{path: "/assets/" + hashed, kind: kind, content: content}, nil
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
