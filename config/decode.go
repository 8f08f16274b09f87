package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// decoder is what all cursors of one file share.
type decoder struct {
	*report
	dir      string                // of the file: what relative paths are relative to
	defaults map[string]*yaml.Node // parsed default texts
	monitor  Monitor               // of the profile whose endpoints are read
}

// cursor is one value of the tree and its path.
type cursor struct {
	d    *decoder
	node *yaml.Node
	path string
	// isDefault: the value is a default of the table, it stands nowhere.
	isDefault bool
}

func (c cursor) errorf(format string, args ...any) { c.d.errorf(c.path, format, args...) }

// entry is a key of a mapping with its value.
type entry struct{ key, value *yaml.Node }

// key goes to a key's value. What is wrong with a mapping or a list is
// reported where its key stands, which may be lines above.
func (c cursor) key(name string, e entry) cursor {
	path := name
	if c.path != "" {
		path = c.path + "." + name
	}
	at := pos(e.value)
	if e.value.Kind != yaml.ScalarNode {
		at = pos(e.key)
	}
	return c.to(path, e.value, at)
}

func (c cursor) item(i int, n *yaml.Node) cursor {
	return c.to(c.path+"["+strconv.Itoa(i)+"]", n, pos(n))
}

func (c cursor) to(path string, n *yaml.Node, at Pos) cursor {
	if !c.isDefault {
		c.d.note(path, at)
	}
	return cursor{d: c.d, node: n, path: path, isDefault: c.isDefault}
}

// value is one kind of YAML value: how it is read, and how the JSON Schema
// describes it.
type value[V any] struct {
	schema schema
	// read reports what is wrong and returns false, or returns the value.
	read func(c cursor) (V, bool)
}

// field is one key of an object.
type field[T any] struct {
	name string
	doc  string // one sentence or two: the schema's description
	def  string // the default as one would write it in YAML; empty: none
	must bool   // the key has no default and must be there

	schema schema
	read   func(c cursor, into *T)
}

// key describes a key whose value lands where at points.
func key[T, V any](name string, at func(*T) *V, v value[V], doc string) field[T] {
	return field[T]{
		name:   name,
		doc:    doc,
		schema: v.schema,
		read: func(c cursor, into *T) {
			if got, ok := v.read(c); ok {
				*at(into) = got
			}
		},
	}
}

// inline describes a key whose mapping fills fields of the object around it.
func inline[T any](name string, o object[T], doc string) field[T] {
	return field[T]{name: name, doc: doc, schema: o.schema(), read: func(c cursor, into *T) { o.read(c, into) }}
}

// or gives the key a default.
func (f field[T]) or(def string) field[T] {
	f.def = def
	return f
}

// required makes a missing key an error.
func (f field[T]) required() field[T] {
	f.must = true
	return f
}

// unavailable reserves a key for a later version.
func unavailable[T any](name, doc string) field[T] {
	return field[T]{
		name:   name,
		doc:    doc + " Not available in this version.",
		schema: schema{"not": schema{}},
		read:   func(c cursor, _ *T) { c.errorf(notAvailable) },
	}
}

const notAvailable = "not available in this version"

// object is a mapping with a fixed set of keys.
type object[T any] struct {
	fields []field[T]
	// at, if not nil, is told where the mapping begins.
	at func(into *T, p Pos)
}

// names are its keys.
func (o object[T]) names() []string {
	names := make([]string, len(o.fields))
	for i, f := range o.fields {
		names[i] = f.name
	}
	return names
}

// value makes the object a value of another object's key.
func (o object[T]) value() value[T] {
	return value[T]{schema: o.schema(), read: func(c cursor) (T, bool) {
		var t T
		ok := o.read(c, &t)
		return t, ok
	}}
}

// inheriting is the object without defaults: what is not written stays as it
// was. Objects within it need the same.
func (o object[T]) inheriting() object[T] {
	o.fields = slices.Clone(o.fields)
	for i := range o.fields {
		o.fields[i].def = ""
	}
	return o
}

// read reads the keys there are, in the order of the table, then the
// defaults of those that are not. It returns false only if c is no mapping.
func (o object[T]) read(c cursor, into *T) bool {
	entries, ok := c.mapping()
	if !ok {
		return false
	}
	if o.at != nil && !c.isDefault {
		o.at(into, pos(c.node))
	}
	typos := o.refuseUnknown(c, entries)
	for _, f := range o.fields {
		e, ok := entries[f.name]
		if !ok {
			e, ok = typos[f.name]
		}
		switch {
		case ok:
			f.read(c.key(f.name, e), into)
		case f.must:
			c.withDefault(f.name, "~").errorf("is missing; add it")
		case f.def != "":
			f.read(c.withDefault(f.name, f.def), into)
		}
	}
	return true
}

