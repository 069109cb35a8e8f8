package httpapi

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// lines writes a list without end: as an array, or as NDJSON where the caller accepts it.
type lines struct {
	to         *bufio.Writer
	controller *http.ResponseController
	array      bool
	count      int
}

func newLines(w http.ResponseWriter, r *http.Request) *lines {
	l := &lines{to: bufio.NewWriterSize(w, 64<<10), controller: http.NewResponseController(w)}
	l.array = !strings.Contains(r.Header.Get("Accept"), "ndjson")
	w.Header().Set("Content-Type", ndjson)
	if l.array {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(http.StatusOK)
	return l
}

func (l *lines) write(line any) error {
	encoded, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if l.count%1000 == 0 { // a long list may take long, a stuck reader may not
		_ = l.controller.SetWriteDeadline(time.Now().Add(answerTime))
	}
	if l.array {
		_ = l.to.WriteByte("[,"[min(l.count, 1)]) // a bufio.Writer keeps its error for the next call
	}
	l.count++
	_, _ = l.to.Write(encoded)
	return l.to.WriteByte('\n')
}

func (l *lines) end() error {
	if l.array {
		end := "]\n"
		if l.count == 0 {
			end = "[]\n"
		}
		_, _ = l.to.WriteString(end)
	}
	return l.to.Flush()
}
