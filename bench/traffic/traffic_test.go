package traffic

import (
	"bufio"
	"bytes"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// read takes a message apart as a server does.
func read(t *testing.T, message []byte) (*http.Request, []byte) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(message)))
	if err != nil {
		t.Fatalf("%v in %q", err, message)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Host != Host || len(r.Cookies()) < 5 || r.UserAgent() == "" {
		t.Fatalf("%v: host %q, %d cookies in %q", err, r.Host, len(r.Cookies()), message)
	}
	return r, body
}

func all(t *testing.T, name string) [][]byte {
	t.Helper()
	list, err := Requests(name, Host, "/shop/search")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRequestsAreWhatTheirKindSays(t *testing.T) {
	tests := []struct {
		kind, method string
		body         int // bytes, about
		query        bool
		media        string
	}{
		{"get", "GET", 0, true, ""},
		{"get_same", "GET", 0, true, ""},
		{"page", "GET", 0, true, ""},
		{"attack", "GET", 0, true, ""},
		{"form200", "POST", 200, false, "application/x-www-form-urlencoded"},
		{"form2k", "POST", 2 << 10, false, "application/x-www-form-urlencoded"},
		{"json200", "POST", 200, false, "application/json"},
		{"json20k", "POST", 20 << 10, false, "application/json"},
	}
	if len(tests) != len(Kinds()) {
		t.Errorf("%d kinds, %d of them tested", len(Kinds()), len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.kind, func(t *testing.T) {
			for i, message := range all(t, tt.kind) {
				if i%16 != 0 {
					continue
				}
				r, body := read(t, message)
				if r.Method != tt.method || (len(r.URL.Query()) > 1) != tt.query || r.Header.Get("Content-Type") != tt.media {
					t.Fatalf("%s", message)
				}
				if off := len(body) - tt.body; off*off > (tt.body/10)*(tt.body/10) {
					t.Fatalf("body of %d bytes: %s", len(body), body)
				}
				checkBody(t, tt.media, body)
			}
		})
	}
}

// checkBody sees that a body has the form that it claims, and few enough
// values that no firewall refuses them for their number.
func checkBody(t *testing.T, media string, body []byte) {
	t.Helper()
	switch {
	case strings.HasSuffix(media, "json"):
		if n := bytes.Count(body, []byte(`":`)); !json.Valid(body) || n > 250 {
			t.Fatalf("%d members, or no JSON: %s", n, body)
		}
	case media != "":
		form, err := url.ParseQuery(string(body))
		if err != nil || len(form["comment"]) != 1 || !strings.Contains(form.Get("email"), "@") {
			t.Fatalf("%v: %s", err, body)
		}
	}
}

func TestRequestsDifferAsClientsDo(t *testing.T) {
	for _, name := range Kinds() {
		list := all(t, name)
		list = list[:min(len(list), 500)]
		different, cookies := map[string]bool{}, map[string]bool{}
		for _, message := range list {
			r, body := read(t, message)
			different[r.URL.RawQuery+string(body)] = true
			sid, err := r.Cookie("sid")
			if err != nil {
				t.Fatal(err)
			}
			cookies[sid.Value] = true
		}
		if len(different) < len(list)*99/100 || len(cookies) != len(list) {
			t.Errorf("%s: %d requests, %d of them different, %d cookies", name, len(list), len(different), len(cookies))
		}
	}
}

func TestTheSameRequestsComeOutEveryTime(t *testing.T) {
	for _, name := range []string{"get", "form200", "json200", "attack"} {
		if a, b := all(t, name), all(t, name); !bytes.Equal(bytes.Join(a, nil), bytes.Join(b, nil)) {
			t.Errorf("%s differs from one time to the next", name)
		}
	}
	if !bytes.Equal(Page(), Page()) {
		t.Error("the page differs")
	}
}

func TestThePageIsPlainHTMLOfItsSize(t *testing.T) {
	page := string(Page())
	if len(page) != PageSize || !strings.HasPrefix(page, "<!DOCTYPE html>") || !strings.HasSuffix(page, "</html>\n") {
		t.Errorf("%d bytes: %s", len(page), page)
	}
	for _, tag := range []string{"article", "li", "main", "ul", "body"} {
		if open, closed := strings.Count(page, "<"+tag+">")+strings.Count(page, "<"+tag+" "), strings.Count(page, "</"+tag+">"); open != closed || open == 0 {
			t.Errorf("%d <%s>, %d </%s>", open, tag, closed, tag)
		}
	}
	if strings.Contains(page, "'") && html.UnescapeString(page) == page {
		t.Error("quotes are not escaped")
	}
	if fill := strings.Count(page, "="); fill > 700 {
		t.Errorf("%d bytes of it are filling", fill)
	}
}

func TestAnUnknownKindIsRefused(t *testing.T) {
	if _, err := Requests("soap", Host, "/"); err == nil || !strings.Contains(err.Error(), "form200") {
		t.Errorf("error %v", err)
	}
}

func TestTheCatalogueIsJSONOfItsSize(t *testing.T) {
	c := Catalogue()
	if len(c) != CatalogueSize || !json.Valid(c) || strings.HasSuffix(string(c), strings.Repeat(" ", 700)+"]}\n") {
		t.Errorf("%d bytes, valid: %v", len(c), json.Valid(c))
	}
}
