package seclang

import (
	"errors"
	"fmt"
	"strings"
)

// File is the text of a file of directives. Name is used in errors only.
type File struct {
	Name, Text string
}

// Directive is one statement of a file.
type Directive struct {
	Name string   // as in the reference of the language: SecRule, SecMarker, SecRuleEngine
	Text string   // what follows the name, without quotes around the whole
	Args []string // Text in words; quotes keep a word together and are not part of it
	Rule *Rule    // of a SecRule or SecAction, with its chain; nil for other directives
	File string
	Line int // where the statement begins, from 1
}

// Error is what is wrong in one place of a file.
type Error struct {
	File string
	Line int // from 1
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Parse reads the directives of files in order, as if they were one. The
// rules of a chain are one directive.
//
// The error, if any, joins an *Error for everything that is wrong; there are
// no directives then. Include is read but not followed: give the files in the
// order in which they would be included.
func Parse(files ...File) ([]Directive, error) {
	p := parser{}
	for _, f := range files {
		list, errs := statements(f)
		p.errs = append(p.errs, errs...)
		for _, s := range list {
			p.statement(s)
		}
	}
	p.closeChain()
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return p.directives, nil
}

// parser is where Parse is.
type parser struct {
	directives []Directive
	errs       []error
	starter    *Rule              // of the chain that is open; nil if none is
	last       *Rule              // its last link so far, or the starter
	phases     [maxPhase + 1]bool // that have a SecDefaultAction
}

func (p *parser) fail(s statement, err error) {
	p.errs = append(p.errs, &Error{File: s.file, Line: s.line, Err: err})
}

func (p *parser) statement(s statement) {
	name, text, _ := strings.Cut(s.text, " ")
	known, ok := directives[strings.ToLower(name)]
	if !ok {
		p.fail(s, fmt.Errorf("directive %.40q is not known", name))
		return
	}
	text, quoted := wholeUnquoted(text)
	d := Directive{Name: known, Text: text, File: s.file, Line: s.line}
	if strings.Contains(text, "\n") && known != "SecDataset" {
		p.fail(s, fmt.Errorf("%s: only SecDataset goes on over lines in backticks", known))
		return
	}
	if known == "SecRule" || known == "SecAction" {
		p.rule(s, d)
		return
	}
	p.closeChain()
	if d.Args = []string{text}; !quoted {
		d.Args = words(text)
	}
	if err := p.check(d); err != nil {
		p.fail(s, fmt.Errorf("%s: %w", known, err))
	}
	p.directives = append(p.directives, d)
}

// rule reads a SecRule or SecAction and puts it where it belongs: into the
// chain that is open, or after the other directives.
func (p *parser) rule(s statement, d Directive) {
	r, err := parseRule(d, s.text)
	if err == nil && p.starter != nil {
		err = r.checkLink(p.starter)
	} else if err == nil && r.ID == 0 {
		err = errors.New("a rule needs an id")
	}
	if err != nil {
		p.fail(s, fmt.Errorf("%s%s: %w", d.Name, r.number(), err))
	}
	if p.starter != nil {
		r.Phase = p.starter.Phase
		p.starter.Chain = append(p.starter.Chain, *r)
	} else {
		d.Rule = r
		p.directives = append(p.directives, d)
		p.starter = r
	}
	if p.last = r; !r.chained {
		p.starter, p.last = nil, nil
	}
}

// closeChain notes that a chain ends without its last rule.
func (p *parser) closeChain() {
	if p.starter != nil {
		err := fmt.Errorf("SecRule%s: chain says that another rule follows, and none does", p.starter.number())
		p.errs = append(p.errs, &Error{File: p.last.File, Line: p.last.Line, Err: err})
	}
	p.starter, p.last = nil, nil
}

// check finds mistakes in directives that Apply will carry out.
func (p *parser) check(d Directive) error {
	switch d.Name {
	case "SecMarker":
		if d.Text == "" {
			return errors.New("a marker needs a name")
		}
	case "SecDefaultAction":
		_, phase, err := parseDefaults(d.Text)
		if err == nil && p.phases[phase] {
			err = fmt.Errorf("phase %d has one already", phase)
		}
		p.phases[phase] = true
		return err
	}
	if parse, ok := updates[d.Name]; ok {
		_, err := parse(d.Text)
		return err
	}
	return nil
}
