package httpmsg

// DropUnsafeNames deletes fields whose names have characters other than
// letters, digits and "-", as Azure's gateway does. CGI and its kin turn "_",
// ".", and more into the same character as "-", so that X_Forwarded_For is
// another spelling of a field that the gateway vouches for (hostile-input rows
// 42 and 44).
func DropUnsafeNames(f *Fields) {
	for i := range f.list {
		if p := &f.list[i]; p.id == Other && !safeName(f.Bytes(p.name)) {
			p.dead = true
		}
	}
}

func safeName(name []byte) bool {
	for _, c := range name {
		if !safe[c] {
			return false
		}
	}
	return true
}

var safe = func() (t [256]bool) {
	for c := range t {
		t[c] = isAlnum(byte(c)) || c == '-'
	}
	return t
}()

// isAlnum reports whether c is an ASCII letter or digit.
func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// internalPrefixes begin the names of fields by which proxies and servers
// command each other, or tell of the client's certificate; internalNames are
// such fields. All begin with "x-".
var (
	internalPrefixes = [...]string{"x-appgw-", "x-accel-", "x-envoy-", "x-sendfile-", "x-client-cert-"}
	internalNames    = [...]string{"x-sendfile", "x-lighttpd-send-file", "x-rewrite-url", "x-litespeed-location", "x-client-cert", "x-arr-clientcert"}
)

// clientCert and clientCertChain tell a backend what certificate the client
// has (RFC 9440 2: to be removed from every request).
const (
	clientCert      = "client-cert"
	clientCertChain = "client-cert-chain"
)

// DropInternal deletes what no client may say: Proxy, which becomes HTTP_PROXY
// in a CGI environment (row 48), and control fields of ours, of other proxies
// of servers behind us (row 49), and what certificate the client has,
// which nobody but the gateway knows. X-Forwarded-* and X-Original-* are not
// among them; what becomes of those depends on who the peer is.
func DropInternal(f *Fields) {
	for i := range f.list {
		p := &f.list[i]
		switch p.id {
		case Proxy, XAppGWTraceID:
			p.dead = true
		case Other:
			if isInternal(f.Bytes(p.name)) {
				p.dead = true
			}
		}
	}
}

// Internal reports whether DropInternal deletes fields of that name that Known
// does not know.
func Internal(name []byte) bool { return isInternal(name) }

func isInternal(name []byte) bool {
	if len(name) < 3 || lower[name[0]] != 'x' || name[1] != '-' {
		return EqualFold(name, clientCert) || EqualFold(name, clientCertChain)
	}
	for _, prefix := range internalPrefixes {
		if len(name) >= len(prefix) && EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	for _, internal := range internalNames {
		if EqualFold(name, internal) {
			return true
		}
	}
	return false
}

// vouchingPrefixes begin the names of fields by which a proxy vouches for a
// request, and vouchingNames are such fields: applications take the client's
// address, the scheme or a verified certificate from them. Fields that Known
// knows are not among them.
var (
	vouchingPrefixes = [...]string{"x-forwarded-", "x-original-", "ssl-client-", "x-ssl-client-"}
	vouchingNames    = [...]string{"true-client-ip", "x-client-ip", "cf-connecting-ip", "x-cluster-client-ip", "x-url-scheme", "x-scheme", "front-end-https"}
)

// Vouches reports whether a field of that name is to be believed of a trusted
// proxy only (row 42).
func Vouches(name []byte) bool {
	for _, prefix := range vouchingPrefixes {
		if len(name) > len(prefix) && EqualFold(name[:len(prefix)], prefix) {
			return true
		}
	}
	for _, vouching := range vouchingNames {
		if EqualFold(name, vouching) {
			return true
		}
	}
	return false
}
