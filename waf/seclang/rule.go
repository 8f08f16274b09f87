package seclang

import (
	"errors"
	"fmt"
	"strings"
)

// maxPhase is the last phase. The phases are 1 request headers, 2 request
// body, 3 response headers, 4 response body and 5 logging.
const maxPhase = 5

// Rule is a SecRule, or a SecAction: that has no variables and no operator and
// always matches.
type Rule struct {
	ID        int // positive; 0 for most links of a chain
	Phase     int // 1 to 5; if not given, 2. Links have that of the rule that begins their chain
	Variables []Variable
	Operator  Operator
	Actions   []Action // in order. Of several disruptive ones the last remains, in the place of the first
	Chain     []Rule   // the rules that must match too, in order, themselves without a Chain

	Raw  string // the statement on one line, without those of the chain
	File string
	Line int // where the statement begins, from 1

	// What follows says the same as Actions.

	Msg, LogData    string // with macros
	Severity        string // emergency, alert, critical, error, warning, notice, info, debug; empty: none
	Tags            []string
	Transformations []string // names in lower case, in order; those before t:none are left out
	MultiMatch      bool     // look at the value after each transformation that changes it
	Capture         bool     // the operator sets TX:0 to TX:9
	SetVars         []SetVar
	Ctls            []Ctl
	SkipAfter       string // name of a marker
	Skip            int    // number of rules to pass over; 0: none
	// Disruptive is allow, block, deny, drop, pass, redirect or empty. After
	// Apply it is block only where nothing says what block does: nothing.
	// Links have none.
	Disruptive string
	Allow      string // of allow: "phase", "request", or empty for the whole transaction
	Redirect   string // the address of redirect
	Status     int    // of the answer of deny, drop and redirect; 0: not said
	Log, Audit *bool  // nil: not said, which is no

	chained bool // another rule of the chain follows
	silent  bool // no actions were written: not even those of SecDefaultAction are added
}

// Operator is the condition on the values of a rule's variables.
type Operator struct {
	Name     string // in lower case; rx if the rule has none, empty in a SecAction. Short forms (pmf, ipMatchF) are written out
	Argument string // with macros
	Negate   bool   // matches where the operator does not
}

// parseRule reads the text of a SecRule or SecAction. What it returns is not
// nil; with an error, it is what could be read.
func parseRule(d Directive, raw string) (*Rule, error) {
	r := &Rule{Raw: raw, File: d.File, Line: d.Line, Phase: 2}
	if len(raw) >= maxLine {
		return r, fmt.Errorf("more than %d bytes", maxLine-1)
	}
	if d.Name == "SecAction" {
		return r, r.parseActions(unquoted(d.Text))
	}
	targets, operator, actions, err := splitRule(d.Text)
	if err != nil {
		return r, err
	}
	var wrong [3]error
	if r.silent = actions == ""; !r.silent {
		wrong[0] = r.parseActions(actions)
	}
	r.Variables, wrong[1] = parseVariables(targets)
	r.Operator, wrong[2] = parseOperator(operator)
	return r, errors.Join(wrong[:]...)
}

func (r *Rule) parseActions(text string) (err error) {
	r.Actions, err = splitActions(text)
	return errors.Join(err, r.decode())
}

// splitRule splits the text of a SecRule: VARIABLES "operator" "actions".
func splitRule(text string) (targets, operator, actions string, err error) {
	targets, rest, ok := strings.Cut(strings.Trim(text, " "), " ")
	if !ok {
		return "", "", "", errors.New(`want VARIABLES "operator" "actions"`)
	}
	rest = strings.TrimLeft(rest, " ")
	end := closingQuote(rest)
	if end < 0 {
		return "", "", "", errors.New("the operator must be in double quotes")
	}
	// A quote is the only thing that a backslash protects here; others belong to the argument.
	operator = strings.ReplaceAll(rest[1:end], `\"`, `"`)
	rest = strings.TrimLeft(rest[end+1:], " ")
	if rest == "" {
		return targets, operator, "", nil
	}
	if len(rest) < 2 || rest[0] != '"' || rest[len(rest)-1] != '"' {
		return "", "", "", errors.New("the actions must be in double quotes and be the last")
	}
	return targets, operator, rest[1 : len(rest)-1], nil
}

// parseOperator reads !@name argument, where @name stands for @rx if left out.
func parseOperator(text string) (op Operator, err error) {
	rest, negate := strings.CutPrefix(text, "!")
	name := "@rx"
	if strings.HasPrefix(rest, "@") {
		name, rest, _ = strings.Cut(rest, " ")
	}
	known, ok := operators[strings.TrimPrefix(strings.TrimSpace(name), "@")]
	if !ok {
		return op, fmt.Errorf("operator %.40q is not known; names are written with their capitals", name)
	}
	op = Operator{Name: known.name, Argument: strings.TrimSpace(rest), Negate: negate}
	if known.macros {
		err = checkMacro(op.Argument)
	}
	if err != nil {
		err = fmt.Errorf("operator %s: %w", name, err)
	}
	return op, err
}

// checkLink finds what may not be in a rule of a chain after the first.
func (r *Rule) checkLink(starter *Rule) error {
	if r.Disruptive != "" {
		return fmt.Errorf("in the chain of rule %d: only the first rule of a chain may have the action %s", starter.ID, r.Disruptive)
	}
	return nil
}

// number is " 942100" for errors, or nothing where there is no number.
func (r *Rule) number() string {
	if r.ID == 0 {
		return ""
	}
	return fmt.Sprintf(" %d", r.ID)
}
