package config

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v4"
)

// schema is a fragment of JSON Schema.
type schema map[string]any

// scalar is the text of a plain or quoted value.
func (c cursor) scalar(want string) (string, bool) {
	if c.node.Kind != yaml.ScalarNode || c.node.Tag == "!!null" {
		c.errorf("must be %s, not %s", want, describe(c.node))
		return "", false
	}
	return c.node.Value, true
}

// parsed is a value written as a scalar that parse understands; parse's
// error is the whole message.
func parsed[V any](want string, s schema, parse func(string) (V, error)) value[V] {
	return value[V]{schema: s, read: func(c cursor) (V, bool) {
		var v V
		text, ok := c.scalar(want)
		if !ok {
			return v, false
		}
		v, err := parse(text)
		if err != nil {
			c.errorf("%s", err)
			return v, false
		}
		return v, true
	}}
}

// text is a string. A number or a boolean is refused rather than guessed at:
// 1e3, 0x10 and 2001-01-01 are not what they look like.
func text() value[string] {
	return value[string]{schema: schema{"type": "string"}, read: func(c cursor) (string, bool) {
		s, ok := c.scalar("text")
		if ok && c.node.Tag != "!!str" {
			c.errorf("must be text; put it in quotes: \"%s\"", strings.Trim(quote(s), `"`))
			return s, false
		}
		return s, ok
	}}
}

// textThat is a string that check accepts.
func textThat(s schema, check func(string) (string, error)) value[string] {
	s["type"] = "string"
	return value[string]{schema: s, read: func(c cursor) (string, bool) {
		got, ok := text().read(c)
		if !ok {
			return got, false
		}
		out, err := check(got)
		if err != nil {
			c.errorf("%s", err)
			return got, false
		}
		return out, true
	}}
}

// name is what a thing is called. One that is not well formed is reported
// and kept, so that references to it are not reported as well.
func name() value[string] {
	const most = 128
	return value[string]{
		schema: schema{"type": "string", "minLength": 1, "maxLength": most, "pattern": `^[A-Za-z0-9_][A-Za-z0-9._-]*$`},
		read: func(c cursor) (string, bool) {
			s, ok := text().read(c)
			if ok && !wellNamed(s, most) {
				c.errorf("%s is not a name; use 1 to %d of A-Z a-z 0-9 . _ -, beginning with a letter, a digit or _", quote(s), most)
			}
			return s, true
		},
	}
}

func wellNamed(s string, most int) bool {
	for i, r := range s {
		if !isAlnum(r) && r != '_' && (i == 0 || r != '.' && r != '-') {
			return false
		}
	}
	return s != "" && len(s) <= most
}

