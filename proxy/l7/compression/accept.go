package compression

import (
	"gatehouse/config"
	"gatehouse/internal/httpmsg"
)

// acceptance is what the Accept-Encoding of a request says (RFC 9110 12.5.3),
// in thousandths; -1: not named.
type acceptance struct {
	quality  [numCodings]int // by config.ContentCoding
	identity int
	others   int // "*"
}

// accepts reads the Accept-Encoding lines of a request; given is false if
// there are none, which would allow everything, and is not taken at its word.
func accepts(f *httpmsg.Fields) (a acceptance, given bool) {
	for i := range a.quality {
		a.quality[i] = -1
	}
	a.identity, a.others = -1, -1
	for i := range f.Len() {
		if id, name, value, ok := f.At(i); ok && id == httpmsg.Other && httpmsg.EqualFold(name, "accept-encoding") {
			given = true
			a.add(value)
		}
	}
	return a, given
}

// add reads one line. A coding that is named twice gets the lower value.
func (a *acceptance) add(line []byte) {
	for elem, rest, ok := httpmsg.NextElement(line); ok; elem, rest, ok = httpmsg.NextElement(rest) {
		name, q := quality(elem)
		if to := a.of(name); to != nil && (*to < 0 || q < *to) {
			*to = q
		}
	}
}

// of is where the value of a coding goes; nil: not one of ours.
func (a *acceptance) of(name []byte) *int {
	switch {
	case len(name) == 1 && name[0] == '*':
		return &a.others
	case httpmsg.EqualFold(name, "identity"):
		return &a.identity
	case httpmsg.EqualFold(name, "gzip"), httpmsg.EqualFold(name, "x-gzip"): // RFC 9110 8.4.1.3
		return &a.quality[config.CodingGzip]
	case httpmsg.EqualFold(name, "br"):
		return &a.quality[config.CodingBrotli]
	case httpmsg.EqualFold(name, "zstd"):
		return &a.quality[config.CodingZstd]
	}
	return nil
}

// choose is the coding with the highest value, of several with the same the
// first of ours; CodingNone if there is none, or the client likes identity
// better. must says that it does not want identity at all.
func (a *acceptance) choose(ours []config.ContentCoding) (best config.ContentCoding, must bool) {
	most := 0
	for _, c := range ours {
		q := a.quality[c]
		if q < 0 {
			q = a.others
		}
		if q > most {
			best, most = c, q
		}
	}
	if a.identity > most {
		return config.CodingNone, false
	}
	return best, a.identity == 0 || a.identity < 0 && a.others == 0
}

// quality takes an element apart. What is not as RFC 9110 12.4.2 has it
// counts as not wanted.
func quality(elem []byte) (name []byte, q int) {
	for i, c := range elem {
		if c == ';' {
			return httpmsg.TrimSpace(elem[:i]), weight(httpmsg.TrimSpace(elem[i+1:]))
		}
	}
	return elem, 1000
}

// weight is the value of "q=0.5" in thousandths.
func weight(text []byte) int {
	if len(text) < 3 || len(text) > len("q=0.000") || text[0]|0x20 != 'q' || text[1] != '=' {
		return 0
	}
	text = text[2:]
	if text[0] != '0' && text[0] != '1' || len(text) > 1 && text[1] != '.' {
		return 0
	}
	q, digit := 1000*int(text[0]-'0'), 100
	for _, c := range text[min(2, len(text)):] {
		if c < '0' || c > '9' {
			return 0
		}
		q += digit * int(c-'0')
		digit /= 10
	}
	if q > 1000 {
		return 0
	}
	return q
}
