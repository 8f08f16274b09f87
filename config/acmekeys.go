package config

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// letsEncrypt is the directory that is asked when none is written.
const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// acmeField is a key that is there or not: without it nothing is managed.
func acmeField() field[ListenerTLS] {
	v := acmeObject().value()
	return field[ListenerTLS]{
		name: "acme", doc: "Certificates for the host names, from an authority that speaks ACME (RFC 8555).", schema: v.schema,
		read: func(c cursor, into *ListenerTLS) {
			if a, ok := v.read(c); ok {
				into.ACME = &a
			}
		},
	}
}

func acmeObject() object[ACME] {
	keyType := oneOf(
		choice[ACMEKeyType]{word: "p256", v: ACMEKeyP256},
		choice[ACMEKeyType]{word: "p384", v: ACMEKeyP384},
		choice[ACMEKeyType]{word: "rsa2048", v: ACMEKeyRSA2048},
		choice[ACMEKeyType]{word: "rsa3072", v: ACMEKeyRSA3072},
		choice[ACMEKeyType]{word: "rsa4096", v: ACMEKeyRSA4096},
	)
	return object[ACME]{fields: []field[ACME]{
		key("email", func(a *ACME) *string { return &a.Email }, emptyOr(email()), "Where the authority may write to."),
		key("ca", func(a *ACME) *string { return &a.Directory }, httpsURL(), "The URL of the authority's directory.").or(letsEncrypt),
		key("caFile", func(a *ACME) *string { return &a.CAFile }, file(), "PEM file of the roots to trust when the authority itself is asked; empty: the system's."),
		key("storage", func(a *ACME) *string { return &a.Storage }, needed(file()), "Directory of account, certificates and keys; instances that share it share them.").or("/var/lib/gatehouse/acme"),
		key("keyType", func(a *ACME) *ACMEKeyType { return &a.KeyType }, keyType, "The key of new certificates.").or("p256"),
		acmeChallenges().or("[http-01, tls-alpn-01]"),
		key("eab", func(a *ACME) *ACMEBinding { return &a.EAB }, acmeBindingObject().value(), "External account binding, if the authority wants one."),
		key("dns", func(a *ACME) *ACMEDNS { return &a.DNS }, acmeDNSObject().value(), "Where dns-01 sets its records: by dynamic updates (RFC 2136)."),
	}}
}

// acmeChallenges reads a list of words into one boolean for each.
func acmeChallenges() field[ACME] {
	list := listOf(oneOf(choice[string]{word: "http-01", v: "http-01"}, choice[string]{word: "tls-alpn-01", v: "tls-alpn-01"}, choice[string]{word: "dns-01", v: "dns-01"}), 1)
	return field[ACME]{
		name: "challenges", doc: "How control of a name may be proved: http-01, tls-alpn-01, dns-01.", schema: list.schema,
		read: func(c cursor, into *ACME) {
			words, _ := list.read(c)
			for _, w := range words {
				into.Challenges.HTTP01 = into.Challenges.HTTP01 || w == "http-01"
				into.Challenges.TLSALPN01 = into.Challenges.TLSALPN01 || w == "tls-alpn-01"
				into.Challenges.DNS01 = into.Challenges.DNS01 || w == "dns-01"
			}
		},
	}
}

func acmeBindingObject() object[ACMEBinding] {
	return object[ACMEBinding]{fields: []field[ACMEBinding]{
		key("keyID", func(b *ACMEBinding) *string { return &b.KeyID }, boundedText(1000), "The key's identifier.").required(),
		key("keyFile", func(b *ACMEBinding) *string { return &b.KeyFile }, needed(file()), "A file with the MAC key in base64url.").required(),
	}}
}

