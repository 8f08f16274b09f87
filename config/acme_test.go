package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// managed is a configuration whose https listener has these host names and
// this tls, beside what is put before.
func managed(before, hosts, tls string) string {
	return backends + `
listeners:
` + before + `  - {name: shop, address: 443, protocol: https, hostNames: ` + hosts + `, tls: ` + tls + `}
rules: [{name: shop, listener: shop, backendPool: app, backendSettings: plain}]
`
}

const letsEncryptOnly = "{acme: {email: ops@shop.example}}"

func TestDefaultsOfManagedCertificates(t *testing.T) {
	g, warnings := mustParse(t, managed("", "[shop.example]", letsEncryptOnly))
	if len(warnings) > 0 {
		t.Errorf("warnings %v", warnings)
	}
	same(t, "acme", *g.Listeners[0].TLS.ACME, ACME{Email: "ops@shop.example", Directory: letsEncrypt, Storage: "/var/lib/gatehouse/acme",
		Challenges: ACMEChallenges{HTTP01: true, TLSALPN01: true}})
	if g.Listeners[0].TLS.TicketKeyFile != "" || !g.Listeners[0].TLS.Staple {
		t.Errorf("got %+v", g.Listeners[0].TLS)
	}
}

func TestEveryKeyOfTLSLandsInItsField(t *testing.T) {
	g, warnings := mustParse(t, managed("", `["*.shop.example"]`, `{
    certificates: [{certFile: c, keyFile: k, ocspFile: staple.der}], ocspStapling: off, ticketKeys: {file: tickets},
    clientAuth: {mode: strict, caFile: ca, ocsp: soft, ocspURL: "http://ocsp.example:8080/x"},
    acme: {ca: "https://ca.example/dir", caFile: root.pem, storage: store, keyType: rsa3072, challenges: [dns-01], eab: {keyID: kid, keyFile: mac},
      dns: {server: "ns.example", zone: shop.example, keyName: Key.example, algorithm: hmac-sha512, keyFile: tsig, propagation: 3s}}}`))
	if len(warnings) > 0 {
		t.Errorf("warnings %v", warnings)
	}
	l := g.Listeners[0].TLS
	same(t, "certificate", l.Certificates[0], Certificate{CertFile: "/etc/appgw/c", KeyFile: "/etc/appgw/k", OCSPFile: "/etc/appgw/staple.der"})
	same(t, "clientAuth", l.ClientAuth, ClientAuth{Mode: ClientAuthStrict, CAFile: "/etc/appgw/ca", OCSP: ClientOCSPSoft, OCSPURL: "http://ocsp.example:8080/x"})
	same(t, "acme", *l.ACME, ACME{Directory: "https://ca.example/dir", CAFile: "/etc/appgw/root.pem", Storage: "/etc/appgw/store", KeyType: ACMEKeyRSA3072,
		Challenges: ACMEChallenges{DNS01: true}, EAB: ACMEBinding{KeyID: "kid", KeyFile: "/etc/appgw/mac"},
		DNS: ACMEDNS{Server: "ns.example:53", Zone: "shop.example", KeyName: "key.example", Algorithm: "hmac-sha512", KeyFile: "/etc/appgw/tsig", Propagation: 3 * time.Second}})
	if l.Staple || l.TicketKeyFile != "/etc/appgw/tickets" {
		t.Errorf("got %+v", l)
	}
}

