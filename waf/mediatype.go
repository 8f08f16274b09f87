package waf

import (
	"strings"

	"gatehouse/waf/body"
	"gatehouse/waf/transform"
	"gatehouse/waf/variables"
)

// streams reports whether a body must not be held: it is sent as it comes,
// and both sides talk at once.
func streams(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/grpc") || mediaType == "application/x-git-upload-pack-request"
}

// isBinary reports whether a media type is of data that are no text, so that
// rules have nothing to look at. Of what is not known it says no.
func isBinary(mediaType string) bool {
	top, sub, _ := strings.Cut(mediaType, "/")
	switch top {
	case "image":
		return sub != "svg+xml"
	case "audio", "video", "font", "model":
		return true
	case "application":
		return binarySubtypes[sub] || strings.HasSuffix(sub, "+zip") || strings.HasSuffix(sub, "+gzip") || strings.HasSuffix(sub, "+proto") ||
			strings.HasSuffix(sub, "+cbor") || strings.HasSuffix(sub, "+octet-stream") || strings.HasPrefix(sub, "vnd.openxmlformats") || strings.HasPrefix(sub, "vnd.ms-")
	}
	return false
}

// binarySubtypes are those of application that are no text.
var binarySubtypes = func() map[string]bool {
	set := map[string]bool{}
	for sub := range strings.FieldsSeq("octet-stream zip gzip x-gzip x-tar x-bzip2 x-xz x-7z-compressed zstd pdf protobuf x-protobuf vnd.google.protobuf " +
		"msgpack x-msgpack vnd.msgpack cbor wasm java-archive vnd.android.package-archive x-git-receive-pack-request dns-message ocsp-request " +
		"timestamp-query pkcs7-mime pkcs10 pkix-cert x-sqlite3 vnd.sqlite3 x-minidump vnd.apache.arrow.stream vnd.apache.parquet avro x-thrift epub+zip " +
		"x-rar-compressed vnd.rar x-executable x-shockwave-flash msword x-debian-package x-rpm") {
		set[sub] = true
	}
	return set
}()

// control are the bytes that texts do not have.
var control = func() (c transform.Class) {
	for b := range 0x20 {
		if b != '\t' && b != '\n' && b != '\r' && b != '\f' {
			c.Add(byte(b))
		}
	}
	return c
}()

// readLoosely takes a body apart whose type says nothing of its form: JSON, if
// it is JSON (browsers send it as text/plain), else one text. What is no text
// at all is left alone.
//
// The Core Rule Set takes such a body for a form, and judges what is between
// its ampersands, which is neither what is sent nor what is read.
func readLoosely(contentType, text string, lim body.Limits) (b variables.Body, truncated bool) {
	start := strings.TrimLeft(text, " \t\r\n")
	if start != "" && (start[0] == '{' || start[0] == '[') {
		lim.Strict = false
		for _, kind := range []string{contentType, "application/x-ndjson"} { // one value, or one in each line
			if b, truncated, _ = body.Parse(variables.JSON, kind, text, lim); b.Error == "" {
				return b, truncated
			}
		}
	}
	b = variables.Body{Raw: text, Length: len(text)}
	if !transform.ClassOf(text[:min(len(text), 4096)]).Intersects(control) {
		b.ArgsPost = []variables.Pair{{Name: "", Value: text}}
	}
	return b, false
}

// mediaTypeOf is a Content-Type without its parameters, in lower case.
func mediaTypeOf(contentType string) string {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}
