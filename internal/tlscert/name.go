package tlscert

import (
	"crypto/sha1"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
)

// Name is a distinguished name (DER) as text by RFC 2253. Whoever made the
// certificate chose it: bytes that are not printable ASCII are a backslash and
// two hexadecimal digits, so that it can stand in header fields and logs.
func Name(der []byte) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return "#" + hex.EncodeToString(der)
	}
	text := name.String()
	out := make([]byte, 0, len(text))
	for i := range len(text) {
		if b := text[i]; b < ' ' || b >= 0x7f {
			out = append(out, '\\', hexDigits[b>>4], hexDigits[b&15])
			continue
		}
		out = append(out, text[i])
	}
	return string(out)
}

const hexDigits = "0123456789ABCDEF"

// fingerprint is SHA-1, as Azure has it: a name for people, nothing that is
// decided on.
func fingerprint(der []byte) string {
	sum := sha1.Sum(der)
	return hex.EncodeToString(sum[:])
}
