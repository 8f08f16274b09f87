package transform

// What a byte is to cmdLine. Only those from blank on can change a text.
const (
	cmdIsPlain   = iota
	cmdIsOpener  // a slash or an open parenthesis: no space stands before it
	cmdIsBlank   // a run of these is one space
	cmdIsCapital // made small
	cmdIsDropped // removed
)

const (
	cmdDropped = `"'\^`
	cmdBlank   = " ,;\t\r\n"
)

var cmdKind = func() (t [256]byte) {
	for c := 'A'; c <= 'Z'; c++ {
		t[c] = cmdIsCapital
	}
	for i := range len(cmdDropped) {
		t[cmdDropped[i]] = cmdIsDropped
	}
	for i := range len(cmdBlank) {
		t[cmdBlank[i]] = cmdIsBlank
	}
	t['/'], t['('] = cmdIsOpener, cmdIsOpener
	return t
}()

// cmdLine undoes what hides a command from a shell's point of view: quotes,
// backslashes and carets go, commas, semicolons and white space become one
// space and none before a slash or an open parenthesis, letters of ASCII become
// small.
func cmdLine(text string) string {
	space := false
	for i := range len(text) {
		kind := cmdKind[text[i]]
		if kind >= cmdIsCapital || kind != cmdIsPlain && space || kind == cmdIsBlank && text[i] != ' ' {
			return cmdLineFrom(text, i, space)
		}
		space = kind == cmdIsBlank
	}
	return text
}

// cmdLineFrom goes on from the first change. space: the byte before is a space.
func cmdLineFrom(text string, from int, space bool) string {
	out := make([]byte, from, len(text))
	copy(out, text)
	for i := from; i < len(text); i++ {
		c := text[i]
		switch cmdKind[c] {
		case cmdIsDropped:
			continue // a space before it is still the last byte
		case cmdIsBlank:
			if !space {
				out = append(out, ' ')
			}
			space = true
			continue
		case cmdIsOpener:
			if space {
				out = out[:len(out)-1]
			}
		case cmdIsCapital:
			c = lowerByte(c)
		}
		space = false
		out = append(out, c)
	}
	return asString(out)
}