func isAlnum(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// reference names something else; that it exists is checked when all is read.
func reference() value[string] { return text() }

func boolean() value[bool] {
	return value[bool]{schema: schema{"type": "boolean"}, read: func(c cursor) (bool, bool) {
		s, ok := c.scalar("true or false")
		if !ok {
			return false, false
		}
		if c.node.Tag != "!!bool" {
			c.errorf("must be true or false, not %s", describe(c.node))
			return false, false
		}
		return strings.EqualFold(s, "true"), true
	}}
}

// choice is one word of an enum.
type choice[V any] struct {
	word string
	v    V
	// reserved: a word of a later version.
	reserved bool
	instead  string // of a reserved word: what to write; empty: one of the others
}

func oneOf[V any](choices ...choice[V]) value[V] {
	var words []string
	for _, ch := range choices {
		if !ch.reserved {
			words = append(words, ch.word)
		}
	}
	return value[V]{schema: schema{"enum": words}, read: func(c cursor) (V, bool) {
		var none V
		s, ok := c.scalar("one of " + strings.Join(words, ", "))
		if !ok {
			return none, false
		}
		for _, ch := range choices {
			if ch.word == s && ch.reserved {
				c.errorf("%s is %s; use %s", s, notAvailable, cmp.Or(ch.instead, strings.Join(words, ", ")))
				return none, false
			}
			if ch.word == s {
				return ch.v, true
			}
		}
		c.errorf("must be one of %s, not %s", strings.Join(words, ", "), quote(s))
		return none, false
	}}
}

// integer is a whole number, written without quotes.
func integer(least, most int) value[int] {
	s := schema{"type": "integer", "minimum": least, "maximum": most}
	return value[int]{schema: s, read: func(c cursor) (int, bool) {
		text, ok := c.scalar("a whole number")
		if !ok {
			return 0, false
		}
		n, err := strconv.Atoi(text)
		switch {
		case err == nil && c.node.Tag != "!!int":
			c.errorf("must be a whole number; write it without quotes: %d", n)
		case err != nil && !errors.Is(err, strconv.ErrRange):
			c.errorf("must be a whole number, not %s", describe(c.node))
		case err != nil || n < least || n > most:
			c.errorf("must be %d to %d, not %s", least, most, describe(c.node))
		default:
			return n, true
		}
		return 0, false
	}}
}

// percent is a share, such as 50%, of least (one digit) to 100.
func percent(least uint64) value[int] {
	s := schema{"type": "string", "pattern": fmt.Sprintf("^([%d-9]|[1-9][0-9]|100)%%$", least)}
	return parsed("a share such as 50%", s, func(text string) (int, error) {
		digits, marked := strings.CutSuffix(text, "%")
		n, err := strconv.ParseUint(digits, 10, 16)
		switch {
		case err != nil || strconv.FormatUint(n, 10) != digits:
			return 0, fmt.Errorf("must be a share such as 50%%, not %s", quote(text))
		case n < least || n > 100:
			return 0, fmt.Errorf("must be %d%% to 100%%, not %s", least, quote(text))
		case !marked:
			return 0, fmt.Errorf("a share needs a percent sign; write %d%%", n)
		}
		return int(n), nil
	})
}

// duration is a Go duration, such as 30s or 1m30s.
func duration(least, most time.Duration) value[time.Duration] {
	s := schema{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`}
	s["description"] = fmt.Sprintf("A duration, %s to %s, such as 500ms, 30s, 1m30s or 1h.", short(least), short(most))
	return parsed("a duration such as 30s", s, func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		switch {
		case err != nil && isNumber(text):
			return 0, fmt.Errorf("a duration needs a unit; write %ss, %sms or %sm", text, text, text)
		case err != nil:
			return 0, fmt.Errorf("must be a duration such as 500ms, 30s or 1m30s, not %s", quote(text))
		case d < least || d > most:
			return 0, fmt.Errorf("must be %s to %s, not %s", short(least), short(most), quote(text))
		}
		return d, nil
	})
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil
}

// short writes a duration as people do: 1h rather than 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// size is a number of bytes with a unit, such as 32KiB; a bare number is bytes.
func size(least, most int) value[int] {
	s := schema{"type": []string{"string", "integer"}, "pattern": `^[0-9]+ ?(B|KB|KiB|MB|MiB|GB|GiB)?$`}
	s["description"] = fmt.Sprintf("A number of bytes, %s to %s, with a unit: B, KB, KiB, MB, MiB, GB, GiB.", sizeText(least), sizeText(most))
	return parsed("a size such as 32KiB", s, func(text string) (int, error) {
		n, ok := parseSize(text)
		if !ok {
			return 0, fmt.Errorf("must be a size such as 512B, 32KiB or 2MiB, not %s", quote(text))
		}
		if n < least || n > most {
			return 0, fmt.Errorf("must be %s to %s, not %s", sizeText(least), sizeText(most), quote(text))
		}
		return n, nil
	})
}

func parseSize(text string) (int, bool) {
	digits := strings.TrimRight(text, "BKMGi ")
	unit, ok := unitOf(strings.TrimPrefix(text[len(digits):], " "))
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || !ok || n > uint64(math.MaxInt32)*1024/uint64(unit) {
		return 0, false
	}
	return int(n) * unit, true
}

func unitOf(s string) (int, bool) {
	switch s {
	case "", "B":
		return 1, true
	case "KB":
		return 1e3, true
	case "KiB":
		return 1 << 10, true
	case "MB":
		return 1e6, true
	case "MiB":
		return 1 << 20, true
	case "GB":
		return 1e9, true
	case "GiB":
		return 1 << 30, true
	}
	return 0, false
}

func sizeText(n int) string {
	switch {
	case n > 0 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "MiB"
	case n > 0 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "KiB"
	}
	return strconv.Itoa(n) + "B"
}

// file is a path; a relative one is relative to the configuration's directory.
func file() value[string] {
	v := text()
	return value[string]{schema: v.schema, read: func(c cursor) (string, bool) {
		s, ok := v.read(c)
		if !ok || s == "" {
			return "", ok
		}
		return c.d.relative(s), true
	}}
}

func (d *decoder) relative(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(d.dir, path)
}

// prefix is an IP prefix or an address, which is a prefix of one.
func prefix() value[netip.Prefix] {
	s := schema{"type": "string", "description": "A prefix such as 10.0.0.0/8, or one address."}
	return parsed("a prefix such as 10.0.0.0/8", s, parsePrefix)
}

func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("must be a prefix such as 10.0.0.0/8 or an address, not %s", quote(text))
	}
	if p.Addr().Is4In6() {
		return p, fmt.Errorf("write the IPv4 prefix itself, not %s", quote(text))
	}
	if p != p.Masked() {
		return p, fmt.Errorf("%s has bits set behind the prefix; write %s", quote(text), p.Masked())
	}
	return p, nil
}
