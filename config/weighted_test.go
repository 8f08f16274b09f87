package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestMirrorsToWhatServesAnyhow(t *testing.T) {
	const warning = `rules[0].mirror.backendPool: "app" serves these requests, too: its members get them twice`
	for _, tt := range []struct{ name, action, want string }{
		{"its own pool", "backendPool: app, backendSettings: plain", warning},
		{"one of several", "backendPools: [{pool: app}, {pool: next}], backendSettings: plain", warning},
		{"one without a share", "backendPools: [{pool: app, weight: 0}, {pool: next}], backendSettings: plain", ""},
		{"another", "backendPool: next, backendSettings: plain", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := `listeners: [{name: web, address: ":80"}]
backendPools: [{name: app, targets: [10.0.0.4]}, {name: next, targets: [10.0.0.5]}]
backendSettings: [{name: plain}]
rules:
  - {name: web, listener: web, mirror: {backendPool: app, backendSettings: plain}, ` + tt.action + `}
`
			_, warnings, err := ParseGateway("appgw.yaml", []byte(text))
			got := ""
			for _, w := range warnings {
				got += w.String()
			}
			if err != nil || !strings.HasSuffix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("%v %q, want %q", err, got, tt.want)
			}
		})
	}
}

// Copies go over HTTP/1.1: a backend that is asked in HTTP/2 alone would take
// none of them.
func TestAMirrorIsNotAskedInHTTP2Alone(t *testing.T) {
	for _, tt := range []struct{ name, settings, want string }{
		{"prior knowledge", "http2: true", "rules[0].mirror.backendSettings: copies are sent over HTTP/1.1"},
		{"where both are spoken", "http2: true, protocol: https", ""},
		{"HTTP/1.1", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(web, "backendSettings: plain}]", "backendSettings: plain, mirror: {backendPool: app, backendSettings: copies}}]", 1)
			text = strings.Replace(text, "{name: plain}", "{name: plain}, {name: copies, "+tt.settings+"}", 1)
			_, _, err := ParseGateway("appgw.yaml", []byte(text))
			if got := fmt.Sprint(err); !strings.Contains(got, tt.want) || tt.want == "" && err != nil {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
