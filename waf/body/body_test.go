package body

import (
	"strings"
	"testing"

	"gatehouse/waf/variables"
)

func TestAmbiguousBodiesAreRefused(t *testing.T) {
	quoted := `multipart/form-data; boundary="` + strings.Repeat("b", 71) + `"`
	tests := []struct {
		name string
		kind variables.Processor
		typ  string
		text string
		want string // the reason, none if it is accepted
	}{
		{"charset utf-16", variables.JSON, "application/json; charset=utf-16", "{}", reasonCharset},
		{"charset utf-7", variables.URLEncoded, formType + "; charset=UTF-7", "a=1", reasonCharset},
		{"charset ibm037 of a body that is not read", variables.None, "text/plain; charset=ibm037", "a", reasonCharset},
		{"charset utf-8", variables.JSON, `application/json; charset="UTF-8"`, "{}", ""},
		{"charset windows-1252", variables.URLEncoded, formType + ";charset=Windows-1252", "a=\x80", ""},
		{"charset twice", variables.JSON, "application/json; charset=utf-8; CHARSET=utf-8", "{}", reasonCharsetTwice},
		{"boundary twice", variables.Multipart, multipartType + "; boundary=B", "--B--", reasonBoundaryTwice},
		{"two types", variables.JSON, "application/json, text/plain", "{}", reasonTypeTwice},
		{"two types after a parameter", variables.JSON, "application/json; charset=utf-8, text/plain", "{}", reasonTypeTwice},
		{"a space that only Unicode knows", variables.JSON, "\u00a0application/json", "{}", reasonType},
		{"no body", variables.JSON, "application/json; charset=utf-16", "", ""},
		{"trailing semicolon", variables.JSON, "application/json;", "{}", ""},
		{"UTF-16 form", variables.URLEncoded, formType, "\xff\xfea\x00=\x00", reasonWide},
		{"UTF-16 JSON, big end first", variables.JSON, jsonType, "\xfe\xff\x00{\x00}", reasonWide},
		{"bad percent encoding", variables.URLEncoded, formType, "a=%zz&b=%", ""},

		{"duplicate key", variables.JSON, jsonType, `{"a":1,"b":{"a":2},"a":3}`, reasonJSONDuplicate},
		{"duplicate key after unescaping", variables.JSON, jsonType, `{"a":1,"\u0061":2}`, reasonJSONDuplicate},
		{"duplicate key deep down", variables.JSON, jsonType, `[{"x":[{"a":1,"a":1}]}]`, reasonJSONDuplicate},
		{"the same key in two objects", variables.JSON, jsonType, `[{"a":1},{"a":1,"b":{"a":1}}]`, ""},
		{"keys that differ in case", variables.JSON, jsonType, `{"a":1,"A":2}`, ""},
		{"high surrogate alone", variables.JSON, jsonType, `"\ud800"`, reasonJSONUnicode},
		{"low surrogate alone", variables.JSON, jsonType, `{"\udc00":1}`, reasonJSONUnicode},
		{"surrogate pair", variables.JSON, jsonType, `"\ud83d\ude00"`, ""},
		{"bytes that are not UTF-8", variables.JSON, jsonType, "\"\xff\"", reasonJSONUnicode},
		{"bytes that are not UTF-8 beside an escape", variables.JSON, jsonType, "\"\\n\xc3\"", reasonJSONUnicode},
		{"a character cut by an escape", variables.JSON, jsonType, "\"\xc3\\n\xa9\"", reasonJSONUnicode},
		{"data after the value", variables.JSON, jsonType, `{"a":1} {"b":2}`, reasonJSONSyntax},
		{"NaN", variables.JSON, jsonType, `[NaN]`, reasonJSONSyntax},
		{"Infinity", variables.JSON, jsonType, `[-Infinity]`, reasonJSONSyntax},
		{"comment", variables.JSON, jsonType, `{/**/}`, reasonJSONSyntax},
		{"trailing comma", variables.JSON, jsonType, `[1,]`, reasonJSONSyntax},
		{"single quotes", variables.JSON, jsonType, `{'a':1}`, reasonJSONSyntax},
		{"leading zero", variables.JSON, jsonType, `01`, reasonJSONSyntax},
		{"byte order mark", variables.JSON, jsonType, "\xef\xbb\xbf{}", reasonJSONSyntax},
		{"control character", variables.JSON, jsonType, "\"a\nb\"", reasonJSONSyntax},
		{"control character beside an escape", variables.JSON, jsonType, "\"\\ta\x00b\"", reasonJSONSyntax},
		{"nested 32 deep", variables.JSON, jsonType, strings.Repeat("[", 32) + strings.Repeat("]", 32), ""},
		{"nested 33 deep", variables.JSON, jsonType, strings.Repeat("[", 33) + strings.Repeat("]", 33), reasonJSONDepth},
		{"long names many times", variables.JSON, jsonType, `{"` + strings.Repeat("k", 9000) + `":[` + strings.Repeat("1,", 500) + `1]}`, reasonJSONSize},

		{"document type", variables.XML, xmlType, "<!DOCTYPE a><a/>", reasonXMLDirective},
		{"entity declaration", variables.XML, xmlType, `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, reasonXMLDirective},
		{"undeclared entity", variables.XML, xmlType, "<a>&b;</a>", reasonXMLSyntax},
		{"entity of HTML", variables.XML, xmlType, "<a>&eacute;</a>", reasonXMLSyntax},
		{"entities of XML", variables.XML, xmlType, "<a>&lt;&gt;&amp;&quot;&apos;&#60;</a>", ""},
		{"attribute twice", variables.XML, xmlType, "<a b='1' c='2' b='3'/>", reasonXMLAttribute},
		{"attribute twice in a tag that stays open", variables.XML, xmlType, "<a b='1' b='3'>x</a>", reasonXMLAttribute},
		{"attribute twice among many", variables.XML, xmlType, "<a b='' c='' d='' e='' f='' g='' h='' i='' j='' b=''/>", reasonXMLAttribute},
		{"encoding UTF-8", variables.XML, xmlType, `<?xml version="1.0" encoding="utf-8"?><a/>`, ""},
		{"encoding ISO-8859-1", variables.XML, xmlType, `<?xml version="1.0" encoding="ISO-8859-1"?><a/>`, ""},
		{"encoding UTF-16", variables.XML, xmlType, `<?xml version="1.0" encoding="UTF-16"?><a/>`, reasonXMLEncoding},
		{"encoding UTF-7", variables.XML, xmlType, `<?xml version="1.0" encoding="UTF-7"?><a>+ADw-b+AD4-</a>`, reasonXMLEncoding},
		{"encoding against charset", variables.XML, xmlType + ";charset=utf-8", `<?xml version="1.0" encoding="ISO-8859-1"?><a/>`, reasonXMLEncoding},
		{"encoding missing against charset", variables.XML, xmlType + ";charset=iso-8859-1", "<a>\u00e9</a>", reasonXMLEncoding},
		{"charset utf-8", variables.XML, xmlType + ";charset=UTF-8", "<a>\u00e9</a>", ""},
		{"bytes that are not UTF-8 in XML", variables.XML, xmlType, "<a>\xff</a>", reasonXMLSyntax},
		{"two roots", variables.XML, xmlType, "<a/><b/>", reasonXMLSyntax},
		{"text after the root", variables.XML, xmlType, "<a/>b", reasonXMLSyntax},
		{"text before the root", variables.XML, xmlType, "b<a/>", reasonXMLSyntax},
		{"no root", variables.XML, xmlType, " <!-- a -->", reasonXMLSyntax},
		{"unfinished", variables.XML, xmlType, "<a><b></b>", reasonXMLSyntax},
		{"crossed tags", variables.XML, xmlType, "<a><b></a></b>", reasonXMLSyntax},
		{"no quotes", variables.XML, xmlType, "<a b=c/>", reasonXMLSyntax},
		{"late XML declaration", variables.XML, xmlType, `<a/><?xml version="1.0"?>`, reasonXMLSyntax},
		{"byte order mark before XML", variables.XML, xmlType, "\ufeff<?xml version=\"1.0\"?><a/>", ""},
		{"byte order mark and a line", variables.XML, xmlType, "\ufeff\n<a/>", ""},
		{"nested 33 deep in XML", variables.XML, xmlType, strings.Repeat("<a>", 33) + strings.Repeat("</a>", 33), reasonXMLDepth},

		{"long tag with a name in Greek", variables.XML, xmlType, "<α " + strings.Repeat("b='' ", 20000) + "/>", reasonXMLSize},
		{"many tags with a name in Greek", variables.XML, xmlType, "<a>" + strings.Repeat("<α/>", 40000) + "</a>", reasonXMLSize},
		{"a name in Greek", variables.XML, xmlType, "<α>x</α>", ""},

		{"no boundary", variables.Multipart, "multipart/form-data", "--B--", reasonBoundary},
		{"boundary of 71 characters", variables.Multipart, quoted, "--B--", reasonBoundary},
		{"boundary that ends in a space", variables.Multipart, `multipart/form-data; boundary="B "`, "--B--", reasonBoundary},
		{"boundary with a bad character", variables.Multipart, `multipart/form-data; boundary="B;"`, "--B;--", reasonBoundary},
		{"boundary with a quote left open", variables.Multipart, `multipart/form-data; boundary="B`, "--B--", reasonType},
		{"boundary with a quote within", variables.Multipart, `multipart/form-data; boundary=B"B"`, "--B--", reasonType},
		{"boundary in pieces", variables.Multipart, `multipart/form-data; boundary=B; boundary*0=C`, "--B--", reasonType},
		{"boundary of a longer type", variables.Multipart, `multipart/form-data-x; boundary=B`, "--B--", reasonType},
		{"boundary in quotes", variables.Multipart, `multipart/form-data; boundary="B"`, "--B--", ""},

		{"fields and a file", variables.Multipart, multipartType, crlf(field("a", "1") + file), ""},
		{"file with line feeds", variables.Multipart, multipartType, crlf(strings.TrimSuffix(file, "--B--\n")) + "a\nb\r\n--B--\r\n", ""},
		{"bare line feeds", variables.Multipart, multipartType, field("a", "1") + "--B--\n", reasonDelimiter},
		{"bare line feed in a header", variables.Multipart, multipartType, cd("name=a\nX: y\rZ: z"), reasonPartHeader},
		{"bare line feed before a boundary", variables.Multipart, multipartType, crlf(field("a", "1")+"x") + "\n--B--", reasonDelimiter},
		{"preamble", variables.Multipart, multipartType, "x\r\n" + crlf(field("a", "1")+"--B--"), reasonPreamble},
		{"empty preamble", variables.Multipart, multipartType, "\r\n" + crlf(field("a", "1")+"--B--"), ""},
		{"epilogue", variables.Multipart, multipartType, crlf(field("a", "1") + "--B--\nx"), reasonEpilogue},
		{"no final boundary", variables.Multipart, multipartType, crlf(field("a", "1")), reasonUnfinished},
		{"nothing after the first", variables.Multipart, multipartType, crlf("--B\nContent-Disposition: form-data; name=a\n\nx"), reasonUnfinished},
		{"blank after a boundary", variables.Multipart, multipartType, crlf("--B \nContent-Disposition: form-data; name=a\n\nx\n--B--"), reasonDelimiter},
		{"boundary as the beginning of a line", variables.Multipart, multipartType, crlf(field("a", "x\n--Bx") + "--B--"), reasonDelimiter},
		{"boundary in a line", variables.Multipart, multipartType, crlf(field("a", "x--B") + "--B--"), reasonDelimiter},
		{"part without headers", variables.Multipart, multipartType, crlf("--B\n\nx\n--B--"), reasonPartHeader},
		{"two dispositions", variables.Multipart, multipartType, withHead("Content-Disposition: form-data; name=a\nContent-Disposition: form-data; name=b"), reasonHeaderTwice},
		{"name twice", variables.Multipart, multipartType, cd("name=a; name=a"), reasonParamTwice},
		{"filename twice", variables.Multipart, multipartType, cd("name=a; filename=a; FILENAME=b"), reasonParamTwice},
		{"filename* that differs", variables.Multipart, multipartType, cd("name=a; filename=a; filename*=utf-8''b"), reasonTwoFilenames},
		{"filename* that says the same", variables.Multipart, multipartType, cd("name=a; filename=a; filename*=utf-8''a"), ""},
		{"filename* in a charset that is not read", variables.Multipart, multipartType, cd("name=a; filename*=utf-7''a"), reasonFilename},
		{"filename* with a control character", variables.Multipart, multipartType, cd("name=a; filename*=utf-8''a%00"), reasonFilename},
		{"filename* in quotes", variables.Multipart, multipartType, cd(`name=a; filename*="utf-8''a"`), reasonContinuation},
		{"filename in pieces", variables.Multipart, multipartType, cd("name=a; filename*0=a; filename*1=b"), reasonContinuation},
		{"name*", variables.Multipart, multipartType, cd("name*=utf-8''a"), reasonContinuation},
		{"folded header", variables.Multipart, multipartType, withHead("Content-Disposition: form-data;\n name=a"), reasonPartHeader},
		{"space before the colon", variables.Multipart, multipartType, withHead("Content-Disposition : form-data; name=a"), reasonPartHeader},
		{"base64", variables.Multipart, multipartType, cd("name=a\nContent-Transfer-Encoding: base64"), reasonTransfer},
		{"quoted-printable", variables.Multipart, multipartType, cd("name=a\nContent-Transfer-Encoding: quoted-printable"), reasonTransfer},
		{"binary", variables.Multipart, multipartType, cd("name=a\nContent-Transfer-Encoding: Binary"), ""},
		{"nested multipart", variables.Multipart, multipartType, cd("name=a\nContent-Type: multipart/mixed; boundary=C"), reasonNested},
		{"part in UTF-7", variables.Multipart, multipartType, cd("name=a\nContent-Type: text/plain; charset=utf-7"), reasonPartCharset},
		{"part in UTF-8", variables.Multipart, multipartType, cd("name=a\nContent-Type: text/plain; charset=utf-8"), ""},
		{"_charset_", variables.Multipart, multipartType, cd(`name="_Charset_"`), reasonCharsetPart},
		{"NUL in a name", variables.Multipart, multipartType, cd("name=\"a\x00b\""), reasonPartHeader},
		{"quote in a name", variables.Multipart, multipartType, cd(`name="a"b"`), reasonDisposition},
		{"escaped quote in a name", variables.Multipart, multipartType, cd(`name="a\"b"`), reasonQuoting},
		{"backslashes of Windows", variables.Multipart, multipartType, cd(`name="a"; filename="C:\dir\a.txt"`), ""},
		{"encoded word", variables.Multipart, multipartType, cd(`name="a"; filename="=?utf-8?b?YQ==?="`), reasonEncodedWord},
		{"attachment", variables.Multipart, multipartType, withHead("Content-Disposition: attachment; name=a"), reasonDisposition},
		{"no disposition", variables.Multipart, multipartType, withHead("X: y"), reasonDisposition},
		{"no name", variables.Multipart, multipartType, cd("filename=a"), reasonPartName},
		{"too many parameters", variables.Multipart, multipartType, cd("name=a; b=1; c=1; d=1; e=1; f=1; g=1; h=1; i=1"), reasonDisposition},
		{"too many parts", variables.Multipart, multipartType, crlf(strings.Repeat(field("a", ""), 1001) + "--B--"), reasonParts},
		{"large part header", variables.Multipart, multipartType, cd("name=a\nX: " + strings.Repeat("x", 9000)), reasonPartHeader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, refused := Parse(tt.kind, tt.typ, tt.text, Limits{Strict: true})
			got := ""
			if refused != nil {
				got = refused.Reason
				if refused.Status != 400 && refused.Status != 413 && refused.Status != 415 {
					t.Errorf("status %d", refused.Status)
				}
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if _, _, refused := Parse(tt.kind, tt.typ, tt.text, Limits{}); refused != nil {
				t.Errorf("refused (%s) though not strict", refused.Reason)
			}
		})
	}
}

func TestAnUnknownKindIsReadWhenForced(t *testing.T) {
	tests := []struct {
		name string
		lim  Limits
		want variables.Processor
		raw  string
	}{
		{"left alone", Limits{}, variables.None, ""},
		{"forced", Limits{Force: true}, variables.URLEncoded, "a=%41"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, _, refused := Parse(variables.None, "text/plain", "a=%41", tt.lim)
			if b.Processor != tt.want || b.Raw != tt.raw || b.Length != len(tt.raw) || refused != nil {
				t.Errorf("got %v, %q, %d, %v", b.Processor, b.Raw, b.Length, refused)
			}
		})
	}
}
