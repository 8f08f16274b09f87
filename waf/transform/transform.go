// Package transform has the transformations that a rule can ask for before its
// operator looks at a value (t:lowercase, t:urlDecodeUni and so on): pure
// functions of a text, found by name.
//
// They give byte for byte what Coraza 3.8 gives on Linux, its oddities
// included, because the index of the managed rules decides with them whether
// Coraza has to be asked at all: a difference would be a hole. All of them take
// time and memory in proportion to the text.
package transform

import "strings"

// Func is a transformation. It returns the text itself, without having
// allocated anything, when it changes nothing; that is also its answer to a
// text that it cannot decode. It never panics and keeps nothing.
type Func func(text string) string

// method is a transformation and the bytes that set it to work.
type method struct {
	run    Func
	active Class
}

// methods are all transformations that Coraza 3.8 knows, by their names in
// lower case. It is never written to.
var methods = map[string]method{
	"base64decode":       {base64Decode, everything},
	"base64decodeext":    {base64DecodeExt, everything},
	"base64encode":       {base64Encode, everything},
	"cmdline":            {cmdLine, ClassOf(cmdDropped + cmdBlank).Union(between('A', 'Z'))},
	"compresswhitespace": {compressWhitespace, ClassOf(asciiSpace + "\x85\xa0")},
	"cssdecode":          {cssDecode, ClassOf(`\`)},
	"escapeseqdecode":    {escapeSeqDecode, ClassOf(`\`)},
	"hexdecode":          {hexDecode, between('0', '9').Union(between('a', 'f')).Union(between('A', 'F'))},
	"hexencode":          {hexEncode, everything},
	"htmlentitydecode":   {htmlEntityDecode, ClassOf("&")},
	"jsdecode":           {jsDecode, ClassOf(`\`)},
	"length":             {length, everything},
	"lowercase":          {lowercase, between('A', 'Z').Union(notASCII)},
	"md5":                {md5Digest, everything},
	"none":               {none, Class{}},
	"normalisepath":      {normalisePath, ClassOf("/.")},
	"normalisepathwin":   {normalisePathWin, ClassOf(`/\.: `)},
	"normalizepath":      {normalisePath, ClassOf("/.")},
	"normalizepathwin":   {normalisePathWin, ClassOf(`/\.: `)},
	"removecomments":     {removeComments, ClassOf("*-#")},
	"removecommentschar": {removeCommentsChar, ClassOf("*-#")},
	"removenulls":        {removeNulls, ClassOf("\x00")},
	"removewhitespace":   {removeWhitespace, ClassOf(asciiSpace).Union(notASCII)},
	"replacecomments":    {replaceComments, ClassOf("*")},
	"replacenulls":       {replaceNulls, ClassOf("\x00")},
	"sha1":               {sha1Digest, everything},
	"trim":               {trim, ClassOf(asciiSpace)},
	"trimleft":           {trimLeft, ClassOf(asciiSpace)},
	"trimright":          {trimRight, ClassOf(asciiSpace)},
	"uppercase":          {uppercase, between('a', 'z').Union(notASCII)},
	"urldecode":          {urlDecode, ClassOf("%+")},
	"urldecodeuni":       {urlDecodeUni, ClassOf("%+")},
	"urlencode":          {urlEncode, everything.without(urlPlain)},
	"utf8tounicode":      {utf8ToUnicode, notASCII},
}

// ByName finds a transformation; upper and lower case are the same. ok is
// false when there is none of this name.
func ByName(name string) (f Func, ok bool) {
	m, ok := methods[strings.ToLower(name)]
	return m.run, ok
}

// Active is the set of bytes that set a transformation to work: a text that
// has none of them is certainly left as it is. The full class means that every
// text may be changed, the empty one too (its length is "0"), although that
// one has no byte in common with it. A name that is not known gives the full
// class.
func Active(name string) Class {
	if m, ok := methods[strings.ToLower(name)]; ok {
		return m.active
	}
	return everything
}

// none is what t:none would do. In a rule it rather removes the
// transformations named before it, which is up to who reads the rule.
func none(text string) string { return text }
