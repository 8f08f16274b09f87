package body

import (
	"strings"
	"testing"

	"gatehouse/waf/variables"
)

const multipartType = "multipart/form-data; boundary=B"

// crlf makes the line ends of a readable text those of a message.
func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// field is a part with a text.
func field(name, value string) string {
	return "--B\nContent-Disposition: form-data; name=\"" + name + "\"\n\n" + value + "\n"
}

// withHead is a body of one part with these headers.
func withHead(head string) string { return crlf("--B\n" + head + "\n\nvalue\n--B--\n") }

const file = "--B\nContent-Disposition: form-data; name=\"f\"; filename=\"a.php\"\nContent-Type: text/plain\n\n<?php\n--B--\n"

func cd(params string) string { return withHead("Content-Disposition: form-data; " + params) }

var multipartSeeds = []string{
	"", "--B--", "--B--\r\n", crlf(field("a", "1") + "--B--"), crlf(field("a", "1") + field("a", "2") + field("A", "") + "--B--\n"), crlf(file),
	crlf(field("a", "1") + file), "\r\n" + crlf(field("a", "1")+"--B--\n"), crlf(strings.Replace(file, "<?php", strings.Repeat("x\n", 5000), 1)),
	// Around the parts.
	field("a", "1") + "--B--\n", "pre\r\n" + crlf(field("a", "1")+"--B--\n"), crlf(field("a", "1") + "--B--\nafter\n"), crlf(field("a", "1") + "--B--\n\n"), crlf(field("a", "1")),
	crlf(field("a", "1") + "--B"), crlf(field("a", "1") + "--B-"), crlf("--B \n" + "Content-Disposition: form-data; name=a\n\nx\n--B--  \n"), crlf("--B\n\nx\n--B--"),
	crlf(field("a", "x--By") + "--B--"), crlf(field("a", "x\n--By") + "--B--"), crlf(field("a", "1")) + "\n--B--", crlf(field("a", "1") + field("b", "x") + "--B--" + field("c", "2") + "--B--"),
	crlf(field("a", "1")) + strings.ReplaceAll(field("b", "2"), "\n", "\n") + "--B--", crlf("--B\nContent-Disposition: form-data; name=\"a\"\n--B--"), crlf(field("a", "1") + "--B\n--B--"),
	crlf("--B\nContent-Disposition: form-data; name=\"a\"\n\n--B--"), "--B", "--", "x", crlf("--B\nContent-Disposition: form-data; name=\"a\"\n\nunfinished"),
	// Headers.
	withHead("Content-Disposition: form-data;\n name=\"a\""), withHead("Content-Disposition : form-data; name=\"a\""), withHead(" Content-Disposition: form-data; name=\"a\""),
	withHead("content-disposition:form-data;name=a\nx-Other:   b  "), withHead("Content-Disposition: form-data; name=\"a\"\nContent-Disposition: form-data; name=\"b\""), withHead("X: y"), withHead("nonsense"),
	withHead("Content-Disposition: form-data; name=\"a\"\nContent-Transfer-Encoding: quoted-printable"), withHead("Content-Disposition: form-data; name=\"a\"\nContent-Transfer-Encoding: base64"),
	withHead("Content-Disposition: form-data; name=\"a\"\nContent-Transfer-Encoding: BINARY"), withHead("Content-Disposition: form-data; name=\"a\"\nContent-Type: multipart/mixed; boundary=C"),
	withHead("Content-Disposition: form-data; name=\"a\"\nContent-Type: text/plain; charset=utf-7"), withHead("Content-Disposition: attachment; name=\"a\""), withHead("Content-Disposition: FORM-DATA; NAME=a"),
	// Dispositions.
	cd(`name="a"; filename="b"`), cd(`name="a"; filename=""`), cd(`name="a";filename=b`), cd(`name=a; name=b`), cd(`name=a; name=a`), cd(`name="a"; filename="x"; filename="y"`), cd(`name="a"; NAME="b"`),
	cd(`name="a"; filename="x"; filename*=utf-8''y`), cd(`name="a"; filename="x"; filename*=utf-8''x`), cd(`name="a"; filename*=UTF-8'en'%e2%82%ac.php`), cd(`name="a"; filename*=iso-8859-1''%e9`),
	cd(`name="a"; filename*="utf-8''y"; filename=z`), cd(`name="a"; filename*=utf-8''`), cd(`name="a"; filename=x; filename*=utf-8''`), cd(`name="a"; filename*=nonsense`), cd(`name="a"; filename*=utf-8''%zz`),
	cd(`name="a"; filename*0=x; filename*1=y`), cd(`name="a"; filename="z"; filename*0*=utf-8''x%41; filename*1=y`), cd(`name="a"; filename="z"; filename*0=x; filename*=utf-8''w`), cd(`name="a"; filename*x=1`),
	cd(`name="a\"b"`), cd(`name="a"b"`), cd(`name="a\\b"; filename="C:\dir\x.txt"`), cd(`name="a;b"; filename="x;filename=y"`), cd(`name=`), cd(`name=""`), cd(`filename="x"`), cd(`name="a"; filename="../../x"`),
	cd(`name="_charset_"`), cd(`name="=?utf-8?q?a?="`), cd("name=\"a\x00b\""), cd("name=\"\xff\xc3\xa9\""), cd(`name="a";`), cd(`name="a";;`), cd(`name='a'`), cd(`name="a`), cd(`name="a"; x=1; y=2`), cd(`name="a" ; filename = "b"`), cd(`name*=utf-8''a`),
	crlf("--B\nContent-Disposition: form-data; name=f; filename=X\n\n12\n--B\nContent-Disposition: form-data; name=f; filename=x\n\n123\n--B--"),
}

func TestMultipartIsReadAsCorazaReadsIt(t *testing.T) {
	differAll(t, variables.Multipart, multipartType, multipartSeeds)
}

func FuzzMultipart(f *testing.F) {
	for _, text := range multipartSeeds {
		f.Add(text)
	}
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, text string) { differ(t, o, variables.Multipart, multipartType, text) })
}
