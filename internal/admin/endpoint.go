package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gatehouse/internal/daemon"
)

// endpoint is a line of the index page.
type endpoint struct {
	Method, Path, Summary string
}

// Func answers a request with a value that is written as JSON, or an error.
// Arguments come as query parameters or form fields: Request.FormValue.
type Func func(r *http.Request) (any, error)

// Error is an error of a Func with a status other than 500.
type Error struct {
	Status int // 400..599
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Failure is the body of every answer that is an error.
type Failure struct {
	Error  string   `json:"error"`            // for people; may have several lines
	Errors []string `json:"errors,omitempty"` // one by one, if there are several
}

// Get adds an endpoint that changes nothing. summary is for the index page.
func (s *Server) Get(path, summary string, f Func) {
	s.handle(http.MethodGet, path, summary, respond(f))
}

// Post adds an action. It is reached by POST only, which no link, image or
// redirect of another site can send.
func (s *Server) Post(path, summary string, f Func) {
	s.handle(http.MethodPost, path, summary, respond(f))
}

// Handle adds a handler for GET that writes something other than JSON.
func (s *Server) Handle(path, summary string, h http.Handler) {
	s.handle(http.MethodGet, path, summary, h)
}

// handle adds an endpoint; other methods are answered with 405 by the mux. A
// path that ends in / stands for all below it, but / for itself alone.
func (s *Server) handle(method, path, summary string, h http.Handler) {
	pattern := path
	if path == "/" {
		pattern = "/{$}"
	}
	s.mux.Handle(method+" "+pattern, h)
	s.endpoints = append(s.endpoints, endpoint{Method: method, Path: path, Summary: summary})
}

// respond makes a handler of f.
func respond(f Func) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// First, so that a body over the limit is an error and not a wait.
		if err := r.ParseForm(); err != nil {
			writeError(w, r, &Error{Status: formStatus(err), Err: err})
			return
		}
		if err := discard(r); err != nil {
			writeError(w, r, &Error{Status: formStatus(err), Err: err})
			return
		}
		value, err := f(r)
		if err != nil {
			writeError(w, r, err)
			return
		}
		writeJSON(w, http.StatusOK, value)
	})
}

// formStatus is the status for arguments that cannot be read.
func formStatus(err error) int {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// writeJSON writes a value, indented: people read it.
func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := encode(value)
	if err != nil {
		http.Error(w, "encoding the answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// encode returns value as JSON. It is no part of a script, so that < can stay
// as it is.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return b.Bytes(), err
}

// writeError writes an error as JSON, or as text for who asks for that.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if e, ok := errors.AsType[*Error](err); ok {
		status = e.Status
	}
	if strings.HasPrefix(r.Header.Get("Accept"), "text/plain") {
		http.Error(w, err.Error(), status)
		return
	}
	writeJSON(w, status, Failure{Error: err.Error(), Errors: flatten(err)})
}

// flatten returns the errors that err joins, as they are, or nil if it is
// one.
func flatten(err error) []string {
	// The join may be wrapped.
	for e := err; e != nil; {
		if joined, ok := e.(interface{ Unwrap() []error }); ok {
			return leaves(joined.Unwrap())
		}
		e = errors.Unwrap(e)
	}
	return nil
}

// leaves returns errs with those that are joins taken apart.
func leaves(errs []error) []string {
	var all []string
	for _, err := range errs {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			all = append(all, leaves(joined.Unwrap())...)
		} else {
			all = append(all, err.Error())
		}
	}
	return all
}

// addHealth adds what both servers have.
func (s *Server) addHealth() {
	s.Handle("/healthz", "200 while the process is alive", http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok") }))
	s.Handle("/readyz", "200 while it serves, else 503 and the reason", http.HandlerFunc(s.readiness))
	if s.opts.Gatherer == nil {
		return
	}
	s.Handle("/metrics", "metrics for Prometheus", promhttp.HandlerFor(s.opts.Gatherer, promhttp.HandlerOpts{
		// One broken collector must not hide the others.
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            metricsLog{s.opts.Log},
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
		EnableOpenMetrics:   true,
	}))
}

// readiness answers /readyz.
func (s *Server) readiness(w http.ResponseWriter, _ *http.Request) {
	if s.opts.Ready != nil {
		if err := s.opts.Ready(); err != nil {
			writeText(w, http.StatusServiceUnavailable, err.Error())
			return
		}
	}
	writeText(w, http.StatusOK, "ready")
}

// writeText writes a line.
func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // the client may be gone
}

// addReload adds POST /reload.
func (s *Server) addReload() {
	s.Post("/reload", "read the configuration anew; 422 and every error if it is refused",
		func(r *http.Request) (any, error) {
			err := s.opts.Reload(r.Context(), "admin")
			switch {
			case err == nil:
				return map[string]string{"outcome": "applied"}, nil
			case errors.Is(err, daemon.ErrStopping), r.Context().Err() != nil:
				return nil, &Error{Status: http.StatusServiceUnavailable, Err: err}
			}
			return nil, &Error{Status: http.StatusUnprocessableEntity, Err: err}
		})
}

// addProfiles adds the profiles of net/http/pprof. They tell the command line
// and cost time, hence only where no stranger can ask.
func (s *Server) addProfiles() {
	s.Handle("/debug/pprof/", "profiles of the process", http.HandlerFunc(pprof.Index))
	for path, h := range map[string]http.HandlerFunc{
		"cmdline": pprof.Cmdline,
		"profile": pprof.Profile,
		"symbol":  pprof.Symbol,
		"trace":   pprof.Trace,
	} {
		s.mux.Handle("GET /debug/pprof/"+path, h)
	}
}
