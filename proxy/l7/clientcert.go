package l7

import (
	"encoding/base64"

	"gatehouse/config"
	"gatehouse/internal/httpmsg"
)

// addClientCert tells the backend of the client's certificate, as the listener
// wants it. What the client said itself was dropped by httpmsg.DropInternal.
func (f *flow) addClientCert() {
	switch f.listener.ForwardCert {
	case config.ForwardRFC9440:
		if f.cert.Verified() {
			f.addRFC9440()
		}
	case config.ForwardFields:
		f.addCertFields()
	}
}

// addRFC9440 adds Client-Cert: the certificate as a byte sequence of RFC 8941.
func (f *flow) addRFC9440() {
	q := f.req
	a := q.Arena()
	n := len(a)
	a = append(a, ':')
	a = base64.StdEncoding.AppendEncode(a, f.cert.Shown[0].Raw)
	a = append(a, ':')
	value := q.Kept(a, n)
	q.Add(httpmsg.Other, q.KeepString("Client-Cert"), value)
}

// addCertFields adds what Azure's server variables client_certificate... say.
func (f *flow) addCertFields() {
	q := f.req
	add := func(name, value string) { q.Add(httpmsg.Other, q.KeepString(name), q.KeepString(value)) }
	add("X-Client-Cert-Verification", f.cert.Verdict)
	if len(f.cert.Shown) == 0 {
		return
	}
	a := q.Arena()
	n := len(a)
	value := q.Kept(f.cert.AppendPEM(a), n)
	q.Add(httpmsg.Other, q.KeepString("X-Client-Cert"), value)
	add("X-Client-Cert-Subject", f.cert.Subject)
	add("X-Client-Cert-Issuer", f.cert.Issuer)
	add("X-Client-Cert-Serial", f.cert.Serial())
	add("X-Client-Cert-Fingerprint", f.cert.Fingerprint)
	add("X-Client-Cert-Start-Date", f.cert.Begins())
	add("X-Client-Cert-End-Date", f.cert.Ends())
}
