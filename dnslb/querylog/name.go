package querylog

// appendName appends a name on the wire in presentation format (RFC 1035
// section 5.1), as the inside of a JSON string: what is ASCII after the first
// escaping needs only its backslashes and quotes escaped again. A name that
// ends early is shown as far as it goes; one without bytes is not shown.
func appendName(dst, name []byte) []byte {
	if len(name) > 0 && name[0] == 0 {
		return append(dst, '.')
	}
	for len(name) > 0 && name[0] != 0 {
		n := min(int(name[0]), len(name)-1)
		for _, c := range name[1 : 1+n] {
			dst = appendLabelByte(dst, c)
		}
		dst = append(dst, '.')
		name = name[1+n:]
	}
	return dst
}

func appendLabelByte(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', '\\', '\\', c)
	case '.', ' ', '\'', '@', ';', '(', ')':
		return append(dst, '\\', '\\', c)
	}
	if c < '!' || c > '~' {
		return append(dst, '\\', '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
	}
	return append(dst, c)
}
