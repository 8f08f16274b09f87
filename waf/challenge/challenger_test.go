package challenge

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
	"gatehouse/waf/variables"
)

var start = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"

// navigation is a browser that looks at a page.
func navigation(client string) *variables.Request {
	return &variables.Request{
		Client: netip.AddrPortFrom(netip.MustParseAddr(client), 40000),
		Method: "GET", Target: "/shop?a=1",
		Headers: []variables.Pair{
			{Name: "Host", Value: "shop.example"},
			{Name: "User-Agent", Value: firefox},
			{Name: "Accept", Value: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		},
	}
}

func with(r *variables.Request, name, value string) *variables.Request {
	c := *r
	c.Headers = nil
	for _, h := range r.Headers {
		if !strings.EqualFold(h.Name, name) {
			c.Headers = append(c.Headers, h)
		}
	}
	if value != "" {
		c.Headers = append(c.Headers, variables.Pair{Name: name, Value: value})
	}
	return &c
}

func withCookie(r *variables.Request, value string) *variables.Request {
	c := *r
	c.Cookies = append(c.Cookies[:len(c.Cookies):len(c.Cookies)], variables.Pair{Name: CookieName, Value: value})
	return &c
}

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func options() Options {
	return Options{Policy: "shop", Secrets: [][]byte{secret(1)}, Difficulty: 8}
}

func challenger(t testing.TB, o Options) *Challenger {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// solve does in Go what the page's script does.
func solve(text string, difficulty int) string {
	for n := uint32(0); ; n++ {
		if cookie := fmt.Sprintf("%s.%08x", text, n); solves(cookie, difficulty) {
			return cookie
		}
	}
}

// tokenOf finds the token in a page.
func tokenOf(t testing.TB, page Answer) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(page.Body), `data-token="`)
	text, _, closed := strings.Cut(rest, `"`)
	if !ok || !closed || len(text) != tokenText {
		t.Fatalf("no token in the page: %q", text)
	}
	return text
}

// solved is a cookie for the client of a request.
func solved(t testing.TB, c *Challenger, r *variables.Request, now time.Time) string {
	t.Helper()
	return solve(tokenOf(t, c.Page(r, now)), c.difficulty)
}

func TestWhoSolvesTheChallengePasses(t *testing.T) {
	c := challenger(t, options())
	r := navigation("192.0.2.1")
	if got := c.Check(r, start); got.Outcome != Paged || got.Reason != "no cookie "+CookieName {
		t.Fatalf("without a cookie: %+v", got)
	}
	cookie := solved(t, c, r, start)
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
		r := withCookie(r, cookie)
		r.Method = method
		if got := c.Check(r, start.Add(time.Second)); got != (Result{}) {
			t.Errorf("%s with the cookie: %+v", method, got)
		}
	}
}

func TestASolutionIsForOneClientOnly(t *testing.T) {
	tests := []struct {
		name       string
		from, with *variables.Request
		want       Outcome
	}{
		{"same IPv4", navigation("192.0.2.1"), navigation("192.0.2.1"), Passed},
		{"IPv4 in IPv6", navigation("192.0.2.1"), navigation("::ffff:192.0.2.1"), Passed},
		{"neighbour", navigation("192.0.2.1"), navigation("192.0.2.2"), Paged},
		{"another in the IPv6 network", navigation("2001:db8:0:1::1"), navigation("2001:db8:0:1:ffff::2"), Passed},
		{"next IPv6 network", navigation("2001:db8:0:1::1"), navigation("2001:db8:0:2::1"), Paged},
		{"another user agent", navigation("192.0.2.1"), with(navigation("192.0.2.1"), "User-Agent", firefox+" "), Paged},
		{"no user agent", navigation("192.0.2.1"), with(navigation("192.0.2.1"), "User-Agent", ""), Paged},
		{"never a user agent", with(navigation("192.0.2.1"), "User-Agent", ""), with(navigation("192.0.2.1"), "User-Agent", ""), Passed},
		{"a huge user agent", with(navigation("192.0.2.1"), "User-Agent", strings.Repeat("x", 60_000)),
			with(navigation("192.0.2.1"), "User-Agent", strings.Repeat("x", 60_000)), Passed},
		{"another beyond what is looked at", with(navigation("192.0.2.1"), "User-Agent", strings.Repeat("x", maxAgent)+"y"),
			with(navigation("192.0.2.1"), "User-Agent", strings.Repeat("x", maxAgent)+"z"), Passed},
	}
	c := challenger(t, options())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := withCookie(tt.with, solved(t, c, tt.from, start))
			if got := c.Check(r, start); got.Outcome != tt.want || (got.Reason == "") != (tt.want == Passed) {
				t.Errorf("got %v (%s), want %v", got.Outcome, got.Reason, tt.want)
			}
		})
	}
}

