package corpus

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"testing"
)

// read loads one directory of the corpora beside this package.
func read(t *testing.T, dir string) []Request {
	t.Helper()
	list, err := Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Benign requests are what well-behaved clients send: another parser reads
// them whole, and each says where it goes and who asks.
func TestBenignRequestsAreWellFormed(t *testing.T) {
	for _, dir := range []string{"../benign/tuning", "../benign/held-out"} {
		for _, r := range read(t, dir) {
			t.Run(dir[len("../benign/"):]+"/"+r.Class+"/"+r.Name, func(t *testing.T) {
				got, body := readRequest(t, r.Raw)
				if got.Host == "" || got.UserAgent() == "" {
					t.Errorf("host %q, user agent %q: both are needed", got.Host, got.UserAgent())
				}
				if err := wellFormed(got, body); err != nil {
					t.Errorf("%v\n%s", err, body)
				}
			})
		}
	}
}

// wellFormed says whether a body is of the type that it is said to be.
func wellFormed(r *http.Request, body []byte) error {
	if len(body) == 0 {
		return nil
	}
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if r.Header.Get("Content-Encoding") == "gzip" {
		if body, err = decompress(body); err != nil {
			return err
		}
	}
	switch {
	case strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json") || media == "application/csp-report":
		if !json.Valid(body) {
			return errors.New("this is not JSON")
		}
	case strings.HasSuffix(media, "/xml") || strings.HasSuffix(media, "+xml"):
		return xml.Unmarshal(body, new(struct{}))
	case media == "multipart/form-data":
		return eachPart(multipart.NewReader(bytes.NewReader(body), params["boundary"]))
	}
	return nil
}

func decompress(body []byte) ([]byte, error) {
	in, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(in)
}

// eachPart reads a multipart body to its end.
func eachPart(in *multipart.Reader) error {
	for {
		part, err := in.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if part.FormName() == "" {
			return errors.New("a part has no name")
		}
		if _, err := io.Copy(io.Discard, part); err != nil {
			return err
		}
	}
}

// Attacks may be malformed, but not by mistake: each is a request that has
// come to its end.
func TestAttacksAreWhole(t *testing.T) {
	list := read(t, "../attacks")
	if len(list) < 150 {
		t.Errorf("%d attacks, want at least 150", len(list))
	}
	for _, r := range list {
		if !bytes.Contains(r.Raw, []byte("\r\n\r\n")) || !bytes.Contains(r.Raw, []byte(" HTTP/")) {
			t.Errorf("%s/%s is no request: %q", r.Class, r.Name, r.Raw)
		}
	}
}

func TestTheCorpusIsLargeAndVaried(t *testing.T) {
	tuning, heldOut := read(t, "../benign/tuning"), read(t, "../benign/held-out")
	total := len(tuning) + len(heldOut)
	if total < 400 {
		t.Errorf("%d benign requests, want at least 400", total)
	}
	if share := float64(len(heldOut)) / float64(total); share < 0.3 || share > 0.4 {
		t.Errorf("%.2f of the benign requests are held out, want about a third", share)
	}
	classes := map[string]int{}
	for _, r := range append(tuning, heldOut...) {
		classes[r.Class]++
	}
	if len(classes) < 25 {
		t.Errorf("%d classes, want at least 25", len(classes))
	}
	for class, n := range classes {
		if n < 12 {
			t.Errorf("class %s has %d requests, want at least 12", class, n)
		}
	}
}

// What is held out says nothing if it was tuned for.
func TestNothingIsHeldOutThatIsAlsoInTuning(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range read(t, "../benign/tuning") {
		target, body := essence(r)
		seen[target], seen[body] = true, true
	}
	for _, r := range read(t, "../benign/held-out") {
		target, body := essence(r)
		if body != "" && seen[body] || body == "" && seen[target] {
			t.Errorf("%s/%s is in both", r.Class, r.Name)
		}
	}
}

// essence is what tells requests apart: where they go, and what they bring.
func essence(r Request) (target, body string) {
	head, rest, _ := bytes.Cut(r.Raw, []byte("\r\n\r\n"))
	line, fields, _ := strings.Cut(string(head), "\r\n")
	for field := range strings.SplitSeq(fields, "\r\n") {
		if name := fieldName(field); name == "host" || name == "cookie" || name == "user-agent" {
			line += "\n" + field
		}
	}
	return line, string(rest)
}
