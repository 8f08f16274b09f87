package l7

import (
	"gatehouse/internal/httpmsg"
	"gatehouse/proxy"
)

// corsSuffix makes the name of the affinity cookie's twin for cross-site
// requests (Azure).
const corsSuffix = "CORS"

// pinned returns the member that the client's affinity cookie names, nil if
// there is none or it cannot serve.
func (f *flow) pinned() *proxy.Backend {
	a := &f.target.Settings.Affinity
	if !a.Enabled {
		return nil
	}
	f.repin = true
	for _, name := range [...]string{a.Cookie, f.target.Settings.corsCookie} {
		value, ok := httpmsg.CookieValue(&f.req.Fields, name)
		if !ok {
			continue
		}
		if b := f.target.Pool.ByToken(value); b != nil {
			f.repin = false
			return b
		}
	}
	return nil
}

// addAffinity sets the cookies of a client that is not pinned to the member
// that answered.
func (f *flow) addAffinity(r *httpmsg.Response) {
	s := f.target.Settings
	if !s.Affinity.Enabled || !f.repin || f.backend == nil {
		return
	}
	r.AddString("Set-Cookie", s.Affinity.Cookie+"="+f.backend.Token()+"; Path=/; HttpOnly")
	if f.secure {
		r.AddString("Set-Cookie", s.corsCookie+"="+f.backend.Token()+"; Path=/; HttpOnly; SameSite=None; Secure")
	}
}
