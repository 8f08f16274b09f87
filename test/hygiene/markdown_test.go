package hygiene

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is one fenced block of a document. Its info string is the language and what the tests are to do with it:
//
//	yaml                    a whole configuration of appgw, which must be accepted
//	yaml fragment           a part of one: names may be missing, nothing else
//	yaml other              not a configuration of ours (compose): only well-formed
//	yaml file=appgw.yaml    a whole configuration, written to that file for the commands that follow
//	sh test                 a piece of a shell script that must succeed
//	console test            lines "$ command", each followed by the output it must have, in which ... stands for anything
//	sh skip="reason"        commands that a test cannot run, and why not
type block struct {
	doc  string
	line int // of the opening fence
	lang string
	info string // after the language
	text string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.doc, b.line) }

func (b block) shell() bool {
	return slices.Contains([]string{"sh", "bash", "shell", "console"}, b.lang)
}

// file is the name that the block is written to, or "".
func (b block) file() string {
	name, _ := strings.CutPrefix(b.info, "file=")
	if name == b.info {
		return ""
	}
	return name
}

// documents lists the Markdown files of the project.
func documents(t *testing.T) []string {
	t.Helper()
	var docs []string
	for _, name := range files(t) {
		if strings.HasSuffix(name, ".md") && !strings.Contains(name, "testdata/") {
			docs = append(docs, name)
		}
	}
	return docs
}

var fence = regexp.MustCompile("^( *)(`{3,})(\\S*) *(.*?) *$")

// blocks finds the fenced blocks of a document; an unclosed one is an error.
func blocks(doc, text string) (list []block, err error) {
	var open *block
	var indent, ticks string
	for i, line := range strings.Split(text, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case open == nil && m != nil:
			indent, ticks = m[1], m[2]
			open = &block{doc: doc, line: i + 1, lang: m[3], info: m[4]}
		case open != nil && m != nil && m[2] == ticks && m[3] == "":
			list, open = append(list, *open), nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		}
	}
	if open != nil {
		return list, fmt.Errorf("%s: the block is never closed", open)
	}
	return list, nil
}

// allBlocks reads the blocks of all documents.
func allBlocks(t *testing.T) []block {
	t.Helper()
	var all []block
	for _, doc := range documents(t) {
		list, err := blocks(doc, string(read(t, doc)))
		if err != nil {
			t.Error(err)
		}
		all = append(all, list...)
	}
	return all
}

var skipReason = regexp.MustCompile(`^skip="[^"]{5,}"$`)

// infoProblem says what is wrong with the info string of a block, or "": a misspelt mark must not turn a test off.
func infoProblem(b block) string {
	switch {
	case b.lang == "yml":
		return "write yaml"
	case b.lang == "yaml" && b.info != "" && b.info != "fragment" && b.info != "other" && b.file() == "":
		return "after yaml comes nothing, fragment, other or file=NAME"
	case b.shell() && b.info != "test" && !skipReason.MatchString(b.info):
		return "after " + b.lang + ` comes test or skip="the reason"`
	case b.lang == "" && strings.HasPrefix(b.text, "$ "):
		return "commands need a language: console test"
	}
	return ""
}

func TestEveryBlockSaysHowItIsTested(t *testing.T) {
	for _, b := range allBlocks(t) {
		if problem := infoProblem(b); problem != "" {
			t.Errorf("%s: ```%s %s: %s", b, b.lang, b.info, problem)
		}
	}
	if len(read(t, "README.md")) == 0 {
		t.Error("README.md is missing")
	}
}

func TestBlocksAreFound(t *testing.T) {
	text := "a\n```yaml\nx: 1\n```\n- b\n  ```sh test\n  echo\n  ```\n````md\n```\n````\n"
	list, err := blocks("d", text)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d blocks, %v", len(list), err)
	}
	if list[0].text != "x: 1\n" || list[1].text != "echo\n" || list[1].line != 6 || list[1].info != "test" || list[2].text != "```\n" {
		t.Errorf("blocks %+v", list)
	}
	if _, err := blocks("d", "```sh\n"); err == nil {
		t.Error("an unclosed block was not noticed")
	}
	for _, b := range []block{{lang: "yaml", info: "fragmnet"}, {lang: "sh"}, {lang: "console", info: "skip="}, {lang: "yml"}, {text: "$ x"}} {
		if infoProblem(b) == "" {
			t.Errorf("```%s %s is taken", b.lang, b.info)
		}
	}
	for _, b := range []block{{lang: "yaml"}, {lang: "yaml", info: "file=a"}, {lang: "sh", info: "test"}, {lang: "sh", info: `skip="needs an engine"`}, {lang: "text"}} {
		if problem := infoProblem(b); problem != "" {
			t.Errorf("```%s %s: %s", b.lang, b.info, problem)
		}
	}
}
