package config

import (
	"reflect"
	"strings"
	"testing"
)

const compressing = `listeners: [{name: web, address: 127.0.0.1:8080, compression: all}]
backendPools: [{name: app, targets: ["127.0.0.1:3000"]}]
backendSettings: [{name: plain}]
pathMaps:
  - name: m
    default: {backendPool: app, backendSettings: plain, compression: off}
    paths: [{paths: [/a], backendPool: app, backendSettings: plain, compression: all}]
rules: [{name: web, listener: web, pathMap: m}]
`

func TestEveryKeyOfACompressionPolicy(t *testing.T) {
	g, warnings := mustParse(t, compressing+`compressionPolicies:
  - {name: all, encodings: [gzip, br], types: [TEXT/*, application/*+json, a/b], minLength: 2KiB, level: small}
limits: {compressionCPU: 10%, compressionBytes: 16MiB}
`)
	p := g.CompressionPolicies[0]
	p.Pos = Pos{}
	want := CompressionPolicy{Name: "all", Encodings: []ContentCoding{CodingGzip, CodingBrotli}, Types: []string{"text/*", "application/*+json", "a/b"}, MinLength: 2 << 10, Level: CompressionSmall}
	if !reflect.DeepEqual(p, want) || len(warnings) > 0 {
		t.Errorf("got %+v, %v", p, warnings)
	}
	if l := g.Limits; l.CompressionCPU != 10 || l.CompressionBytes != 16<<20 {
		t.Errorf("limits %+v", l)
	}
	if g.Listeners[0].Compression != "all" || g.PathMaps[0].Default.Compression != CompressionOff || g.PathMaps[0].Paths[0].Compression != "all" {
		t.Error("references differ")
	}
}

func TestDefaultsOfACompressionPolicy(t *testing.T) {
	g, _ := mustParse(t, compressing+"compressionPolicies: [{name: all}]\n")
	p := g.CompressionPolicies[0]
	if !reflect.DeepEqual(p.Encodings, []ContentCoding{CodingZstd, CodingBrotli, CodingGzip}) || p.MinLength != 1<<10 || p.Level != CompressionBalanced || len(p.Types) != 13 {
		t.Errorf("got %+v", p)
	}
	if g.Limits.CompressionCPU != 50 || g.Limits.CompressionBytes != 64<<20 {
		t.Errorf("limits %+v", g.Limits)
	}
}

func TestWhatACompressionPolicyMayNotSay(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"off", "compressionPolicies: [{name: all}, {name: off}]", "compressionPolicies[1].name: off is what path rules write for no compression; choose another name"},
		{"none", "compressionPolicies: [{name: al}]", `listeners[0].compression: there is no compression policy "all"`},
		{"unused", "compressionPolicies: [{name: all}, {name: more}]", `compressionPolicies[1]: compression policy "more" is not used`},
		{"encoding", "compressionPolicies: [{name: all, encodings: [deflate]}]", "compressionPolicies[0].encodings[0]: must be one of zstd, br, gzip"},
		{"twice", "compressionPolicies: [{name: all, encodings: [br, gzip, br]}]", "compressionPolicies[0].encodings[2]: is there twice; remove one"},
		{"no encoding", "compressionPolicies: [{name: all, encodings: []}]", "compressionPolicies[0].encodings: must have at least 1 entry"},
		{"type", "compressionPolicies: [{name: all, types: [text]}]", "compressionPolicies[0].types[0]: must be a media type such as"},
		{"everything", `compressionPolicies: [{name: all, types: ["*/*"]}]`, "compressionPolicies[0].types[0]: must be a media type such as"},
		{"parameters", `compressionPolicies: [{name: all, types: ["text/plain; charset=x"]}]`, "compressionPolicies[0].types[0]: must be a media type such as"},
		{"grpc", "compressionPolicies: [{name: all, types: [application/grpc+proto]}]", "compressionPolicies[0].types[0]: gRPC compresses its messages itself; remove it"},
		{"length", "compressionPolicies: [{name: all, minLength: 2MiB}]", "compressionPolicies[0].minLength: must be 0B to 1MiB"},
		{"level", "compressionPolicies: [{name: all, level: 9}]", "compressionPolicies[0].level: must be one of fast, balanced, small"},
		{"cpu", "compressionPolicies: [{name: all}]\nlimits: {compressionCPU: 0%}", "limits.compressionCPU: must be 1% to 100%"},
		{"memory", "compressionPolicies: [{name: all}]\nlimits: {compressionBytes: 1MiB}", "limits.compressionBytes: must be 8MiB to"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, warnings, err := ParseGateway("appgw.yaml", []byte(compressing+test.text+"\n"))
			got := ""
			if err != nil {
				got = err.Error()
			}
			for _, w := range warnings {
				got += "\n" + w.String()
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestARedirectIsNotCompressed(t *testing.T) {
	text := strings.Replace(compressing, "{backendPool: app, backendSettings: plain, compression: off}", "{redirect: away, compression: all}", 1)
	_, _, err := ParseGateway("appgw.yaml", []byte(text+"redirects: [{name: away, target: {url: https://a.example}}]\ncompressionPolicies: [{name: all}]\n"))
	if err == nil || !strings.Contains(err.Error(), "pathMaps[0].default.compression: the answer of a redirect is not compressed; remove it") {
		t.Errorf("got %v", err)
	}
}
