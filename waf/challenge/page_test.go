package challenge

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// visit is what became of a page in the browser that testdata/browser.js
// plays.
type visit struct {
	Cookies []string // as the script wrote them
	Reloads int
	Status  string // what the page says
	Again   bool   // whether it offers to try again
	Working bool   // whether it shows that it works
}

// browse runs a page's script as a browser would, with that behaviour of
// browser.js.
func browse(t *testing.T, page Answer, scheme, behaviour string) (v visit) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("the page's script is not executed: there is no node (nodejs) here")
	}
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, page.Body, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "testdata/browser.js", file, scheme, behaviour)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return v
}

func TestThePageSolvesItselfInABrowser(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		for _, difficulty := range []int{8, 15} {
			t.Run(scheme+" "+strconv.Itoa(difficulty), func(t *testing.T) {
				o := options()
				o.Difficulty, o.Lifetime = difficulty, time.Hour
				c := challenger(t, o)
				r := navigation("2001:db8::1")
				v := browse(t, c.Page(r, start), scheme, "")
				if len(v.Cookies) != 1 || v.Reloads != 1 || v.Status != "" || v.Again || !v.Working {
					t.Fatalf("%+v", v)
				}
				pair, attributes, _ := strings.Cut(v.Cookies[0], "; ")
				want := "Path=/; SameSite=Lax; Max-Age=3600"
				if scheme == "https" {
					want += "; Secure"
				}
				if attributes != want {
					t.Errorf("cookie is for %q, want %q", attributes, want)
				}
				name, value, _ := strings.Cut(pair, "=")
				if got := c.Check(withCookie(r, value), start); name != CookieName || got.Outcome != Passed {
					t.Errorf("%s: %+v", pair, got)
				}
			})
		}
	}
}

func TestThePageSaysWhatKeepsItFromWorking(t *testing.T) {
	tests := []struct {
		name, behaviour string
		difficulty      int
		want            string
		cookies         int
	}{
		{"cookies are off", "cookies off", 8, "keeps no cookies", 0},
		{"cookie is dropped", "cookies dropped", 8, "did not keep the cookie", 1},
		{"the page comes again and again", "seen often", 8, "keeps asking", 1},
		{"it takes too long", "slow", 24, "took too long", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			o.Difficulty = tt.difficulty
			v := browse(t, challenger(t, o).Page(navigation("192.0.2.1"), start), "http", tt.behaviour)
			if v.Reloads != 0 || !v.Again || v.Working || !strings.Contains(v.Status, tt.want) || len(v.Cookies) != tt.cookies {
				t.Errorf("%+v, want %q", v, tt.want)
			}
		})
	}
}

func TestThePageWorksWhereStorageIsForbidden(t *testing.T) {
	v := browse(t, challenger(t, options()).Page(navigation("192.0.2.1"), start), "http", "no storage")
	if v.Reloads != 1 || v.Status != "" {
		t.Errorf("%+v", v)
	}
}

func TestThePageNeedsNothingElseAndMayDoNothingElse(t *testing.T) {
	c := challenger(t, options())
	a := c.Page(navigation("192.0.2.1"), start)
	body := string(a.Body)
	if a.Status != 403 || a.ContentType != "text/html; charset=utf-8" {
		t.Errorf("%d %s", a.Status, a.ContentType)
	}
	if m := regexp.MustCompile(`(?i)\b(src|href|url|import)\s*[=(]|//[a-z]+\.|\{[a-z-]+\}`).FindString(body); m != "" {
		t.Errorf("the page has %q", m)
	}
	fields := map[string]string{}
	for _, f := range a.Fields {
		fields[f[0]] = f[1]
	}
	if fields["Cache-Control"] != "no-store" || fields["X-Content-Type-Options"] != "nosniff" {
		t.Errorf("%v", fields)
	}
	for _, element := range []string{"style", "script"} {
		_, rest, _ := strings.Cut(body, "<"+element+">")
		content, _, ok := strings.Cut(rest, "</"+element+">")
		if !ok || !strings.Contains(fields["Content-Security-Policy"], element+"-src "+digest(content)) {
			t.Errorf("the policy does not allow the %s: %s", element, fields["Content-Security-Policy"])
		}
	}
	if !strings.Contains(body, "<noscript>") {
		t.Error("nothing is said to those without JavaScript")
	}
	if tokenOf(t, a) == tokenOf(t, c.Page(navigation("192.0.2.1"), start)) {
		t.Error("two pages have the same token")
	}
}

func BenchmarkPage(b *testing.B) {
	c := challenger(b, options())
	r := navigation("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		c.Page(r, start)
	}
}
