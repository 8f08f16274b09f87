// Package body reads request bodies as rules see them: forms, JSON, XML and
// multipart/form-data become the collections of variables.Body. It also
// undoes content codings, and reads query strings and cookies.
//
// What is read equals what Coraza's body processors make of the same bytes,
// so that our own evaluation of a rule and Coraza's have the same subject.
// Two readers serve each format. The first accepts only what every parser
// must understand alike, and is fast. What it does not accept is refused when
// Limits.Strict is set: a body with two readings hides an attack in the one
// that rules do not see. Otherwise the second, which forgives as much as
// Coraza does, makes the best of it.
//
// Everything is bounded: memory by a small multiple of the body (names of
// JSON leaves at most eight times), time by its length, recursion by
// Limits.Depth. The content of uploaded files is not kept.
package body

import (
	"strings"

	"gatehouse/waf/variables"
)

const (
	// DefaultArgs is how many arguments are read where Limits.Args is zero.
	DefaultArgs = 1000

	defaultParts = 1000
	strictDepth  = 32
	maxDepth     = 1024 // Coraza's SecRequestBodyJsonDepthLimit
)

// Limits bound what Parse reads. The zero value reads what Coraza reads.
type Limits struct {
	// Args is how many form fields or JSON leaves are kept, 1000 if zero.
	// What comes after them is not, and Parse reports it.
	Args int
	// Depth is how deep JSON and XML may be nested, at most 1024. If zero,
	// 32 where Strict is set and 1024 where it is not.
	Depth int
	// Parts is how many parts a multipart body may have, 1000 if zero.
	Parts int
	// Strict refuses what two parsers could read differently.
	Strict bool
	// Force reads a body of a kind that is not known (None) as a form, so
	// that rules find it in REQUEST_BODY: ctl:forceRequestBodyVariable=On.
	Force bool
}

func (l Limits) withDefaults() Limits {
	if l.Args <= 0 {
		l.Args = DefaultArgs
	}
	if l.Parts <= 0 {
		l.Parts = defaultParts
	}
	if l.Depth <= 0 {
		l.Depth = maxDepth
		if l.Strict {
			l.Depth = strictDepth
		}
	}
	l.Depth = min(l.Depth, maxDepth)
	return l
}

// Parse reads a body, which has no content coding any more. kind says how, as
// KindOf found it or as a rule set it; contentType is the first Content-Type
// value of the message, for its parameters.
//
// truncated says that there are more arguments than Limits.Args: rules see
// ARGUMENTS_LIMIT_REACHED. refused is not nil where Limits.Strict is set and
// two parsers could read the body differently; b then holds nothing of use,
// and whoever only watches calls Parse again without Strict. A body that is
// merely broken is not refused without Strict: b.Error says why, for rules to
// judge, and b has what came before.
//
// Values are pieces of text where nothing had to be decoded.
func Parse(kind variables.Processor, contentType, text string, lim Limits) (b variables.Body, truncated bool, refused *Refusal) {
	lim = lim.withDefaults()
	if kind == variables.None && lim.Force {
		kind = variables.URLEncoded
	}
	b.Processor = kind
	if text == "" {
		return b, false, nil
	}
	if lim.Strict {
		if refused = ambiguousType(kind, contentType, text); refused != nil {
			return b, false, refused
		}
	}
	switch kind {
	case variables.URLEncoded:
		b.ArgsPost, truncated = Query(text, lim.Args)
		b.Raw, b.Length = text, len(text)
	case variables.JSON:
		truncated, refused = parseJSON(&b, text, isLines(contentType), lim)
	case variables.XML:
		refused = parseXML(&b, text, contentType, lim)
	case variables.Multipart:
		truncated, refused = parseMultipart(&b, contentType, text, lim)
	}
	return b, truncated, refused
}

// ambiguousType judges what is the same for every kind of body: the header
// that says how to read it, and encodings that would make other text of it.
func ambiguousType(kind variables.Processor, contentType, text string) *Refusal {
	if r := mediaTypeOf(contentType).refusal(kind); r != nil {
		return r
	}
	if strings.HasPrefix(text, "\xfe\xff") || strings.HasPrefix(text, "\xff\xfe") {
		return refuse(415, reasonWide)
	}
	return nil
}
