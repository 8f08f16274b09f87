package http3

import (
	"slices"

	"github.com/quic-go/quic-go/quicvarint"

	"gatehouse/internal/stream"
	"gatehouse/proxy/multiplex"
)

// controlStream reads the client's control stream (RFC 9114 6.2.1).
func (c *Conn) controlStream(r *reader) error {
	if !c.own.first(streamControl) {
		return connError{codeStreamCreation}
	}
	h, err := r.nextFrame(stream.Never)
	if err != nil {
		return err
	}
	if h.kind != frameSettings {
		return connError{codeMissingSettings}
	}
	p, err := r.small(h)
	if err != nil {
		return err
	}
	if err := checkSettings(p); err != nil {
		return err
	}
	var seen ids
	for {
		h, err := r.nextFrame(stream.Never)
		if err != nil {
			return err
		}
		if err := c.spend(multiplex.CostUnknown); err != nil {
			return err
		}
		if err := r.controlFrame(h, &seen); err != nil {
			return err
		}
	}
}

// small reads the payload of a frame that is never large.
func (r *reader) small(h frameHead) ([]byte, error) {
	if h.length > maxSettings {
		return nil, connError{codeExcessiveLoad}
	}
	return r.payload(h, stream.Never)
}

// ids are what a client's control stream has named.
type ids struct {
	goAway  uint64 // the lowest push; 0: none, or that
	going   bool
	maxPush uint64
}

// controlFrame takes a frame of the control stream but the first.
func (r *reader) controlFrame(h frameHead, seen *ids) error {
	switch h.kind {
	case frameGoAway, frameCancelPush, frameMaxPushID:
		p, err := r.small(h)
		if err != nil {
			return err
		}
		id, n, err := quicvarint.Parse(p)
		if err != nil || n != len(p) {
			return connError{codeFrame}
		}
		return seen.take(h.kind, id)
	}
	if known(h.kind) {
		return connError{codeFrameUnexpected}
	}
	r.skip(h)
	return nil
}

// take notes what a frame names, which is about pushes, of which there are none.
func (s *ids) take(kind, id uint64) error {
	switch kind {
	case frameCancelPush: // of one that was not promised (RFC 9114 7.2.3)
		return connError{codeID}
	case frameGoAway:
		if s.going && id > s.goAway {
			return connError{codeID} // RFC 9114 5.2
		}
		s.going, s.goAway = true, id
	case frameMaxPushID:
		if id < s.maxPush {
			return connError{codeID} // RFC 9114 7.2.7
		}
		s.maxPush = id
	}
	return nil
}

// checkSettings looks at the client's settings. None bounds what we send: there
// is no dynamic table, and what a response has in fields is its backend's to
// say.
func checkSettings(p []byte) error {
	var seen []uint64
	for len(p) > 0 {
		id, n, err := quicvarint.Parse(p)
		if err != nil {
			return connError{codeFrame}
		}
		value, m, err := quicvarint.Parse(p[n:])
		if err != nil {
			return connError{codeFrame}
		}
		p = p[n+m:]
		switch {
		case slices.Contains(seen, id), id >= 0x2 && id <= 0x5: // RFC 9114 7.2.4, 7.2.4.1
			return connError{codeSettings}
		case id == settingConnectProtocol && value > 1:
			return connError{codeSettings}
		}
		seen = append(seen, id)
	}
	return nil
}