func acmeDNSObject() object[ACMEDNS] {
	return object[ACMEDNS]{fields: []field[ACMEDNS]{
		key("server", func(d *ACMEDNS) *string { return &d.Server }, dnsServer(), "host:port of the zone's primary server; port 53 if none is named.").required(),
		key("zone", func(d *ACMEDNS) *string { return &d.Zone }, emptyOr(dnsNameValue()), "The zone of the records; empty: the server is asked."),
		key("keyName", func(d *ACMEDNS) *string { return &d.KeyName }, emptyOr(dnsNameValue()), "The TSIG key that signs the updates; empty: they are not signed."),
		key("algorithm", func(d *ACMEDNS) *string { return &d.Algorithm }, tsigAlgorithm(), "The key's algorithm.").or("hmac-sha256"),
		key("keyFile", func(d *ACMEDNS) *string { return &d.KeyFile }, file(), "A file with the key's secret in base64."),
		key("propagation", func(d *ACMEDNS) *time.Duration { return &d.Propagation }, duration(0, time.Hour), "How long the zone's other servers are given before the authority looks.").or("10s"),
	}}
}

func tsigAlgorithm() value[string] {
	return oneOf(
		choice[string]{word: "hmac-sha256", v: "hmac-sha256"},
		choice[string]{word: "hmac-sha384", v: "hmac-sha384"},
		choice[string]{word: "hmac-sha512", v: "hmac-sha512"},
	)
}

func email() value[string] {
	return textThat(schema{"maxLength": 254}, func(s string) (string, error) {
		user, host, ok := strings.Cut(s, "@")
		if _, err := dnsName(host); !ok || user == "" || err != nil || strings.ContainsAny(s, " \t<>,;") || len(s) > 254 {
			return "", fmt.Errorf("must be an address such as ops@shop.example, not %s", quote(s))
		}
		return s, nil
	})
}

// httpsURL is that of a directory: who can change what it says gets
// certificates for our names.
func httpsURL() value[string] {
	return textThat(schema{"pattern": "^https://", "maxLength": 2048}, func(s string) (string, error) {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || len(s) > 2048 {
			return "", fmt.Errorf("must be a URL such as %s, not %s", letsEncrypt, quote(s))
		}
		return s, checkURLHost(u)
	})
}

// responderURL is that of an OCSP responder, whose answers are signed: http is
// what RFC 6960 has.
func responderURL() value[string] {
	return textThat(schema{"pattern": "^https?://", "maxLength": 2048}, func(s string) (string, error) {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || len(s) > 2048 {
			return "", fmt.Errorf("must be a URL such as http://ocsp.ca.example/, not %s", quote(s))
		}
		return s, checkURLHost(u)
	})
}

func dnsServer() value[string] {
	return textThat(schema{"minLength": 1, "maxLength": 260}, func(s string) (string, error) {
		host, port, err := splitTarget(s)
		if err != nil {
			return "", fmt.Errorf("must be host:port, such as 192.0.2.53:53, not %s", quote(s))
		}
		if port == 0 {
			port = 53
		}
		return net.JoinHostPort(host, strconv.Itoa(port)), nil
	})
}

// clientOCSP says what becomes of clients about whom nobody can be asked.
func clientOCSP() value[ClientOCSP] {
	return oneOf(
		choice[ClientOCSP]{word: "off", v: ClientOCSPOff},
		choice[ClientOCSP]{word: "on", v: ClientOCSPOn},
		choice[ClientOCSP]{word: "soft", v: ClientOCSPSoft},
	)
}

// staplingField is a word into a boolean.
func staplingField() field[ListenerTLS] {
	return key("ocspStapling", func(t *ListenerTLS) *bool { return &t.Staple },
		oneOf(choice[bool]{word: "auto", v: true}, choice[bool]{word: "off"}),
		"Whether answers of a certificate's OCSP responder are fetched and sent with it: auto, if it names one, or off.").or("auto")
}

func ticketKeysField() field[ListenerTLS] {
	return inline("ticketKeys", object[ListenerTLS]{fields: []field[ListenerTLS]{
		key("file", func(t *ListenerTLS) *string { return &t.TicketKeyFile }, needed(file()), "A file of keys in base64, one a line, 48 or 80 bytes each: the first seals tickets, all open them; watched and reloaded.").required(),
	}}, "Keys of session tickets that several instances share; without it each has its own, a new one daily.")
}

// servedCertificateObject is a certificate of a listener.
func servedCertificateObject() object[Certificate] {
	o := certificateObject()
	o.fields = append(o.fields, key("ocspFile", func(c *Certificate) *string { return &c.OCSPFile }, file(),
		"DER file of the responder's answer, to be sent with the certificate instead of one that is fetched; watched."))
	return o
}
