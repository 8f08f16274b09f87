package config

// checkResilience checks what backend settings do about members that fail.
func (c *checker) checkResilience(path string, b *BackendSettings) {
	if e := &b.Ejection; c.has(path+".ejection.maxTime") && e.MaxTime > 0 && e.MaxTime < e.Time {
		c.errorf(path+".ejection.maxTime", "must be at least time, which is %s", e.Time)
	}
	if b.Hedge.After >= b.RequestTimeout && b.RequestTimeout > 0 {
		c.errorf(path+".hedge.after", "must be less than requestTimeout, which is %s", b.RequestTimeout)
	}
	if b.Hedge.After > 0 && b.HTTP2 {
		c.errorf(path+".hedge", "a second member is asked over HTTP/1.1 only; remove it, or http2")
	}
	if b.GRPCWeb && !b.HTTP2 {
		c.errorf(path+".grpcWeb", "gRPC-Web becomes gRPC, which backends speak over HTTP/2; set http2: true, or remove it")
	}
	if b.Protocol.Layer4() && c.has(path+".ejection.serverErrors") {
		c.errorf(path+".ejection.serverErrors", "is about responses, of which settings with protocol: tcp or tls know none; remove it")
	}
	if b.Protocol.Layer4() && b.Retries.OnReset {
		c.errorf(path+".retries.on", "reset is about requests, of which settings with protocol: tcp or tls know none; remove it")
	}
	c.checkRetries(path+".retries", b)
	c.checkUnusedResilience(path, b)
	if b.Queue.Length > 0 && b.MaxConnections == 0 && b.MaxRequests == 0 && b.Adaptive.Max == 0 {
		c.warnf(path+".queue", "has no effect: nothing is limited; set maxConnections, maxRequests or adaptive")
	}
	if a := &b.Adaptive; a.Max > 0 && a.Max < a.Min {
		c.errorf(path+".adaptive.max", "must be at least min, which is %d", a.Min)
	}
}

// checkUnusedResilience warns of what is written and switched on by something
// else that is not: whoever writes a timeout believes that there is a queue.
func (c *checker) checkUnusedResilience(path string, b *BackendSettings) {
	if b.Queue.Length == 0 && c.has(path+".queue.timeout") {
		c.warnf(path+".queue.timeout", "has no effect without length")
	}
	for _, key := range []string{"min", "tolerance"} {
		if at := path + ".adaptive." + key; b.Adaptive.Max == 0 && c.has(at) {
			c.warnf(at, "has no effect without max")
		}
	}
	for _, key := range []string{"perTryTimeout", "backoff"} {
		if at := path + ".retries." + key; b.Retries.Attempts == 0 && c.has(at) {
			c.warnf(at, "has no effect with attempts: 0")
		}
	}
}

func (c *checker) checkRetries(path string, b *BackendSettings) {
	r := &b.Retries
	switch {
	case r.PerTry == 0:
	case !r.OnTimeout:
		c.errorf(path+".perTryTimeout", "is for retries after a timeout; add timeout to on, or remove it")
	case r.PerTry >= b.RequestTimeout && b.RequestTimeout > 0:
		c.errorf(path+".perTryTimeout", "must be less than requestTimeout, which is %s", b.RequestTimeout)
	}
	if r.Attempts == 0 && len(r.OnStatus) > 0 {
		c.warnf(path+".onStatus", "has no effect with attempts: 0")
	}
}
