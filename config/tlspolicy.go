package config

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

const defaultPolicy = "AppGwSslPolicy20220101"

// predefined is one of Azure's policies: its versions and its suites of TLS
// 1.2 and below. Suites of TLS 1.3 are never listed, they are always on.
type predefined struct {
	name     string
	min, max uint16 // max 0: the newest
	suites   []string
	// old: the policy once allowed TLS 1.0 or 1.1, which Azure has refused
	// since 2025-08-31 whatever the policy says; so do we.
	old bool
}

func predefinedPolicies() []predefined {
	gcm := []string{
		"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
	}
	ecdsaCBC2 := []string{"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"}
	rsaCBC2 := []string{"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"}
	cbc := []string{
		"TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
		"TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
	}
	rsa := []string{
		"TLS_RSA_WITH_AES_256_GCM_SHA384", "TLS_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_256_CBC_SHA256",
		"TLS_RSA_WITH_AES_128_CBC_SHA256", "TLS_RSA_WITH_AES_256_CBC_SHA", "TLS_RSA_WITH_AES_128_CBC_SHA",
	}
	// Listed by Azure's oldest policy; the DHE ones are never negotiated there.
	oldest := []string{
		"TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_DHE_RSA_WITH_AES_256_CBC_SHA", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
		"TLS_DHE_DSS_WITH_AES_256_CBC_SHA256", "TLS_DHE_DSS_WITH_AES_128_CBC_SHA256", "TLS_DHE_DSS_WITH_AES_256_CBC_SHA", "TLS_DHE_DSS_WITH_AES_128_CBC_SHA",
		"TLS_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_DHE_DSS_WITH_3DES_EDE_CBC_SHA",
	}
	of2017 := slices.Concat(gcm, ecdsaCBC2, cbc, rsa)
	const v12 = tls.VersionTLS12
	return []predefined{
		{name: "AppGwSslPolicy20150501", min: v12, max: v12, suites: slices.Concat(of2017, rsaCBC2, oldest), old: true},
		{name: "AppGwSslPolicy20170401", min: v12, max: v12, suites: of2017, old: true},
		{name: "AppGwSslPolicy20170401S", min: v12, max: v12, suites: of2017},
		{name: defaultPolicy, min: v12, suites: slices.Concat(gcm, ecdsaCBC2, rsaCBC2)},
		{name: "AppGwSslPolicy20220101S", min: v12, suites: gcm},
	}
}

// tlsPolicy is the name of a predefined policy, or a mapping.
func tlsPolicy() value[TLSPolicy] {
	policies := predefinedPolicies()
	var names []string
	for _, p := range policies {
		names = append(names, p.name)
	}
	custom := customPolicyObject()
	return value[TLSPolicy]{
		schema: schema{"oneOf": []schema{{"enum": names}, custom.schema()}},
		read: func(c cursor) (TLSPolicy, bool) {
			if c.node.Kind == yaml.MappingNode {
				return readCustomPolicy(c, custom)
			}
			name, ok := c.scalar("a policy's name, or {minVersion, cipherSuites}")
			if !ok {
				return TLSPolicy{}, false
			}
			for _, p := range policies {
				if p.name == name {
					return p.resolve(c), true
				}
			}
			c.errorf("there is no policy %s; known: %s, or {minVersion, cipherSuites}", quote(name), strings.Join(names, ", "))
			return TLSPolicy{}, false
		},
	}
}

// resolve gives what crypto/tls has of a policy, and warns of what it lacks
// unless nobody asked for the policy by name.
func (p predefined) resolve(c cursor) TLSPolicy {
	out := TLSPolicy{Name: p.name, MinVersion: p.min, MaxVersion: p.max}
	var missing []string
	for _, name := range p.suites {
		if id, ok := suiteID(name); ok {
			out.CipherSuites = append(out.CipherSuites, id)
		} else {
			missing = append(missing, name)
		}
	}
	if c.isDefault {
		return out
	}
	if len(missing) > 0 {
		c.d.warnf(c.path, "not offered, as Go's crypto/tls has no such suites: %s", strings.Join(missing, ", "))
	}
	if p.old {
		c.d.warnf(c.path, "TLS 1.0 and 1.1 are not offered (nor by Azure since 2025-08-31); TLS 1.2 is")
	}
	c.d.warnf(c.path, "the order of cipher suites is crypto/tls's own, not the policy's")
	return out
}

type customPolicy struct {
	min, max uint16
	suites   []string
}

func customPolicyObject() object[customPolicy] {
	return object[customPolicy]{fields: []field[customPolicy]{
		key("minVersion", func(p *customPolicy) *uint16 { return &p.min }, tlsVersion(), "The oldest version to accept.").or("TLSv1_2"),
		key("maxVersion", func(p *customPolicy) *uint16 { return &p.max }, tlsVersion(), "The newest version to accept; default: the newest there is."),
		key("cipherSuites", func(p *customPolicy) *[]string { return &p.suites }, listOf(text(), 1), "Suites of TLS 1.2 and below, by their IANA or OpenSSL names; those of 1.3 are always on. Default: what crypto/tls holds secure."),
	}}
}

