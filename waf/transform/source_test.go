package transform

import (
	"math/rand/v2"
	"strings"
)

// samples are texts that some transformation has a reason to change.
var samples = []string{
	"", "plain", "Plain Text", "1", "deadbeef", "DEADBEE", "6162zz", "a=1&b=2", "/", "//", ".", "..", "./a", "a/", "a/./b/../c/",
	"%41%u0041%zz%", "%u", "%u00", "%u00e9%uff1c%uFF5F%u2039", "a+b", "+%+", "&lt;b&gt", "&#60;&#x3c;&#x;&#", "&nosuch;&ampersand&am",
	`\`, `a\`, `\u0041\u{41}\u{0ff21}\u{1ff21}\u{1234567}\x41\101\777\8\n\q`, `\x4`, `\X41\x4g\400\18`, "\\\n", `\41 b\0\d800\110000\ff01x`, `\\\`,
	"/* a */b", "a/*b*/", "/*x*//*y*/", "<!--a-->b", "<!--a*/b", "/*a-->b", "a--b", "a#b", "/*open", "*/", "/*/", "<!-->", "-->",
	"a  b\tc", "\u00a0a\u0085", "\xa0\xa0", "\x85", "à\xa0", "\u2003x", " x ", "\x00a\x00", "caf\u00e9 \u4f60\U0001f600\xff\xed\xa0\x80\xc0\xaf",
	`C:\Windows\.. \file.txt::$DATA`, "C:/a:b/", "/a/ /b. /..../c.:d", "a:b:c", "/a/:x/", "::", "c:", " ", "  /", "\\\\host\\x",
	`c^m"d' /c,;dir  ( x`, `a " /`, ", /", "YWJj", "YW Jj", "YW.-_Jj=Y", "YW\nJ", "Y", "YWJjZ\xff", "-_+/",
}

// pieces are what the random texts are made of.
var pieces = strings.Split(`%|%4|%41|%2f|%zz|%u0041|%u00e9|%uff1c|%uFF5f|%u2|%U0130|+|&|&#|&#x|&#60;|&#x3c|&#0|&#128;|&#xd800;|&#99999999999;|&lt|`+
	`&lt;|&amp|&ampx|&nGt;|&no;|;|\|\\|\u|\u0041|\uFF1c|\u{|\u{41}|\u{0ff01}|\u{1ff1c}|\u{fffffff}|}|\x|\x4|\x41|\X41|\0|\101|\400|\777|\8|\n|\a|\41 |\0 |`+
	`\d800|\110000|\ff01|\5c|/|//|/../|/./|..|.|./|\..\|:|::$DATA|C:|c:/|. | /|/*|*/|/|*|<!--|-->|--|-|#|<|!|>| |  |(|,|^|"|'|a|B|Z|x|u|0|41|f|`+
	`YWJj|YQ==|=|_|`, "|")

// raw are pieces with bytes that a person cannot read.
var raw = []string{
	"|", "\x00", "\n", "\r\n", "\t", "\v", "\f", "\x85", "\xa0", "\xc2", "\u00a0", "\u0085", "\u2028", "\u3000", "é", "É", "ß", "İ", "\u212a",
	"à", "你", "\U0001f600", "\xff", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe4\xbd", "\ufffd", "\ufeff", "\\\n",
	"thequickbrownfox", "THEQUICKBROWNFOX",
}

// entityNames are names of references, with and without a need of a semicolon.
var entityNames = strings.Fields(`AElig AMP Aacute Acirc Agrave Aring Atilde Auml COPY Ccedil ETH Eacute Ecirc Egrave Euml GT Iacute Icirc
	Igrave Iuml LT Ntilde Oacute Ocirc Ograve Oslash Otilde Ouml QUOT REG THORN Uacute Ucirc Ugrave Uuml Yacute aacute acirc acute aelig
	agrave amp aring atilde auml brvbar ccedil cedil cent copy curren deg divide eacute ecirc egrave eth euml frac12 frac14 frac34 gt iacute
	icirc iexcl igrave iquest iuml laquo lt macr micro middot nbsp not ntilde oacute ocirc ograve ordf ordm oslash otilde ouml para plusmn
	pound quot raquo reg sect shy sup1 sup2 sup3 szlig thorn times uacute ucirc ugrave uml uuml yacute yen yuml
	notin notit nGt lpar colon Tab NewLine hearts CounterClockwiseContourIntegral alpha amplitude`)

// source makes texts at random, the same ones from the same seed.
type source struct{ *rand.Rand }

func newSource(seed uint64) source { return source{rand.New(rand.NewPCG(seed, 0))} }

func (s source) n(limit int) int { return s.IntN(limit) }

func (s source) pick(from []string) string { return from[s.IntN(len(from))] }

// text is up to a dozen pieces; now and then they are of few kinds only, so
// that texts that stay as they are come up too.
func (s source) text() string {
	few := []string{s.pick(pieces), s.pick(raw), "a", "/b"}
	var b strings.Builder
	kind := s.n(4)
	for range s.n(12) {
		switch {
		case kind == 0:
			b.WriteString(s.pick(few))
		case s.n(3) == 0:
			b.WriteString(s.pick(raw))
		case s.n(8) == 0:
			b.WriteString("&" + s.pick(entityNames))
		default:
			b.WriteString(s.pick(pieces))
		}
	}
	return b.String()
}
