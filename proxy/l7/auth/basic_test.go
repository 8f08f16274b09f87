package auth

import (
	"encoding/base64"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// hashOf is a line of an htpasswd file.
func hashOf(t testing.TB, user, password string, cost int) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return user + ":" + string(h) + "\n"
}

func basicOf(t testing.TB, file string) *Basic {
	t.Helper()
	u, err := ParseUsers([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return NewBasic(BasicOptions{Realm: "Staff", Users: u, Field: "X-User", Crowd: NewCrowd(1)})
}

func shown(user, password string) []byte {
	return []byte("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

func TestUsersFilesAreBcryptOrRefused(t *testing.T) {
	good := hashOf(t, "ann", "secret", 4)
	for _, w := range []struct{ name, file, want string }{
		{"apache's MD5", "ann:$apr1$QZ8sNmbK$0hRy5g1kq4Gk2bM1uH5k9/", "line 1: user \"ann\": MD5"},
		{"SHA-1", "ann:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "SHA-1 without salt"},
		{"crypt", "\n# note\nann:rqXexS6ZhobKA", "line 3: user \"ann\": a plain password, or crypt"},
		{"plain", "ann:secret", "a plain password"},
		{"SHA-512", "ann:$6$abc$def", "SHA-512-crypt"},
		{"twice", good + good, "line 2: user \"ann\" is there already"},
		{"no colon", "ann", "is not user:hash"},
		{"no user", ":x", "is not user:hash"},
		{"cost", "ann:$2y$31$" + strings.Repeat("a", 53), "more than 14"},
		{"cut", strings.TrimSpace(good)[:50], "malformed"},
		{"field behind", strings.TrimSpace(good) + ":x", "malformed"},
		{"several lines", "a:b\nc:d", "line 2"},
	} {
		t.Run(w.name, func(t *testing.T) {
			if _, err := ParseUsers([]byte(w.file)); err == nil || !strings.Contains(err.Error(), w.want) {
				t.Errorf("got %v, want %q", err, w.want)
			}
		})
	}
	u, err := ParseUsers([]byte("# staff\r\n\r\n" + strings.ReplaceAll(good, "$2a$", "$2y$") + hashOf(t, "bob", "x", 5)))
	if err != nil || u.Len() != 2 || !u.Mixed() || !u.has("ann", []byte("secret")) || u.has("ann", []byte("x")) || u.has("eve", []byte("secret")) {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestWhoHasTheRightPasswordPasses(t *testing.T) {
	b := basicOf(t, hashOf(t, "ann", "se:cret", 4)+hashOf(t, "jörg", "pässwort", 4))
	long := strings.Repeat("x", 72)
	for _, w := range []struct {
		name  string
		field string
		user  string // empty: refused
		told  string
	}{
		{"right", string(shown("ann", "se:cret")), "ann", "ann"},
		{"again", string(shown("ann", "se:cret")), "ann", "ann"},
		{"scheme in any case", "bASIC   " + string(shown("ann", "se:cret"))[6:], "ann", "ann"},
		{"UTF-8", string(shown("jörg", "pässwort")), "jörg", "j%C3%B6rg"},
		{"wrong", string(shown("ann", "secret")), "", ""},
		{"unknown", string(shown("eve", "se:cret")), "", ""},
		{"empty", string(shown("", "")), "", ""},
		{"control", string(shown("ann\n", "se:cret")), "", ""},
		{"no colon", "Basic " + base64.StdEncoding.EncodeToString([]byte("ann")), "", ""},
		{"bad base64", "Basic !!!!", "", ""},
		{"loose base64", strings.TrimRight(string(shown("ann", "se:cret")), "="), "", ""},
		{"two parts", string(shown("ann", "se:cret")) + " x", "", ""},
		{"another scheme", "Bearer x", "", ""},
		{"nothing", "", "", ""},
		{"what bcrypt does not look at", string(shown("ann", "se:cret"+long)), "", ""},
		{"huge", string(shown("ann", strings.Repeat("x", 4000))), "", ""},
	} {
		t.Run(w.name, func(t *testing.T) {
			id, why := b.Verify([]byte(w.field))
			switch {
			case w.user == "" && (why == nil || why.Status != 401 || why.Challenge != `Basic realm="Staff", charset="UTF-8"`):
				t.Errorf("got %+v, %+v", id, why)
			case w.user != "" && (why != nil || id.User != w.user || id.Fields[0] != Field{"X-User", w.told}):
				t.Errorf("got %+v, %+v", id, why)
			}
		})
	}
}

// comparisons of one password of this cost take long enough to be told from
// none.
const slowCost = 10

func TestUnknownUsersTakeAsLongAndKnownPasswordsNoTime(t *testing.T) {
	b := basicOf(t, hashOf(t, "ann", "secret", slowCost))
	known, unknown, remembered := time.Hour, time.Hour, time.Hour // the best of several: the machine has other things to do
	least := func(best *time.Duration, field []byte) {
		from := time.Now()
		b.Verify(field)
		*best = min(*best, time.Since(from))
	}
	like := func() bool { return unknown >= known/3 && known >= unknown/3 }
	for n := 0; n < 3 || n < 15 && !(like() && remembered <= known/3); n++ {
		least(&known, shown("ann", "wrong"))
		least(&unknown, shown("eve", "wrong"))
		least(&remembered, shown("ann", "secret"))
	}
	if !like() {
		t.Errorf("a known user takes %v, an unknown one %v", known, unknown)
	}
	if remembered > known/3 {
		t.Errorf("a password that is remembered takes %v, a comparison %v", remembered, known)
	}
}

func TestVerifiedPasswordsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache[int]()
		d := c.digest([]byte("a"))
		c.put(d, 1, time.Now().Add(cacheTime))
		time.Sleep(cacheTime - time.Nanosecond)
		if v, ok := c.get(d, time.Now()); !ok || v != 1 {
			t.Error("forgotten too soon")
		}
		time.Sleep(time.Nanosecond)
		if _, ok := c.get(d, time.Now()); ok {
			t.Error("not forgotten")
		}
		for i := range 100_000 {
			c.put(c.digest([]byte{byte(i), byte(i >> 8), byte(i >> 16)}), i, time.Now())
		}
		for i := range c.shards {
			if n := len(c.shards[i].entries); n > cacheShard {
				t.Errorf("%d entries", n)
			}
		}
	})
}

func TestACrowdIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCrowd(1)
		if !c.enter() {
			t.Fatal("no place")
		}
		results := make(chan bool, 200)
		for range 200 {
			go func() { results <- c.enter() }()
		}
		synctest.Wait()
		if n := len(results); n != 200-crowdWaiting {
			t.Errorf("%d were turned away at once", n)
		}
		c.leave()
		synctest.Wait()
		time.Sleep(crowdPatience)
		synctest.Wait()
		in := 0
		for range 200 {
			if <-results {
				in++
			}
		}
		if in != 1 {
			t.Errorf("%d came in", in)
		}
		c.leave()
	})
}

func FuzzCredentials(f *testing.F) {
	f.Add([]byte("Basic YTpi"))
	f.Add([]byte("basic  YTpi"))
	f.Add([]byte("Basic YTpi=="))
	f.Fuzz(func(t *testing.T, field []byte) {
		user, password, ok := credentials(nil, field)
		if !ok {
			return
		}
		if len(user) == 0 || len(user) > maxUser || hasControl(user) || hasControl(password) {
			t.Errorf("user %q, password %q", user, password)
		}
		again := shown(string(user), string(password))
		if !strings.HasSuffix(string(field), string(again[6:])) {
			t.Errorf("%q means %q and %q, which is %q", field, user, password, again)
		}
	})
}