func TestASolutionExpires(t *testing.T) {
	tests := []struct {
		name     string
		lifetime time.Duration // when it was issued
		now      time.Duration // after which it is shown
		later    time.Duration // lifetime then
		want     string
	}{
		{"fresh", 0, 0, 0, ""},
		{"in time", 0, 30*time.Minute - 1, 0, ""},
		{"too late", 0, 30 * time.Minute, 0, "the cookie has expired"},
		{"a day", 24 * time.Hour, 23 * time.Hour, 24 * time.Hour, ""},
		{"lifetime was shortened", 24 * time.Hour, 10 * time.Minute, 5 * time.Minute, "the cookie has expired"},
		{"lifetime was extended", 5 * time.Minute, 10 * time.Minute, 24 * time.Hour, "the cookie has expired"},
		{"clock of another instance is ahead", 0, -5 * time.Minute, 0, ""},
		{"clock of another instance is wrong", 0, -5*time.Minute - 1, 0, "the cookie is from the future"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, o := navigation("192.0.2.1"), options()
			o.Lifetime = tt.lifetime
			r = withCookie(r, solved(t, challenger(t, o), r, start))
			o.Lifetime = tt.later
			if got := challenger(t, o).Check(r, start.Add(tt.now)); got.Reason != tt.want {
				t.Errorf("got %q, want %q", got.Reason, tt.want)
			}
		})
	}
}

func TestTheWorkHasToBeDone(t *testing.T) {
	o := options()
	easy := challenger(t, o)
	r := navigation("192.0.2.1")
	text := tokenOf(t, easy.Page(r, start))
	failed := ""
	for n := 0; failed == ""; n++ {
		if cookie := fmt.Sprintf("%s.%08x", text, n); !solves(cookie, 8) {
			failed = cookie
		}
	}
	if got := easy.Check(withCookie(r, failed), start); got.Reason != "the cookie is no solution" {
		t.Errorf("a nonce that solves nothing: %+v", got)
	}
	o.Difficulty = 9
	harder := challenger(t, o)
	if got := harder.Check(withCookie(r, solve(text, 8)), start); got.Reason != "the cookie is from a time of less difficulty" {
		t.Errorf("an easier one: %+v", got)
	}
	if got := easy.Check(withCookie(r, solved(t, harder, r, start)), start); got.Outcome != Passed {
		t.Errorf("a harder one: %+v", got)
	}
	if c := challenger(t, Options{Secrets: o.Secrets}); c.difficulty != 15 || c.lifetime != 30*time.Minute {
		t.Errorf("defaults: %d, %v", c.difficulty, c.lifetime)
	}
}

func TestZeroBitsAreCounted(t *testing.T) {
	// sha256sum says 007391e0...: nine zero bits.
	cookie := strings.Repeat("A", tokenText) + "." + "0000027a"
	got := -1
	for n := range 33 {
		if !solves(cookie, n) {
			break
		}
		got = n
	}
	if got != 9 {
		t.Errorf("%d zero bits, want 9", got)
	}
}

func TestForgedCookiesAreOfNoUse(t *testing.T) {
	c := challenger(t, options())
	r := navigation("192.0.2.1")
	good := solved(t, c, r, start)
	other := options()
	other.Secrets = [][]byte{secret(2)}
	policy := options()
	policy.Policy = "shop2"
	tests := []struct {
		name, cookie string
		want         string
	}{
		{"empty", "", "the cookie is malformed"},
		{"token alone", good[:tokenText], "the cookie is malformed"},
		{"longer", good + "0", "the cookie is malformed"},
		{"upper case nonce", good[:tokenText+1] + "0000000A", "the cookie is malformed"},
		{"another alphabet", strings.Repeat("+", tokenText) + good[tokenText:], "the cookie is malformed"},
		{"line feed in the token", "\n" + good[1:], "the cookie is malformed"},
		{"another format", solve(changed(t, good, 0), 8), "the cookie is malformed"},
		{"another secret", solved(t, challenger(t, other), r, start), "the cookie was issued to"},
		{"another policy", solved(t, challenger(t, policy), r, start), "the cookie was issued to"},
		{"another secret, our key's number", solve(renumbered(t, solved(t, challenger(t, other), r, start), good), 8), "the cookie was issued to"},
	}
	for i := 1; i < len(token{}); i++ {
		tests = append(tests, struct{ name, cookie, want string }{
			fmt.Sprint("byte ", i, " changed"), solve(changed(t, good, i), 8), "the cookie was issued to"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := c.Check(withCookie(r, tt.cookie), start)
			if got.Outcome != Paged || !strings.HasPrefix(got.Reason, tt.want) {
				t.Errorf("got %+v, want %q", got, tt.want)
			}
		})
	}
}

