package l7

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// dates keeps the Date field's value, made once a second.
type dates struct {
	current atomic.Pointer[date]
}

type date struct {
	second int64
	text   []byte
}

// now is the time in the form of RFC 9110 5.6.7.
func (d *dates) now() []byte {
	t := time.Now()
	if c := d.current.Load(); c != nil && c.second == t.Unix() {
		return c.text
	}
	c := &date{t.Unix(), t.UTC().AppendFormat(nil, "Mon, 02 Jan 2006 15:04:05 GMT")}
	d.current.Store(c)
	return c.text
}

// limitedLog lets an attacker cause no more than a few log lines a second; the
// metrics count all.
type limitedLog struct {
	second  atomic.Int64
	n       atomic.Int64
	skipped atomic.Int64
}

// linesPerSecond of each process.
const linesPerSecond = 10

// logLimited logs at the warning level, at most linesPerSecond.
func (g *Gateway) logLimited(msg string, args ...any) {
	now := time.Now().Unix()
	if g.limited.second.Swap(now) != now {
		g.limited.n.Store(0)
	}
	if g.limited.n.Add(1) > linesPerSecond {
		g.limited.skipped.Add(1)
		return
	}
	if n := g.limited.skipped.Swap(0); n > 0 {
		args = append(args, slog.Int64("similar_lines_skipped", n))
	}
	g.log.Warn(msg, args...)
}
