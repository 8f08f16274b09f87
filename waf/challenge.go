package waf

// challenge has a client solve the JavaScript challenge, unless it has.
func (t *Transaction) challenge(rule string) (d Decision, final bool) {
	return Decision{}, false
}