func decode(t *testing.T, cookie string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(cookie[:tokenText])
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// changed is the token of a cookie with a bit of one byte turned over.
func changed(t *testing.T, cookie string, i int) string {
	raw := decode(t, cookie)
	raw[i] ^= 1
	return base64.RawURLEncoding.EncodeToString(raw)
}

// renumbered is the token of a cookie that names the key of another.
func renumbered(t *testing.T, cookie, other string) string {
	raw := decode(t, cookie)
	raw[1] = decode(t, other)[1]
	return base64.RawURLEncoding.EncodeToString(raw)
}

func TestSecretsCanBeReplaced(t *testing.T) {
	secrets := func(list ...byte) Options {
		o := options()
		o.Secrets = nil
		for _, b := range list {
			o.Secrets = append(o.Secrets, secret(b))
		}
		return o
	}
	r := navigation("192.0.2.1")
	old := withCookie(r, solved(t, challenger(t, secrets(1)), r, start))
	tests := []struct {
		name string
		o    Options
		want Outcome
	}{
		{"a new one in front", secrets(2, 1), Passed},
		{"many in front", secrets(2, 3, 4, 5, 6, 7, 8, 1), Passed},
		{"the old one gone", secrets(2), Paged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := challenger(t, tt.o)
			if got := c.Check(old, start); got.Outcome != tt.want {
				t.Errorf("got %+v, want %v", got, tt.want)
			}
			if got := challenger(t, secrets(2)).Check(withCookie(r, solved(t, c, r, start)), start); got.Outcome != Passed {
				t.Errorf("not signed with the first secret: %+v", got)
			}
		})
	}
}

func TestAStaleCookieDoesNotHideAGoodOne(t *testing.T) {
	c := challenger(t, options())
	r := navigation("192.0.2.1")
	good := solved(t, c, r, start)
	r = withCookie(r, "stale")
	if got := c.Check(withCookie(r, good), start); got.Outcome != Passed {
		t.Errorf("second of two: %+v", got)
	}
	for range maxCookies {
		r = withCookie(r, "stale")
	}
	if got := c.Check(withCookie(r, good), start); got.Outcome != Paged {
		t.Errorf("beyond the bound: %+v", got)
	}
}

func TestOptionsOutOfRangeAreRefused(t *testing.T) {
	tests := []struct {
		name string
		edit func(o *Options)
		want string
	}{
		{"no secret", func(o *Options) { o.Secrets = nil }, "no secret"},
		{"nine secrets", func(o *Options) { o.Secrets = make([][]byte, 9) }, "9 secrets, want at most 8"},
		{"short secret", func(o *Options) { o.Secrets = append(o.Secrets, make([]byte, 15)) }, "secret 2: 15 bytes, want at least 16"},
		{"short life", func(o *Options) { o.Lifetime = time.Minute }, "lifetime of 1m0s"},
		{"long life", func(o *Options) { o.Lifetime = 25 * time.Hour }, "lifetime of 25h0m0s"},
		{"negative life", func(o *Options) { o.Lifetime = -1 }, "lifetime of -1ns"},
		{"easy", func(o *Options) { o.Difficulty = 7 }, "difficulty of 7"},
		{"hard", func(o *Options) { o.Difficulty = 25 }, "difficulty of 25"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			tt.edit(&o)
			if _, err := New(o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// FuzzCheck shows that a cookie can be written in one way only, and that what
// passes is the cookie that was issued.
func FuzzCheck(f *testing.F) {
	c := challenger(f, options())
	r := navigation("192.0.2.1")
	var t token // not a random one: fuzzing runs in several processes
	t.set(c.keys[0].id, c.difficulty, start, c.lifetime)
	c.keys[0].sign(&t, r)
	good := solve(t.text(), c.difficulty)
	for _, seed := range []string{good, good[:tokenText], "", ".", strings.Repeat("A", tokenText) + ".00000000", good + "=", "\r" + good[1:]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cookie string) {
		if s, ok := parseSolution(cookie); ok && s.token.text()+"."+s.nonce != cookie {
			t.Errorf("%q is read as %q.%q", cookie, s.token.text(), s.nonce)
		}
		if got := c.Check(withCookie(r, cookie), start); got.Outcome == Passed && cookie[:min(len(cookie), tokenText)] != good[:tokenText] {
			t.Errorf("%q passes", cookie)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	c := challenger(b, options())
	r := navigation("192.0.2.1")
	for name, r := range map[string]*variables.Request{
		"passes": withCookie(r, solved(b, c, r, start)), "none": r, "forged": withCookie(r, solve(strings.Repeat("A", tokenText), 8)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Check(r, start)
			}
		})
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector has pools lose things")
	}
	c := challenger(t, options())
	r := navigation("192.0.2.1")
	passing := withCookie(r, solved(t, c, r, start))
	for name, r := range map[string]*variables.Request{"passes": passing, "none": r} {
		if n := testing.AllocsPerRun(200, func() { c.Check(r, start) }); n >= 1 {
			t.Errorf("%s: %.1f allocations", name, n)
		}
	}
}
