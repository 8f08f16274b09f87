// Package transform has the transformations that a rule can ask for before its
// operator looks at a value (t:lowercase, t:urlDecodeUni and so on): pure
// functions of a text, found by name.
//
// They give byte for byte what Coraza 3.8 gives, its oddities included,
// because the index of the managed rules decides with them whether Coraza has
// to be asked at all: a difference would be a hole.
package transform
