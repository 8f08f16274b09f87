package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const cachedSite = `caches:
  - name: pages
    maxBytes: 128MiB
    maxObjectBytes: 2MiB
    key: {query: [id, page], headers: [X-Country]}
    defaultTTL: 10s
    staleWhileRevalidate: 1m
    staleIfError: 1h
    ignoreClientNoCache: true
  - {name: short, key: {query: none}}
listeners: [{name: web, address: 8080}]
pathMaps:
  - name: m
    default: {backendPool: app, backendSettings: plain, cache: pages}
    paths: [{paths: [/a], backendPool: app, backendSettings: plain, cache: short}]
rules: [{name: web, listener: web, pathMap: m}]
`

func TestCaches(t *testing.T) {
	g, warnings := mustParse(t, cachedSite+backends)
	if len(warnings) > 0 || g.PathMaps[0].Default.Cache != "pages" || g.PathMaps[0].Paths[0].Cache != "short" {
		t.Errorf("%v, %+v", warnings, g.PathMaps)
	}
	want := []Cache{
		{Name: "pages", MaxBytes: 128 << 20, MaxObjectBytes: 2 << 20, Key: CacheKey{CacheQuery{Names: []string{"id", "page"}}, []string{"x-country"}},
			DefaultTTL: 10 * time.Second, StaleWhileRevalidate: time.Minute, StaleIfError: time.Hour, IgnoreClientNoCache: true},
		{Name: "short", MaxBytes: 64 << 20, MaxObjectBytes: 1 << 20, Key: CacheKey{Query: CacheQuery{None: true}}},
	}
	for i := range g.Caches {
		g.Caches[i].Pos = Pos{}
	}
	if !reflect.DeepEqual(g.Caches, want) {
		t.Errorf("got %+v\nwant %+v", g.Caches, want)
	}
	if _, warnings := mustParse(t, strings.Replace(cachedSite, ", cache: short", "", 1)+backends); len(warnings) != 1 || !strings.Contains(warnings[0].String(), `cache "short" is not used`) {
		t.Errorf("warnings are %v", warnings)
	}
}

var refusedCaches = []struct {
	name, text, rest string
	want             []string
}{
	{name: "caches: values", text: `caches:
  - {name: a, maxBytes: 1KiB, defaultTTL: -1s, staleIfError: 1}
  - {name: a, maxBytes: 1MiB, maxObjectBytes: 2MiB}
  - {name: b, maxBytes: 512KiB, key: {query: some, headers: ["X Y", X-A, x-a]}}
  - {name: c, key: {query: [a, b, a]}, ttl: 1s}
`, rest: web, want: []string{
		`appgw.yaml:2: caches[0].maxBytes: must be 64KiB to 65536MiB, not "1KiB"`,
		`appgw.yaml:2: caches[0].defaultTTL: must be 0s to 8760h, not "-1s"`,
		`appgw.yaml:2: caches[0].staleIfError: a duration needs a unit; write 1s, 1ms or 1m`,
		`appgw.yaml:3: caches[1].name: the name "a" is already taken on line 2; choose another`,
		`appgw.yaml:3: caches[1].maxObjectBytes: maxObjectBytes is 2MiB, more than maxBytes, 1MiB; make it smaller`,
		`appgw.yaml:4: caches[2].maxBytes: maxObjectBytes is 1MiB, more than maxBytes, 512KiB; make it smaller`,
		`appgw.yaml:4: caches[2].key.query: must be all, none or a list of names, not "some"`,
		`appgw.yaml:4: caches[2].key.headers[0]: "X Y" names no field of a request: names have letters, digits and -`,
		`appgw.yaml:4: caches[2].key.headers[2]: is there already; remove one`,
		`appgw.yaml:5: caches[3].key.query[2]: is there already; remove one`,
		`appgw.yaml:5: caches[3].ttl: unknown key; known keys: name, maxBytes, maxObjectBytes, key, defaultTTL, staleWhileRevalidate, staleIfError, ignoreClientNoCache`}},
	{name: "caches: use", text: `caches: [{name: pages}]
redirects: [{name: away, target: {url: http://a.example/}}]
pathMaps:
  - name: m
    default: {backendPool: app, backendSettings: plain, cache: page}
    paths: [{paths: [/a], redirect: away, cache: pages}]
listeners: [{name: web, address: 8080}]
rules:
  - {name: web, listener: web, pathMap: m, cache: pages}
`, rest: backends, want: []string{
		`appgw.yaml:5: pathMaps[0].default.cache: there is no cache "page"; known: pages`,
		`appgw.yaml:6: pathMaps[0].paths[0].cache: a redirect is not cached; remove it`,
		`appgw.yaml:9: rules[0].cache: belongs to the path rules and the default of the path map; set it there`}},
}
