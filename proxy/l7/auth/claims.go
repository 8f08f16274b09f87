package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"

	"gatehouse/config"
)

// maxForwarded bounds what the backend is told of one token.
const maxForwarded = 4 << 10

// claims are a token's, which its issuer has signed.
type claims map[string]any

// parseClaims reads the payload of a token: one object, no name twice (RFC
// 7519 4).
func parseClaims(payload []byte) (claims, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.SetNumberType(json.UnmarshalJSONNumber)
	var c claims
	if err := d.Decode(&c); err != nil || c == nil {
		return nil, errors.New("claims are malformed")
	}
	if err := d.Decode(new(any)); err != io.EOF {
		return nil, errors.New("something follows the claims")
	}
	return c, nil
}

// check wants the registered claims to be as configured, and says until when
// they are.
func (c claims) check(want *config.JWTAuth, now time.Time) (until time.Time, err error) {
	if iss, _ := c["iss"].(string); iss != want.Issuer {
		return until, errors.New("another issuer")
	}
	if len(want.Audiences) > 0 && !c.isFor(want.Audiences) {
		return until, errors.New("for another audience")
	}
	until, there, err := c.date("exp")
	switch {
	case err != nil:
		return until, err
	case !there:
		return until, errors.New("exp is missing")
	}
	until = until.Add(want.ClockSkew)
	if !now.Before(until) {
		return until, errors.New("expired")
	}
	for _, name := range []string{"nbf", "iat"} {
		from, there, err := c.date(name)
		if err != nil {
			return until, err
		}
		if there && now.Before(from.Add(-want.ClockSkew)) {
			return until, fmt.Errorf("%s is in the future", name)
		}
	}
	return until, nil
}

// isFor reports whether aud, a text or a list, has one of these.
func (c claims) isFor(audiences []string) bool {
	switch aud := c["aud"].(type) {
	case string:
		return slices.Contains(audiences, aud)
	case []any:
		for _, a := range aud {
			if s, ok := a.(string); ok && slices.Contains(audiences, s) {
				return true
			}
		}
	}
	return false
}

// date reads a NumericDate (RFC 7519 2).
func (c claims) date(name string) (at time.Time, there bool, err error) {
	v, there := c[name]
	if !there {
		return at, false, nil
	}
	n, ok := v.(json.Number)
	if !ok {
		return at, true, fmt.Errorf("%s is no number", name)
	}
	f, err := n.Float64()
	if err != nil || math.IsNaN(f) || f < 0 || f > 1e11 {
		return at, true, fmt.Errorf("%s is no time", name)
	}
	return time.UnixMilli(int64(f * 1000)), true, nil
}

// find looks a claim up: by its whole name, else along dots.
func (c claims) find(name string) (any, bool) {
	if v, ok := c[name]; ok {
		return v, true
	}
	var in any = map[string]any(c)
	for part := range strings.SplitSeq(name, ".") {
		m, ok := in.(map[string]any)
		if !ok {
			return nil, false
		}
		if in, ok = m[part]; !ok {
			return nil, false
		}
	}
	return in, true
}

func (c claims) has(m *config.ClaimMatch) bool {
	v, ok := c.find(m.Name)
	if !ok {
		return false
	}
	if m.Contains == "" {
		text, ok := scalar(v)
		return ok && text == m.Equals
	}
	switch v := v.(type) {
	case string:
		return slices.Contains(strings.Split(v, " "), m.Contains)
	case []any:
		return slices.ContainsFunc(v, func(e any) bool {
			text, ok := scalar(e)
			return ok && text == m.Contains
		})
	}
	return false
}

// scalar is a text, number or truth value as text.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	}
	return "", false
}

// identity is what the claims say of who asks.
func (c claims) identity(forward []config.ClaimField) (*Identity, error) {
	id := &Identity{}
	if sub, ok := c["sub"].(string); ok {
		id.User = sub[:min(len(sub), maxUser)]
	}
	size := 0
	for _, f := range forward {
		v, ok := c.find(f.Claim)
		if !ok {
			continue
		}
		text, ok := appendClaim(nil, v)
		if !ok {
			continue
		}
		if size += len(text); size > maxForwarded {
			return nil, errors.New("claims are too long to be forwarded")
		}
		id.Fields = append(id.Fields, Field{f.Field, string(text)})
	}
	return id, nil
}

// appendClaim appends a claim as a field's value; false: it is none.
func appendClaim(dst []byte, v any) ([]byte, bool) {
	if text, ok := scalar(v); ok {
		return appendText(dst, text, ""), true
	}
	list, ok := v.([]any)
	if !ok {
		return dst, false
	}
	for i, e := range list {
		text, ok := scalar(e)
		if !ok {
			return dst, false
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, text, ",")
	}
	return dst, true
}

// appendText appends text as a field's value: what is not printable ASCII, the
// percent sign, and what else would mean something is percent-encoded.
func appendText(dst []byte, text, also string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		if c <= ' ' && (c != ' ' || i == 0 || i == len(text)-1) || c > '~' || c == '%' || strings.IndexByte(also, c) >= 0 {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}
