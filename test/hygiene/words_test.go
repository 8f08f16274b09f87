package hygiene

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// forbidden are traces of the machine the code was written on. They are put together here so that this file has none.
func forbidden() map[string]*regexp.Regexp {
	words := map[string]*regexp.Regexp{}
	for _, w := range []string{"/wo" + "rk/", "/fa" + "rm", ".lib" + "rary", "/tmp/" + "bash_", "/ro" + "ot/", "/home/" + "[a-z]"} {
		words[w] = regexp.MustCompile(strings.ReplaceAll(w, ".", `\.`))
	}
	return words
}

func TestNoTracesOfTheBuildMachine(t *testing.T) {
	words := forbidden()
	for _, name := range files(t) {
		data := read(t, name)
		if bytes.IndexByte(data, 0) >= 0 {
			continue // an image or an object file
		}
		for word, re := range words {
			if at := re.FindIndex(data); at != nil {
				t.Errorf("%s:%d: contains %s", name, 1+bytes.Count(data[:at[0]], []byte("\n")), word)
			}
		}
		if strings.HasPrefix(name, "test/waf/") && strings.HasSuffix(name, ".txt") {
			continue // requests, in which applications use the word
		}
		if line := strayWord(data); line > 0 {
			t.Errorf("%s:%d: the word %s where no TLS, cookie or affinity is meant", name, line, stray)
		}
	}
}

// stray is a word with a good meaning here (TLS tickets, affinity) and a bad one (how the code was written).
const stray = "sess" + "ion"

func strayWord(data []byte) int {
	word := regexp.MustCompile(`(?i)\b` + stray + `s?\b`)
	fine := regexp.MustCompile(`(?i)tls|ticket|cookie|affinity|resum|sticky|java|login|handshake|http/3|h2|bgp`)
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		// The explanation may be on a neighbouring line of the paragraph.
		around := strings.Join(lines[max(0, i-2):min(len(lines), i+3)], "\n")
		if word.MatchString(line) && !fine.MatchString(around) {
			return i + 1
		}
	}
	return 0
}

func TestTracesAreNoticed(t *testing.T) {
	for word, re := range forbidden() {
		if text := "see " + strings.ReplaceAll(word, "[a-z]", "x") + "x"; !re.MatchString(text) {
			t.Errorf("%q is not noticed", text)
		}
	}
	if strayWord([]byte("as said in an earlier "+stray+"\n")) != 1 || strayWord([]byte("a TLS "+stray)) != 0 {
		t.Error("the stray word is not told from the TLS term")
	}
}

func TestTextFilesEndInANewline(t *testing.T) {
	for _, name := range files(t) {
		data := read(t, name)
		if len(data) == 0 || bytes.IndexByte(data, 0) >= 0 || strings.Contains(name, "testdata/") {
			continue
		}
		if data[len(data)-1] != '\n' {
			t.Errorf("%s does not end in a newline", name)
		}
	}
}
