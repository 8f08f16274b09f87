package config

import (
	"errors"
	"io"
	"strings"

	yaml "go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// maxDepth bounds nesting; the deepest key is eight levels down.
const maxDepth = 32

// parseTree parses one YAML document into a tree without aliases, so that a
// walk over it is bounded by the file's length. On error it reports and
// returns nil; to who has an empty file, hint says what to write.
func parseTree(r *report, data []byte, hint string) *yaml.Node {
	if len(data) > MaxFileSize {
		r.errorf("", "the file is larger than %d MiB", MaxFileSize>>20)
		return nil
	}
	doc, err := loadOne(data)
	if err != nil {
		r.note("", syntaxPos(err, data))
		r.errorf("", "not valid YAML: %s", syntaxMessage(err, data))
		return nil
	}
	if doc == nil || len(doc.Content) == 0 {
		r.errorf("", "the file is empty; %s", hint)
		return nil
	}
	root := doc.Content[0]
	r.note("", pos(root))
	before := len(r.errs.list)
	refuseIndirection(r, root)
	if len(r.errs.list) > before {
		return nil
	}
	return root
}

// extraDocument is the error of a file that has a second document.
type extraDocument struct{ at Pos }

func (extraDocument) Error() string {
	return "more than one document; write one configuration per file, without a second ---"
}

// loadOne loads the only document; nil if there is none.
func loadOne(data []byte) (*yaml.Node, error) {
	limits := yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth)))
	l, err := yaml.NewLoader(strings.NewReader(string(data)), limits)
	if err != nil {
		return nil, err
	}
	doc := &yaml.Node{}
	if err := l.Load(doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	second := &yaml.Node{}
	switch err := l.Load(second); {
	case errors.Is(err, io.EOF):
		return doc, nil
	case err != nil:
		return nil, err
	}
	return nil, extraDocument{pos(second)}
}

// refuseIndirection reports anchors, aliases, merge keys and tags of one's
// own. They save a line or two, cost every reader a search, and expand
// without bound.
func refuseIndirection(r *report, n *yaml.Node) {
	var what string
	switch {
	case n.Kind == yaml.AliasNode:
		what = "aliases (*name) are not supported; write the value out"
	case n.Anchor != "":
		what = "anchors (&name) are not supported; write the value out where it is used"
	case n.Tag == "!!merge":
		what = "merge keys (<<) are not supported; write the keys out"
	case n.Style&yaml.TaggedStyle != 0:
		what = "tags (!name) are not supported; remove it"
	}
	if what != "" {
		at := pos(n)
		r.errs.add(Error{File: r.file, Line: at.Line, Column: at.Column, Message: what})
	}
	for _, c := range n.Content {
		refuseIndirection(r, c)
	}
}

func pos(n *yaml.Node) Pos { return Pos{Line: max(n.Line, 1), Column: max(n.Column, 1)} }
