package corpus

import (
	"os"
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