// The listener stands on line 6.
var refusedTLS = []struct {
	name   string
	before string
	hosts  string
	tls    string
	want   []string
}{
	{name: "no names", hosts: "[]", tls: letsEncryptOnly, want: nil},
	{name: "wildcard by http-01", hosts: `["*.shop.example"]`, tls: letsEncryptOnly, want: []string{
		`appgw.yaml:6: listeners[0].hostNames[0]: "*.shop.example" needs dns-01 (RFC 8555 8.4), which is not among tls.acme.challenges`}},
	{name: "no certificate has such names", hosts: `["sh?p.example", "*.*.example", 192.0.2.1]`, tls: letsEncryptOnly, want: []string{
		`appgw.yaml:6: listeners[0].hostNames[0]: "sh?p.example" is not a name that a certificate can have; with tls.acme it must be exact, or begin with *. and have no other wildcard`,
		`appgw.yaml:6: listeners[0].hostNames[1]: "*.*.example" is not a name that a certificate can have; with tls.acme it must be exact, or begin with *. and have no other wildcard`,
		`appgw.yaml:6: listeners[0].hostNames[2]: 192.0.2.1 is an address; tls.acme gets certificates for names`}},
	{name: "nobody answers http-01", hosts: "[shop.example]", tls: "{acme: {challenges: [http-01]}}", want: []string{
		"appgw.yaml:6: listeners[0].tls.acme.challenges: http-01 is answered by http listeners, and there is none; add one on port 80, or tls-alpn-01"}},
	{name: "dns-01 without a server", hosts: "[shop.example]", tls: "{acme: {challenges: [dns-01]}}", want: []string{
		"appgw.yaml:6: listeners[0].tls.acme: dns-01 needs dns, where to set records; add dns: {server: HOST:PORT}"}},
	{name: "a server without dns-01", hosts: "[shop.example]", tls: "{acme: {dns: {server: a}}}", want: []string{
		"appgw.yaml:6: listeners[0].tls.acme.dns: has no effect without dns-01; add it to challenges"}},
	{name: "half a TSIG key", hosts: "[shop.example]", tls: "{acme: {challenges: [dns-01], dns: {server: a, keyName: k}}}", want: []string{
		"appgw.yaml:6: listeners[0].tls.acme.dns: keyName and keyFile go together; add the other one"}},
	{name: "values", hosts: "[shop.example]", tls: `{acme: {email: "ops", ca: "http://ca.example/", challenges: [], eab: {}, keyType: dsa}}`, want: []string{
		`appgw.yaml:6: listeners[0].tls.acme.email: must be an address such as ops@shop.example, not "ops"`,
		`appgw.yaml:6: listeners[0].tls.acme.ca: must be a URL such as ` + letsEncrypt + `, not "http://ca.example/"`,
		`appgw.yaml:6: listeners[0].tls.acme.challenges: must have at least 1 entry`,
		`appgw.yaml:6: listeners[0].tls.acme.eab.keyID: is missing; add it`,
		`appgw.yaml:6: listeners[0].tls.acme.eab.keyFile: is missing; add it`,
		`appgw.yaml:6: listeners[0].tls.acme.keyType: must be one of p256, p384, rsa2048, rsa3072, rsa4096, not "dsa"`}},
	{name: "a responder nobody asks", hosts: "[shop.example]", tls: `{certificates: [{certFile: c, keyFile: k}], clientAuth: {mode: strict, caFile: c, ocspURL: "http://a/"}}`, want: []string{
		"appgw.yaml:6: listeners[0].tls.clientAuth.ocspURL: has no effect with ocsp: off; write ocsp: on or soft, or remove it"}},
	{name: "OCSP of nobody's clients", hosts: "[shop.example]", tls: `{certificates: [{certFile: c, keyFile: k}], clientAuth: {ocsp: on}}`, want: []string{
		"appgw.yaml:6: listeners[0].tls.clientAuth: has no effect with mode: off; write mode: strict or passthrough, or remove the rest"}},
	{name: "ticket keys of no file", hosts: "[shop.example]", tls: `{certificates: [{certFile: c, keyFile: k}], ticketKeys: {file: ""}}`, want: []string{
		"appgw.yaml:6: listeners[0].tls.ticketKeys.file: must not be empty; write the path of a file"}},
}

func TestRefusedTLS(t *testing.T) {
	for _, tt := range refusedTLS {
		t.Run(tt.name, func(t *testing.T) {
			text := managed(tt.before, tt.hosts, tt.tls)
			_, _, err := ParseGateway("appgw.yaml", []byte(text))
			if tt.name == "no names" { // an empty list draws the error of the missing one
				_, _, err = ParseGateway("appgw.yaml", []byte(strings.Replace(text, "hostNames: [], ", "", 1)))
				tt.want = []string{"appgw.yaml:6: listeners[0].tls.acme: needs hostNames, the names to get certificates for; add them to the listener"}
			}
			if err == nil {
				t.Fatal("accepted")
			}
			got, want := strings.Split(err.Error(), "\n"), tt.want
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestHTTPListenersAnswerForOthers(t *testing.T) {
	text := managed("  - {name: web, address: 80}\n", "[shop.example]", "{acme: {challenges: [http-01]}}")
	_, warnings := mustParse(t, text)
	if len(warnings) != 1 || !strings.Contains(warnings[0].String(), "no rule has listener") {
		t.Errorf("warnings %v", warnings)
	}
}

func TestUnsignedUpdatesAreWarnedOf(t *testing.T) {
	_, warnings := mustParse(t, managed("", "[shop.example]", "{acme: {challenges: [dns-01], dns: {server: 192.0.2.53}}}"))
	if len(warnings) != 1 || !strings.Contains(warnings[0].String(), "listeners[0].tls.acme.dns: updates are not signed") {
		t.Errorf("warnings %v", warnings)
	}
}
