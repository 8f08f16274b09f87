package waf

import (
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"testing"

	"gatehouse/internal/testkit"
	"gatehouse/waf/index"
	"gatehouse/waf/variables"
)

var fuzzJudges = sync.OnceValues(func() ([]*judge, error) {
	var list []*judge
	for _, level := range []int{1, 4} {
		j, err := newJudge(testPolicy(level))
		if err != nil {
			return nil, err
		}
		list = append(list, j)
	}
	return list, nil
})

// FuzzJudgement judges requests made from attacks with and without the index:
// the same rules match, with the same score and verdict.
func FuzzJudgement(f *testing.F) {
	for i, in := range crsInputs(f) {
		if i%97 != 0 {
			continue
		}
		cookie, _ := in.req.Header("cookie")
		agent, _ := in.req.Header("user-agent")
		f.Add(in.req.Target, cookie, agent, in.req.Body.Raw, uint8(i))
	}
	f.Add("/?a=%3Cſcript%3E", "k=\u212a", "sqlmap", `{"a":"${jndi:ldap://x}"}`, uint8(1))
	kinds := []string{"application/x-www-form-urlencoded", "application/json", "text/xml", "multipart/form-data; boundary=b", "text/plain"}
	f.Fuzz(func(t *testing.T, target, cookie, agent, data string, kind uint8) {
		if !strings.HasPrefix(target, "/") || len(target)+len(cookie)+len(agent)+len(data) > 4000 {
			return
		}
		r := request("POST", target, "HTTP/1.1", []variables.Pair{{Name: "Host", Value: "shop.example"}, {Name: "User-Agent", Value: agent},
			{Name: "Accept", Value: "*/*"}, {Name: "Cookie", Value: cookie}, {Name: "X-Other", Value: data[:min(len(data), 100)]},
			{Name: "Content-Type", Value: kinds[int(kind)%len(kinds)]}, {Name: "Content-Length", Value: "10"}}, data)
		judges, err := fuzzJudges()
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range judges {
			var e index.Evaluation
			fast, err := j.request("x", r, nil, &e, true)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := j.request("x", r, nil, nil, false)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := summary(plain), summary(fast); a != b {
				t.Errorf("without the index %s\nwith it           %s", a, b)
			}
		}
	})
}

// TestTheIndexChangesNoJudgementOfMutatedAttacks splices and breaks the inputs
// of the Core Rule Set's tests.
func TestTheIndexChangesNoJudgementOfMutatedAttacks(t *testing.T) {
	testkit.Long(t)
	var texts []string
	for _, in := range crsInputs(t) {
		for _, list := range [][]variables.Pair{in.req.ArgsGet, in.req.Body.ArgsPost, in.req.Cookies} {
			for _, p := range list {
				texts = append(texts, p.Name, p.Value)
			}
		}
	}
	judges, err := fuzzJudges()
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(9, 10))
	matched := 0
	var e index.Evaluation
	for n := range 6000 {
		req := request("GET", "/?"+url.QueryEscape(mutated(r, texts))+"="+url.QueryEscape(mutated(r, texts)), "HTTP/1.1", []variables.Pair{{Name: "Host", Value: "shop.example"},
			{Name: "User-Agent", Value: mutated(r, texts)}, {Name: "Accept", Value: "*/*"}, {Name: "Cookie", Value: "c=" + mutated(r, texts)}, {Name: "Referer", Value: mutated(r, texts)}}, "")
		j := judges[n%2]
		fast, err := j.request("x", req, nil, &e, true)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := j.request("x", req, nil, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		matched += len(plain.Matches)
		if a, b := summary(plain), summary(fast); a != b {
			t.Errorf("%q:\n without the index %s\n with it           %s", req.Headers, a, b)
		}
	}
	if t.Logf("%d rules matched", matched); matched < 10_000 {
		t.Error("too few rules matched to say anything")
	}
}

// mutated is a piece of one text behind a piece of another, with some bytes
// changed.
func mutated(r *rand.Rand, texts []string) string {
	a, b := texts[r.IntN(len(texts))], texts[r.IntN(len(texts))]
	text := []byte(a[:r.IntN(len(a)+1)] + b[r.IntN(len(b)+1):])
	for range r.IntN(4) {
		if len(text) > 0 {
			text[r.IntN(len(text))] = "aA ;'\"(\x00\xc5\xbf%<"[r.IntN(12)]
		}
	}
	if r.IntN(4) == 0 {
		text = []byte(strings.ToUpper(string(text)))
	}
	return strings.Map(func(c rune) rune {
		if c == '\n' || c == '\r' {
			return ' '
		}
		return c
	}, string(text))
}
