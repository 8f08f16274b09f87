package l7

// explainLayer4 says what becomes of a connection whose bytes are carried. The
// client is its peer: there are no fields to say anything else.
func (e *explainer) explainLayer4() {
	l := e.f.listener
	e.explainClientAuth()
	e.f.client.Addr = e.f.client.Peer
	e.add("client", "it is the peer of the connection", "%s", e.f.client.Addr.Addr())
	if !e.explainAccess() {
		return
	}
	t := l.Target
	if t == nil {
		e.add("rule", "no rule is bound to the listener", "none: the connection is closed")
		return
	}
	e.add("rule", "a listener of layer 4 carries bytes, whatever they mean", "%s", l.Rule)
	e.add("pool", "", "%s with settings %s", t.Settings.Pool, t.Settings.Name)
	by := "hash of clientAddr"
	if t.Pool.HashKey() == nil {
		by = t.Pool.Balance().String()
	}
	e.add("balance", "", "%s", by)
}
