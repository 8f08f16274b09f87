package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing wrong in a configuration, and what to do about it.
type Error struct {
	File string
	// Line and Column count from 1.
	Line, Column int
	// Path is where in the tree, such as listeners[1].address; empty for the
	// file as a whole.
	Path    string
	Message string
}

// Error is file:line: path: message.
func (e Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
	}
	return fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Path, e.Message)
}

// Errors is everything wrong in one configuration, sorted by line.
type Errors []Error

// Error is one line per error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the errors to errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i := range e {
		all[i] = e[i]
	}
	return all
}

// Warning is something that is accepted and probably not meant.
type Warning Error

// String is file:line: path: message.
func (w Warning) String() string { return Error(w).Error() }

// Warnings are sorted by line.
type Warnings []Warning

// maxProblems bounds what one file can make us collect: errors and warnings
// each. Nobody reads more, and a file of 4 MiB could have a million.
const maxProblems = 1000

// report collects what is wrong, and remembers where everything stands so
// that checks made on typed data can still name a line.
type report struct {
	file string
	pos  map[string]Pos
	errs problems
	warn problems
	bad  map[string]bool // paths with an error of their own
	// suggested is how many names suggestions have been looked for among.
	suggested int
}

func newReport(file string) *report {
	return &report{file: file, pos: map[string]Pos{}, bad: map[string]bool{}}
}

type problems struct {
	list    []Error
	dropped bool // there was one more
}

func (p *problems) add(e Error) {
	if len(p.list) >= maxProblems {
		p.dropped = true
		return
	}
	p.list = append(p.list, e)
}

// sorted is the problems by line; those of one line stay in the order found.
func (p *problems) sorted() []Error {
	slices.SortStableFunc(p.list, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	list := p.list
	if p.dropped {
		last := list[len(list)-1]
		last.Path = ""
		last.Message = "and more, which is not shown; begin with these"
		list = append(list, last)
	}
	return list
}

// note remembers where a path stands.
func (r *report) note(path string, at Pos) { r.pos[path] = at }

// has says whether the file contains the path.
func (r *report) has(path string) bool {
	_, ok := r.pos[path]
	return ok
}

// where is the position of a path, or of the nearest enclosing thing that
// was written: a default has no line of its own.
func (r *report) where(path string) Pos {
	for {
		if at, ok := r.pos[path]; ok {
			return at
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return Pos{Line: 1, Column: 1}
		}
		path = path[:cut]
	}
}

// full says that no more errors are kept, so that looking for suggestions is
// in vain.
func (r *report) full() bool { return r.errs.dropped }

func (r *report) problem(path, format string, args []any) Error {
	at := r.where(path)
	return Error{File: r.file, Line: at.Line, Column: at.Column, Path: path, Message: fmt.Sprintf(format, args...)}
}

func (r *report) errorf(path, format string, args ...any) {
	r.bad[path] = true
	r.errs.add(r.problem(path, format, args))
}

// failed says whether a path has an error of its own.
func (r *report) failed(path string) bool { return r.bad[path] }

func (r *report) warnf(path, format string, args ...any) {
	r.warn.add(r.problem(path, format, args))
}

// errors is nil when nothing is wrong.
func (r *report) errors() error {
	if len(r.errs.list) == 0 {
		return nil
	}
	return Errors(r.errs.sorted())
}

func (r *report) warnings() Warnings {
	var out Warnings
	for _, w := range r.warn.sorted() {
		out = append(out, Warning(w))
	}
	return out
}

// quote shows a value of the file in a message: quoted, so that control
// characters do no harm on a terminal, and cut, so that a message stays one.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%q...", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
