package doh

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"gatehouse/dnslb/server"
)

// handler is a Server without a socket, and a request's context for it.
func handler(t testing.TB, f respond) func(*http.Request) *httptest.ResponseRecorder {
	t.Helper()
	s := &Server{stats: new(counters), responders: server.NewResponders(always(f), nil)}
	all := server.Defaults(limits)
	s.limits.Store(&all)
	s.SetPath("")
	long := make(chan struct{}, 1)
	s.exchanges.New = func() any { return newExchange(long) }
	c := &conn{}
	c.seat = server.NewConnections(limits).Admit(c.peer.Addr.Addr(), func() {})
	return func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.handle(w, r.WithContext(context.WithValue(r.Context(), connKey{}, c)))
		if len(long) != 0 {
			t.Error("the room for long messages was not given back")
		}
		return w
	}
}

// sound answers with the query, and fails the test for what is none.
func sound(t testing.TB) respond {
	return func(out, q []byte, from *server.Peer) []byte {
		if len(q) < 12 || len(q) > maxMessage || q[2]&0x80 != 0 || len(out) != 0 {
			t.Errorf("asked %x with %d bytes before", q, len(out))
		}
		return echo(out, q, from)
	}
}

// wantSound checks what came of a message; nil: it was none.
func wantSound(t *testing.T, w *httptest.ResponseRecorder, msg []byte) {
	t.Helper()
	good := len(msg) >= 12 && len(msg) <= maxMessage && msg[2]&0x80 == 0
	switch {
	case good && (w.Code != 200 || !bytes.Equal(w.Body.Bytes(), echo(nil, msg, nil))):
		t.Fatalf("%d for %x: %x", w.Code, msg, w.Body.Bytes())
	case !good && w.Code != 400 && (w.Code != 413 || len(msg) <= maxMessage):
		t.Fatalf("%d for %x", w.Code, msg)
	}
}

func FuzzParameter(f *testing.F) {
	for _, q := range [][]byte{query(12), query(30), query(5000), {0}} {
		f.Add("dns=" + base64.RawURLEncoding.EncodeToString(q))
		f.Add("x&dns=" + base64.URLEncoding.EncodeToString(q) + "&y=%zz;")
	}
	f.Add("dns=AAA%41AAAAAAAAAAAA")
	f.Add("dns=AAAA&dns=AAAA")
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest(http.MethodGet, defaultPath, nil)
		r.URL.RawQuery = raw
		wantSound(t, handler(t, sound(t))(r), decoded(raw))
	})
}

// decoded is the message of a parameter as the standard library reads that,
// which spells it as it was: nil otherwise.
func decoded(raw string) []byte {
	var found []string
	for _, pair := range bytes.Split([]byte(raw), []byte("&")) {
		if name, value, ok := bytes.Cut(pair, []byte("=")); ok && string(name) == "dns" {
			found = append(found, string(value))
		}
	}
	if len(found) != 1 {
		return nil
	}
	text, err := url.QueryUnescape(found[0])
	if err != nil {
		return nil
	}
	msg, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(msg) != text {
		return nil
	}
	return msg
}

func FuzzBody(f *testing.F) {
	for _, n := range []int{0, 11, 12, 4096, 4097, maxMessage, maxMessage + 1} {
		f.Add(query(n), true)
		f.Add(query(n), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, length bool) {
		r := httptest.NewRequest(http.MethodPost, defaultPath, bytes.NewReader(body))
		r.Header.Set("Content-Type", mediaType)
		if !length {
			r.ContentLength = -1
		}
		wantSound(t, handler(t, sound(t))(r), body)
	})
}

func TestLongMessagesAreBounded(t *testing.T) {
	long := make(chan struct{}, 1)
	first, second := newExchange(long), newExchange(long)
	if _, refusal := first.body(bytes.NewReader(query(shortMessage + 1))); refusal != refusals || !first.holds {
		t.Fatalf("the first long one: %v", refusal)
	}
	if _, refusal := second.body(bytes.NewReader(query(shortMessage + 1))); refusal != RefusedBusy {
		t.Errorf("the second one: %v", refusal)
	}
	text := "dns=" + base64.RawURLEncoding.EncodeToString(query(5000))
	if _, refusal := second.parameter(text); refusal != RefusedBusy {
		t.Errorf("as a parameter: %v", refusal)
	}
	if msg, refusal := second.body(bytes.NewReader(query(shortMessage))); refusal != refusals || len(msg) != shortMessage || second.holds {
		t.Errorf("a short one: %v, %d bytes", refusal, len(msg))
	}
	first.end()
	if msg, refusal := second.parameter(text); refusal != refusals || len(msg) != 5000 {
		t.Errorf("once the first has ended: %v", refusal)
	}
}

func TestNamesOfRefusals(t *testing.T) {
	names := map[string]bool{}
	for _, r := range Refusals() {
		names[r.String()] = true
		if refused[r].status < 400 || refused[r].text == "" {
			t.Errorf("%v is answered with %+v", r, refused[r])
		}
	}
	if len(names) != int(refusals) || names[""] || refusals.String() != "invalid" {
		t.Errorf("names: %v", names)
	}
}
