package corpus

import (
	"bytes"
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
				if len(body) > 0 && got.Header.Get("Content-Type") == "" {
					t.Error("a body has no Content-Type")
				}
			})
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
