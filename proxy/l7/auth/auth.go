// Package auth finds out who asks, from what a request shows: a user with a
// password (RFC 7617), or a signed token (RFC 7519). It knows neither
// connections nor files; package l7 asks it and answers the client.
package auth

// Identity is who a client has proved to be. It is shared by requests.
type Identity struct {
	User   string  // for logs
	Fields []Field // what the backend is told
}

// Field is a header field.
type Field struct{ Name, Value string }

// Refusal is why a request may not pass, and the answer to it.
type Refusal struct {
	Status    int    // 400, 401, 403, or 503: nobody can tell
	Reason    string // for people, in the access log; the client is not told
	Challenge string // WWW-Authenticate; empty: none
}

func (r *Refusal) Error() string { return r.Reason }
