package seclang

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Action is one thing that a rule says or does.
type Action struct {
	Name  string // in lower case
	Value string // without the quotes around it; empty if there is none
}

// kind tells actions apart where SecDefaultAction and updates do.
type kind int

const (
	other      kind = iota
	metadata        // says something about the rule
	disruptive      // decides what becomes of the message: one for each rule
)

// actionKind is what is known of an action.
type actionKind struct {
	kind  kind
	plain bool // it has no value; others must have one, unless they are optional
	free  bool // the value is optional
	set   func(*Rule, string) error
}

// actions has the actions by their name. A nil set means that the action says
// nothing that Rule has a field for.
var actions = map[string]actionKind{
	"accuracy":   {kind: metadata, set: oneToNine},
	"allow":      {kind: disruptive, free: true, set: (*Rule).setAllow},
	"auditlog":   {plain: true, set: func(r *Rule, _ string) error { r.Audit = new(true); return nil }},
	"block":      {kind: disruptive, plain: true},
	"capture":    {plain: true, set: func(r *Rule, _ string) error { r.Capture = true; return nil }},
	"chain":      {plain: true, set: func(r *Rule, _ string) error { r.chained = true; return nil }},
	"ctl":        {set: (*Rule).addCtl},
	"deny":       {kind: disruptive, plain: true},
	"drop":       {kind: disruptive, plain: true},
	"exec":       {plain: true},
	"expirevar":  {free: true},
	"id":         {kind: metadata, set: (*Rule).setID},
	"initcol":    {set: func(_ *Rule, value string) error { return hasEquals(value) }},
	"log":        {plain: true, set: func(r *Rule, _ string) error { r.Log, r.Audit = new(true), new(true); return nil }},
	"logdata":    {set: (*Rule).setLogData},
	"maturity":   {kind: metadata, set: oneToNine},
	"msg":        {kind: metadata, set: (*Rule).setMsg},
	"multimatch": {plain: true, set: func(r *Rule, _ string) error { r.MultiMatch = true; return nil }},
	"noauditlog": {plain: true, set: func(r *Rule, _ string) error { r.Audit = new(false); return nil }},
	"nolog":      {plain: true, set: func(r *Rule, _ string) error { r.Log, r.Audit = new(false), new(false); return nil }},
	"pass":       {kind: disruptive, plain: true},
	"phase":      {kind: metadata, set: (*Rule).setPhase},
	"redirect":   {kind: disruptive, set: func(r *Rule, value string) error { r.Redirect = value; return nil }},
	"rev":        {kind: metadata},
	"setenv":     {set: checkSetEnv},
	"setvar":     {set: (*Rule).addSetVar},
	"severity":   {kind: metadata, set: (*Rule).setSeverity},
	"skip":       {set: (*Rule).setSkip},
	"skipafter":  {set: (*Rule).setSkipAfter},
	"status":     {set: (*Rule).setStatus},
	"t":          {set: (*Rule).addTransformation},
	"tag":        {kind: metadata, set: func(r *Rule, value string) error { r.Tags = append(r.Tags, value); return nil }},
	"ver":        {kind: metadata},
}

// splitActions splits a list at its commas, except within single quotes. After
// a backslash, quotes and commas are text; the backslash stays too.
//
// With an error, which joins all, the list has what could be read.
func splitActions(text string) (list []Action, err error) {
	begin, colon, quoted := 0, -1, false
	add := func(end int) {
		a := Action{Name: text[begin:end]}
		if colon >= 0 {
			a = Action{text[begin:colon], text[colon+1 : end]}
		}
		begin, colon = end+1, -1
		var wrong error
		list, wrong = addAction(list, a)
		err = errors.Join(err, wrong)
	}
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case text[i-1] == '\\':
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == ':' && colon < 0:
			colon = i
		case c == ',':
			add(i)
		}
	}
	add(len(text))
	if quoted {
		err = errors.Join(err, errors.New("a single quote in the actions is not closed"))
	}
	return list, err
}

// addAction adds an action, or puts it in the place of a disruptive one
// before it if it is disruptive too.
func addAction(list []Action, a Action) ([]Action, error) {
	a.Name = strings.ToLower(strings.TrimSpace(a.Name))
	a.Value = unquoted(strings.TrimSpace(a.Value))
	known, ok := actions[a.Name]
	switch {
	case !ok:
		return list, fmt.Errorf("action %.40q is not known", a.Name)
	case known.plain && a.Value != "":
		return list, fmt.Errorf("action %s takes no value", a.Name)
	case !known.plain && !known.free && a.Value == "":
		return list, fmt.Errorf("action %s needs a value", a.Name)
	case known.kind == disruptive:
		for i := range list {
			if actions[list[i].Name].kind == disruptive {
				list[i] = a
				return list, nil
			}
		}
	}
	return append(list, a), nil
}

