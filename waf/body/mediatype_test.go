package body

import (
	"mime"
	"strings"
	"testing"

	"gatehouse/waf/variables"
)

func TestKindOf(t *testing.T) {
	tests := []struct {
		value    string
		want     variables.Processor
		boundary string
		err      string
	}{
		{"", variables.None, "", ""},
		{"text/plain", variables.None, "", ""},
		{"application/octet-stream; charset=utf-16", variables.None, "", reasonCharset},
		{"application/x-www-form-urlencoded", variables.URLEncoded, "", ""},
		{" Application/X-WWW-Form-URLencoded ; charset=UTF-8", variables.URLEncoded, "", ""},
		{"application/x-www-form-urlencodedX", variables.URLEncoded, "", ""},
		{"multipart/form-data; boundary=abc", variables.Multipart, "abc", ""},
		{"multipart/form-data; boundary=\"a b\"; x=y", variables.Multipart, "a b", ""},
		{"multipart/form-data", variables.Multipart, "", reasonBoundary},
		{"multipart/mixed; boundary=abc", variables.None, "abc", ""},
		{"application/json", variables.JSON, "", ""},
		{"application/json;charset=utf8", variables.JSON, "", ""},
		{"application/json, text/plain", variables.JSON, "", reasonTypeTwice},
		{"application/ld+json", variables.JSON, "", ""},
		{"application/graphql+json", variables.JSON, "", ""},
		{"application/json-patch+json", variables.JSON, "", ""},
		{"application/x-ndjson", variables.JSON, "", ""},
		{"application/csp-report", variables.JSON, "", ""},
		{"application/reports+json", variables.JSON, "", ""},
		{"text/json", variables.JSON, "", ""},
		{"text/xml", variables.XML, "", ""},
		{"application/xml; charset=utf-8", variables.XML, "", ""},
		{"application/soap+xml; action=x", variables.XML, "", ""},
		{"application/atom+xml", variables.XML, "", ""},
		{"image/svg+xml", variables.XML, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			kind, boundary, err := KindOf(tt.value)
			reason := ""
			if err != nil {
				reason = err.(*Refusal).Reason
			}
			if kind != tt.want || boundary != tt.boundary || reason != tt.err {
				t.Errorf("got %v, %q, %q, want %v, %q, %q", kind, boundary, reason, tt.want, tt.boundary, tt.err)
			}
		})
	}
}

// What is accepted for multipart, package mime reads alike: the same boundary,
// which Coraza takes.
func FuzzMediaType(f *testing.F) {
	for _, s := range []string{
		"multipart/form-data; boundary=abc", `multipart/form-data;boundary="a b";charset=utf-8`, "multipart/form-data; boundary=a=b", `multipart/form-data; boundary="a\"b"`,
		"multipart/form-data; boundary=a; Boundary=b", "multipart/form-data ; boundary = a", "multipart/form-data; boundary*=utf-8''a", "multipart/form-data; boundary=a;", "a/b;;c", "multipart/form-data; x=\"\\",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		kind, boundary, err := KindOf(s)
		if kind != variables.Multipart || err != nil {
			return
		}
		typ, params, merr := mime.ParseMediaType(s)
		if merr != nil || typ != "multipart/form-data" || params["boundary"] != boundary {
			t.Errorf("%q: got %q, package mime %q, %v, %v", s, boundary, typ, params, merr)
		}
		if len(boundary) > 70 || strings.ContainsAny(boundary, "\r\n\"\\") {
			t.Errorf("%q accepted as a boundary", boundary)
		}
	})
}
