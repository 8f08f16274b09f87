package admin

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
)

//go:embed index.html
var indexHTML string

// addIndex adds the page for people. It is written when it is asked for, and
// so lists what was added after it.
func (s *Server) addIndex() {
	page := template.Must(template.New("index").Parse(indexHTML))
	s.Handle("/", "this page", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var b bytes.Buffer
		if err := page.Execute(&b, s.index()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.Bytes()) // the client may be gone
	}))
}

// index is what the page shows.
type index struct {
	Name, Version string
	Unready       string // why the process does not serve; "" if it does
	Endpoints     []endpoint
	Status        string
}

// index gathers what the page shows.
func (s *Server) index() index {
	page := index{Name: s.opts.Name, Version: s.opts.Version, Endpoints: s.endpoints}
	if s.opts.Ready != nil {
		if err := s.opts.Ready(); err != nil {
			page.Unready = err.Error()
		}
	}
	if s.opts.Status != nil {
		status, err := encode(s.opts.Status())
		if err != nil {
			status = []byte(err.Error())
		}
		page.Status = string(status)
	}
	return page
}