// hasDisruptive reports whether an action of a list is disruptive.
func hasDisruptive(list []Action) bool {
	for _, a := range list {
		if actions[a.Name].kind == disruptive {
			return true
		}
	}
	return false
}

// decode sets the fields of a rule that follow from its actions. The error
// joins all that is wrong.
func (r *Rule) decode() (err error) {
	r.ID, r.Phase = 0, 2
	r.Msg, r.LogData, r.Severity, r.Tags, r.Transformations = "", "", "", nil, nil
	r.MultiMatch, r.Capture, r.chained = false, false, false
	r.SetVars, r.Ctls, r.SkipAfter, r.Skip = nil, nil, "", 0
	r.Disruptive, r.Allow, r.Redirect, r.Status, r.Log, r.Audit = "", "", "", 0, nil, nil
	for _, a := range r.Actions {
		known := actions[a.Name]
		if known.kind == disruptive {
			r.Disruptive = a.Name
		}
		if known.set == nil {
			continue
		}
		if wrong := known.set(r, a.Value); wrong != nil {
			err = errors.Join(err, fmt.Errorf("action %s: %w", a.Name, wrong))
		}
	}
	return err
}

func (r *Rule) setID(value string) (err error) {
	r.ID, err = positive(value)
	return err
}

func (r *Rule) setSkip(value string) (err error) {
	r.Skip, err = positive(value)
	return err
}

func positive(value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%.40q is not a positive number", value)
	}
	return n, nil
}

func (r *Rule) setPhase(value string) (err error) {
	r.Phase, err = parsePhase(value)
	return err
}

func parsePhase(value string) (int, error) {
	switch value {
	case "request":
		return 2, nil
	case "response":
		return 4, nil
	case "logging":
		return 5, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxPhase {
		return 0, fmt.Errorf("phase %.40q: want 1 to %d, request, response or logging", value, maxPhase)
	}
	return n, nil
}

func (r *Rule) setAllow(value string) error {
	if r.Allow = value; value != "" && value != "phase" && value != "request" {
		return fmt.Errorf("%.40q: want nothing, phase or request", value)
	}
	return nil
}

func (r *Rule) setStatus(value string) (err error) {
	if r.Status, err = strconv.Atoi(value); err != nil || r.Status < 100 || r.Status > 599 {
		return fmt.Errorf("%.40q is not a status, 100 to 599", value)
	}
	return nil
}

func (r *Rule) setMsg(value string) error {
	r.Msg = unquoted(value)
	return checkMacro(r.Msg)
}

func (r *Rule) setLogData(value string) error {
	r.LogData = value
	return checkMacro(value)
}

func (r *Rule) setSkipAfter(value string) error {
	if r.SkipAfter = unquoted(value); r.SkipAfter == "" {
		return errors.New("the name of a marker is missing")
	}
	return nil
}

func (r *Rule) addTransformation(value string) error {
	if value == "none" {
		r.Transformations = nil
		return nil
	}
	name := strings.ToLower(value)
	if !transformations[name] {
		return fmt.Errorf("transformation %.40q is not known", value)
	}
	r.Transformations = append(r.Transformations, name)
	return nil
}

func (r *Rule) setSeverity(value string) error {
	names := []string{"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"}
	for i, name := range names {
		if strings.EqualFold(value, name) || value == strconv.Itoa(i) {
			r.Severity = name
			return nil
		}
	}
	return fmt.Errorf("%.40q: want 0 to 7 or one of %s", value, strings.Join(names, ", "))
}

func oneToNine(_ *Rule, value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 1 || n > 9 {
		return fmt.Errorf("%.40q: want 1 to 9", value)
	}
	return nil
}

func hasEquals(value string) error {
	if !strings.Contains(value, "=") {
		return fmt.Errorf("%.40q: want name=value", value)
	}
	return nil
}

func checkSetEnv(_ *Rule, value string) error {
	name, text, _ := strings.Cut(value, "=")
	if name == "" || text == "" {
		return fmt.Errorf("%.40q: want name=value", value)
	}
	return checkMacro(text)
}
