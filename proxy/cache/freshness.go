package cache

import (
	"strconv"
	"time"

	"gatehouse/internal/httpmsg"
)

const second = int64(time.Second)

// Times are when a response was asked for and came.
type Times struct {
	Asked, Received int64
	Wall            time.Time // when it came, by the wall clock
}

// said is what a response says of itself, as far as a cache goes by it.
type said struct {
	cc         Directives
	targeted   bool // cc is that of CDN-Cache-Control (RFC 9213), which stands for Expires, too
	expires    time.Time
	hasExpires bool // valid or not: one that is not is in the past
	date       time.Time
	dated      bool
	age        int64 // seconds
	etag       []byte
	modified   time.Time
	isModified bool
	vary       bool // there are fields that it varies by
	varyAny    bool // by *
	cookie     bool // a Set-Cookie that no directive keeps out
}

// read reads the fields of a response.
func read(f *httpmsg.Fields) (s said) {
	var targeted Directives
	target, valid := false, true
	for i := range f.Len() {
		id, name, value, ok := f.At(i)
		if !ok {
			continue
		}
		switch {
		case id == httpmsg.Date && !s.dated:
			s.date, s.dated = ParseDate(value)
		case id != httpmsg.Other:
		case httpmsg.EqualFold(name, "cache-control"):
			s.cc.Add(value)
		case httpmsg.EqualFold(name, "cdn-cache-control"):
			target = true
			valid = targeted.Add(value) && valid
		default:
			s.other(name, value)
		}
	}
	if target && valid && targeted.said() {
		s.cc, s.targeted = targeted, true
	}
	s.cookie = f.Count(httpmsg.SetCookie) > 0 && !s.cc.Names("set-cookie")
	return s
}

// other reads a field that has no number.
func (s *said) other(name, value []byte) {
	switch {
	case httpmsg.EqualFold(name, "expires"):
		at, ok := ParseDate(value)
		if s.hasExpires && at.After(s.expires) {
			break // of two, the earlier (RFC 9111 4.2.1)
		}
		if s.expires, s.hasExpires = at, true; !ok {
			s.expires = time.Time{}
		}
	case httpmsg.EqualFold(name, "age"):
		first, _, _ := httpmsg.NextElement(value)
		if n, ok := seconds(argument{text: first, given: true}); ok && s.age == 0 {
			s.age = n
		}
	case httpmsg.EqualFold(name, "etag") && s.etag == nil && isETag(value):
		s.etag = value
	case httpmsg.EqualFold(name, "last-modified") && !s.isModified:
		s.modified, s.isModified = ParseDate(value)
	case httpmsg.EqualFold(name, "vary"):
		s.vary = true
		s.varyAny = s.varyAny || httpmsg.HasToken(value, "*")
	}
}

// validator reports whether the response can be asked for on a condition.
func (s *said) validator() bool { return s.etag != nil || s.isModified }

// lifetime is how long the response is fresh (RFC 9111 4.2.1), and whether it
// says so itself.
func (s *said) lifetime(t *Times) (ns int64, explicit bool) {
	switch {
	case s.cc.Has(SMaxAge):
		return s.cc.SMaxAge * second, true
	case s.cc.Has(MaxAge):
		return s.cc.MaxAge * second, true
	case s.hasExpires && !s.targeted:
		from := t.Wall
		if s.dated {
			from = s.date
		}
		return min(max(int64(s.expires.Sub(from)), 0), maxSeconds*second), true
	}
	return 0, false
}

// initialAge is how old the response was when it came (RFC 9111 4.2.3).
func (s *said) initialAge(t *Times) int64 {
	age := s.age*second + max(t.Received-t.Asked, 0)
	if s.dated {
		age = max(age, int64(t.Wall.Sub(s.date)/time.Second)*second)
	}
	return age
}

// Use is what may be done with a stored response.
type Use uint8

const (
	// Validate: ask the backend first.
	Validate Use = iota
	// Fresh: send it.
	Fresh
	// Stale: send it, as the client takes stale ones.
	Stale
	// Background: send it, and ask the backend meanwhile (RFC 5861 3).
	Background
)

// Judge says what may be done with a response for a request that says d.
func (e *Entry) Judge(d *Directives, now int64) Use {
	age := e.Age(now)
	left := e.lifetime - age
	switch {
	case e.noCache, d.Has(NoCache), d.Has(MaxAge) && age > d.MaxAge*second, d.Has(MinFresh) && left < d.MinFresh*second:
		return Validate
	case left > 0:
		return Fresh
	case e.mustRevalidate:
		return Validate
	case -left <= e.whileRevalidate && e.whileRevalidate > 0:
		return Background
	case d.Has(MaxStale) && !e.sMaxAge && -left <= d.MaxStale*second:
		return Stale
	}
	return Validate
}

// MayFailOver reports whether a response may be sent because the backend
// cannot give a better one (RFC 5861 4): not to a client that wants it asked.
func (e *Entry) MayFailOver(d *Directives, now int64) bool {
	return e.ifError > 0 && !e.noCache && !e.mustRevalidate && !d.Has(NoCache) && e.Age(now)-e.lifetime <= e.ifError
}

// Age is how old a response is.
func (e *Entry) Age(now int64) int64 { return e.initialAge + max(now-e.received, 0) }

// TTL is how long it is fresh yet; less than 0: since when it is not.
func (e *Entry) TTL(now int64) int64 { return e.lifetime - e.Age(now) }

// ReceivedSince reports whether the response came after a time: it answers
// whoever has waited for it since then, fresh or not (RFC 9111 4).
func (e *Entry) ReceivedSince(t int64) bool { return e.received >= t }

// AppendSeconds appends a time as a number of whole seconds.
func AppendSeconds(dst []byte, ns int64) []byte { return strconv.AppendInt(dst, ns/second, 10) }

// dateLayouts are the three forms of RFC 9110 5.6.7.
var dateLayouts = [...]string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", "Mon Jan _2 15:04:05 2006"}

// ParseDate reads a date as HTTP writes them.
func ParseDate(value []byte) (time.Time, bool) {
	if len(value) < 20 || len(value) > 40 {
		return time.Time{}, false
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, string(value)); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