// tlsVersion takes Azure's names and plain numbers.
func tlsVersion() value[uint16] {
	var choices []choice[uint16]
	for i, v := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		choices = append(choices, choice[uint16]{word: fmt.Sprintf("TLSv1_%d", i), v: v}, choice[uint16]{word: fmt.Sprintf("1.%d", i), v: v})
	}
	v := oneOf(choices...)
	v.schema = schema{"enum": []any{"TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3", "1.0", "1.1", "1.2", "1.3", 1.0, 1.1, 1.2, 1.3}}
	return v
}

func readCustomPolicy(c cursor, o object[customPolicy]) (TLSPolicy, bool) {
	var p customPolicy
	if !o.read(c, &p) {
		return TLSPolicy{}, false
	}
	if p.max != 0 && p.min > p.max {
		c.errorf("minVersion is above maxVersion; no client could connect")
		return TLSPolicy{}, false
	}
	if p.min < tls.VersionTLS12 {
		c.d.warnf(c.path+".minVersion", "TLS 1.0 and 1.1 are broken; use TLSv1_2 unless old clients force you (Azure refuses them)")
	}
	out := TLSPolicy{MinVersion: p.min, MaxVersion: p.max}
	if len(p.suites) == 0 {
		out.CipherSuites = secureSuites()
		return out, true
	}
	out.CipherSuites = customSuites(c, p.suites)
	if len(out.CipherSuites) == 0 && p.min < tls.VersionTLS13 {
		c.d.errorf(c.path+".cipherSuites", "nothing remains that crypto/tls has for TLS 1.2; add one such as ECDHE-ECDSA-AES128-GCM-SHA256, or write minVersion: TLSv1_3")
		return TLSPolicy{}, false
	}
	return out, true
}

// customSuites resolves names, reports the unknown and warns of those that
// crypto/tls does not have. Suites of TLS 1.3 are skipped: always on.
func customSuites(c cursor, names []string) []uint16 {
	path := c.path + ".cipherSuites"
	var ids []uint16
	for i, name := range names {
		if c.d.full() {
			break
		}
		iana, known := ianaName(name)
		id, ok := suiteID(iana)
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case name == "":
			// reported as no text
		case !known:
			c.d.errorf(at, "there is no cipher suite %s; %s", quote(name), suggestSuite(name))
		case !ok:
			c.d.warnf(at, "not offered: Go's crypto/tls does not have %s", name)
		case isTLS13(id):
			c.d.warnf(at, "suites of TLS 1.3 are always on; this has no effect")
		case slices.Contains(ids, id):
			c.d.errorf(at, "%s is listed twice; remove one", name)
		default:
			ids = append(ids, id)
		}
	}
	if len(ids) > 1 {
		c.d.warnf(path, "the order of cipher suites is crypto/tls's own, not this list's")
	}
	return ids
}

// suggestSuite finds the nearest name of either kind.
func suggestSuite(name string) string {
	var names []string
	for _, iana := range suiteNames() {
		names = append(names, iana, opensslName(iana))
	}
	if best, ok := nearest(name, names); ok {
		return "did you mean " + best + "?"
	}
	return "write an IANA or OpenSSL name such as ECDHE-ECDSA-AES128-GCM-SHA256"
}

// suiteID is crypto/tls's number of a suite by its IANA name.
func suiteID(iana string) (uint16, bool) {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if s.Name == iana {
			return s.ID, true
		}
	}
	return 0, false
}

func isTLS13(id uint16) bool {
	return id == tls.TLS_AES_128_GCM_SHA256 || id == tls.TLS_AES_256_GCM_SHA384 || id == tls.TLS_CHACHA20_POLY1305_SHA256
}

func secureSuites() []uint16 {
	var ids []uint16
	for _, s := range tls.CipherSuites() {
		if !isTLS13(s.ID) {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// suiteNames is every IANA name that we know: crypto/tls's and Azure's.
func suiteNames() []string {
	var names []string
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		names = append(names, s.Name)
	}
	for _, name := range predefinedPolicies()[0].suites {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ianaName is the IANA name of a suite that is known by either name.
func ianaName(name string) (string, bool) {
	for _, iana := range suiteNames() {
		if iana == name || opensslName(iana) == name {
			return iana, true
		}
	}
	return "", false
}

// opensslName derives OpenSSL's name: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
// is ECDHE-RSA-AES128-GCM-SHA256 there, RSA key exchange goes unnamed, and
// CBC is left out. TLS 1.3 has one name for both.
func opensslName(iana string) string {
	exchange, suite, ok := strings.Cut(strings.TrimPrefix(iana, "TLS_"), "_WITH_")
	if !ok {
		return iana
	}
	suite = strings.NewReplacer("AES_128", "AES128", "AES_256", "AES256", "3DES_EDE_CBC", "DES-CBC3", "RC4_128", "RC4",
		"CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305", "_CBC", "").Replace(suite)
	if exchange != "RSA" {
		suite = exchange + "-" + suite
	}
	return strings.ReplaceAll(suite, "_", "-")
}
