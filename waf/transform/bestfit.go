package transform

// bestFitLatin has the letters of ASCII for U+00A0 to U+01FF, 32 to a line; a
// tilde stands for none.
const bestFitLatin = "" +
	" !c~$Y|~~Ca<~-R~~~23~~~.,1o>~~~~" + // U+00A0
	"AAAAAAACEEEEIIIIDNOOOOO~OUUUUY~~" + // U+00C0
	"aaaaaaaceeeeiiii~nooooo~ouuuuy~y" + // U+00E0
	"AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGg" + // U+0100
	"GgGgHhHhIiIiIiIiIi~~JjKk~LlLlLl~" + // U+0120
	"~LlNnNnNn~~~OoOoOoOoRrRrRrSsSsSs" + // U+0140
	"SsTtTtTtUuUuUuUuUuUuWwYyYZ~ZzZz~" + // U+0160
	"b~~~~~~~~D~~~~~~~Ff~~~~I~~l~~~~O" + // U+0180
	"Oo~~~~~~~~~t~~TUu~~~~~z~~~~~~~~~" + // U+01A0
	"~~~~~~~~~~~~~AaIiOoUuUuUuUuUu~Aa" + // U+01C0
	"~~~~GgGgKkOoOo~~j~~~~~~~~~~~~~~~" // U+01E0

// bestFit is the byte of ASCII that looks most like a code point, by the
// "best fit" table of code page 20127 (US-ASCII) that ModSecurity reads from
// unicode.mapping; 0: there is none. The full width forms are not in it: see
// foldWide.
func bestFit(code rune) byte {
	if 0xa0 <= code && code < 0x200 {
		if b := bestFitLatin[code-0xa0]; b != '~' {
			return b
		}
		return 0
	}
	switch code {
	case 0x0261:
		return 'g'
	case 0x02b9, 0x02bc, 0x02c8, 0x2018, 0x2019, 0x2032:
		return '\''
	case 0x02ba, 0x030e, 0x201c, 0x201d, 0x201e:
		return '"'
	case 0x02c4, 0x02c6, 0x0302:
		return '^'
	case 0x02cb, 0x0300, 0x2035:
		return '`'
	case 0x02cd, 0x0331, 0x0332:
		return '_'
	case 0x02dc, 0x0303:
		return '~'
	case 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006:
		return ' '
	case 0x2010, 0x2011, 0x2013, 0x2014:
		return '-'
	case 0x201a:
		return ','
	case 0x2022, 0x2026:
		return '.'
	case 0x2039:
		return '<'
	case 0x203a:
		return '>'
	case 0x2122:
		return 'T'
	}
	return 0
}