// refuseUnknown reports the keys that the table does not have. Those that are
// one of its keys but for a typing error are returned by that key, unless it
// is there as well: what stands beneath is checked all the same, and what
// refers to it draws no second error.
func (o object[T]) refuseUnknown(c cursor, there map[string]entry) (typos map[string]entry) {
	names := o.names()
	for i := 0; i+1 < len(c.node.Content) && !c.d.full(); i += 2 {
		k := c.node.Content[i]
		if k.Kind != yaml.ScalarNode || slices.Contains(names, k.Value) {
			continue
		}
		c.key(printable(k.Value), entry{k, k}).errorf("unknown key; %s", didYouMean(k.Value, names))
		meant, ok := nearest(k.Value, names)
		_, present := there[meant]
		_, taken := typos[meant]
		if !ok || present || taken {
			continue
		}
		if typos == nil {
			typos = map[string]entry{}
		}
		typos[meant] = entry{k, c.node.Content[i+1]}
	}
	return typos
}

// mapping checks that the value is a mapping whose keys are plain and
// unique, and returns its values by key.
func (c cursor) mapping() (map[string]entry, bool) {
	if c.node.Kind != yaml.MappingNode {
		c.errorf("must be a mapping (key: value), not %s%s", describe(c.node), noBlank(c.node))
		return nil, false
	}
	entries := make(map[string]entry, len(c.node.Content)/2)
	for i := 0; i+1 < len(c.node.Content); i += 2 {
		k, v := c.node.Content[i], c.node.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			c.reportAt(k, "a key must be plain text, not %s", describe(k))
			continue
		}
		if first, ok := entries[k.Value]; ok {
			c.reportAt(k, "key %s is already on line %d; remove one", quote(k.Value), pos(first.key).Line)
			continue
		}
		entries[k.Value] = entry{k, v}
	}
	return entries, true
}

// reportAt reports an error of c at the position of a node within it.
func (c cursor) reportAt(n *yaml.Node, format string, args ...any) {
	at := pos(n)
	c.d.bad[c.path] = true
	c.d.errs.add(Error{File: c.d.file, Line: at.Line, Column: at.Column, Path: c.path, Message: fmt.Sprintf(format, args...)})
}

// withDefault goes to the default of a key that is not there.
func (c cursor) withDefault(name, def string) cursor {
	sub := cursor{d: c.d, path: name, isDefault: true, node: c.d.defaultNode(def)}
	if c.path != "" {
		sub.path = c.path + "." + name
	}
	return sub
}

// defaultNode parses a default text of the table. A test reads every one.
func (d *decoder) defaultNode(def string) *yaml.Node {
	if n, ok := d.defaults[def]; ok {
		return n
	}
	doc, err := loadOne([]byte(def))
	if err != nil || doc == nil {
		panic("config: default " + strconv.Quote(def) + " is not YAML")
	}
	if d.defaults == nil {
		d.defaults = map[string]*yaml.Node{}
	}
	d.defaults[def] = doc.Content[0]
	return doc.Content[0]
}

// maxEntries bounds one list: a short entry of the file becomes a hundred
// times as much memory.
const maxEntries = 100_000

// listOf is a sequence of values; what is wrong with one does not hide the
// others.
func listOf[V any](v value[V], least int) value[[]V] {
	s := schema{"type": "array", "items": v.schema}
	if least > 0 {
		s["minItems"] = least
	}
	return value[[]V]{schema: s, read: func(c cursor) ([]V, bool) {
		if c.node.Kind != yaml.SequenceNode {
			c.errorf("must be a list ([a, b]), not %s%s", describe(c.node), dashes(c.node))
			return nil, false
		}
		if len(c.node.Content) < least {
			c.errorf("must have at least %d entry", least)
			return nil, false
		}
		if len(c.node.Content) > maxEntries {
			c.errorf("must have at most %d entries, not %d", maxEntries, len(c.node.Content))
			return nil, false
		}
		list := make([]V, 0, len(c.node.Content))
		for i, n := range c.node.Content {
			if c.d.full() {
				break // nobody will read what else is wrong
			}
			got, _ := v.read(c.item(i, n))
			list = append(list, got) // also what failed: indexes must agree with the file
		}
		return list, true
	}}
}

// dashes is what to do about a mapping where a list belongs.
func dashes(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode {
		return "; put - before each of its entries"
	}
	return ""
}

// noBlank is what to do about name:web, which is text and no mapping.
func noBlank(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && keyLike(n.Value) {
		return "; a blank is missing after a colon"
	}
	return ""
}

// keyLike says that text begins with a word and a colon.
func keyLike(s string) bool {
	word, _, ok := strings.Cut(s, ":")
	return ok && word != "" && strings.IndexFunc(word, func(r rune) bool { return !isAlnum(r) }) < 0
}

// describe names the kind of a node for people.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.Tag == "!!null" {
		return "nothing; remove the key or give it a value"
	}
	return quote(n.Value)
}

// printable makes a key of the file fit for a path.
func printable(key string) string {
	q := quote(key)
	if q == `"`+key+`"` && key != "" && !strings.ContainsAny(key, ".[] ") {
		return key
	}
	return q
}
