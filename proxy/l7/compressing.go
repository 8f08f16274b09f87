package l7

import (
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/stream"
	"gatehouse/proxy/l7/compression"
)

// compressing stands before the client's exchange and compresses a response,
// wherever it comes from, if the policy of its target wants that and the
// client does.
type compressing struct {
	policy *compression.Policy
	want   compression.Want
	next   sink
	body   *compression.Encoder // nil: the body goes on as it is
	left   int64                // of a body whose length is known; negative: it is not
}

// compressResponse puts the policy of the target before the client. It comes
// before rewrites change what the client said that it accepts.
func (f *flow) compressResponse() {
	p := f.target.Compression
	if p == nil {
		return
	}
	c := &f.compressing
	c.policy, c.want, c.next = p, p.Want(f.req), f.to
	f.to = c
}

// end gives back what a response needed.
func (c *compressing) end() {
	if c.body != nil {
		c.body.Release()
	}
	*c = compressing{}
}

// drop is end for when nobody knows what state the encoder is in.
func (c *compressing) drop() {
	if c.body != nil {
		c.body.Drop()
	}
	*c = compressing{}
}

// Respond implements sink.
func (c *compressing) Respond(r *httpmsg.Response, body []byte, end bool) (err error) {
	length := r.ContentLength
	var out []byte
	c.body, out, err = c.policy.Begin(c.want, r, body, end)
	switch {
	case err != nil:
		return err
	case c.body == nil:
		return c.next.Respond(r, out, end)
	case len(out) > 0:
		return c.next.Respond(r, out, true)
	}
	c.left = length
	first := min(len(body), compression.PieceMax)
	if out, err = c.encode(body[:first], first == len(body) && !end); err != nil {
		return err
	}
	if err := c.next.Respond(r, out, false); err != nil {
		return err
	}
	if err := c.write(body[first:], !end); err != nil || !end {
		return err
	}
	return c.Finish(nil)
}

// encode encodes one piece. What has come is sent at once, since nobody knows
// when there will be more, unless it is the end of a body of a known length.
func (c *compressing) encode(p []byte, flush bool) ([]byte, error) {
	if len(p) == 0 {
		return nil, nil
	}
	c.left -= int64(len(p))
	return c.body.Encode(p, flush && c.left != 0)
}

// write encodes and sends; flush says that it may take long until more comes.
func (c *compressing) write(p []byte, flush bool) error {
	for len(p) > 0 {
		n := min(len(p), compression.PieceMax)
		out, err := c.encode(p[:n], flush && n == len(p))
		if err == nil && len(out) > 0 {
			err = c.next.WriteBody(out)
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// WriteBody implements sink.
func (c *compressing) WriteBody(p []byte) error {
	if c.body == nil {
		return c.next.WriteBody(p)
	}
	return c.write(p, true)
}

// Finish implements sink.
func (c *compressing) Finish(trailers *httpmsg.Fields) error {
	if c.body == nil {
		return c.next.Finish(trailers)
	}
	out, err := c.body.Finish()
	if err == nil && len(out) > 0 {
		err = c.next.WriteBody(out)
	}
	if err != nil {
		return err
	}
	if trailers != nil {
		compression.DropDigests(trailers)
	}
	return c.next.Finish(trailers)
}

// Direct implements sink.
func (c *compressing) Direct() *stream.Conn {
	if c.body != nil {
		return nil
	}
	return c.next.Direct()
}

// Moved implements sink.
func (c *compressing) Moved(n int64) { c.next.Moved(n) }
