package seclang

import (
	"fmt"
	"regexp"
	"strings"
)

// Ctl changes a setting for the rest of one transaction: ctl:name=value.
type Ctl struct {
	Name  string // as in the reference of the language: ruleRemoveTargetById
	Value string
	// Of ruleRemoveTargetById, ByTag and ByMsg: what rules no longer look at.
	// Key is in lower case, Regex as written; both are for names in lower case.
	Target Variable
}

// ctlKind is what kind of value a ctl has.
type ctlKind int

const (
	ctlText ctlKind = iota
	ctlRange
	ctlSwitch
	ctlNumber
	ctlTarget      // a text, then a variable
	ctlRangeTarget // a range, then a variable
)

var ctls = map[string]ctlKind{
	"auditEngine": ctlText, "auditLogParts": ctlText, "debugLogLevel": ctlNumber,
	"forceRequestBodyVariable": ctlSwitch, "forceResponseBodyVariable": ctlSwitch,
	"hashEnforcement": ctlText, "hashEngine": ctlText,
	"requestBodyAccess": ctlSwitch, "requestBodyLimit": ctlNumber, "requestBodyProcessor": ctlText,
	"responseBodyAccess": ctlSwitch, "responseBodyLimit": ctlNumber, "responseBodyProcessor": ctlText,
	"ruleEngine": ctlText, "ruleRemoveById": ctlRange, "ruleRemoveByMsg": ctlText, "ruleRemoveByTag": ctlText,
	"ruleRemoveTargetById": ctlRangeTarget, "ruleRemoveTargetByMsg": ctlTarget, "ruleRemoveTargetByTag": ctlTarget,
}

func (r *Rule) addCtl(text string) error {
	name, value, ok := strings.Cut(text, "=")
	kind, known := ctls[name]
	if !ok || !known {
		return fmt.Errorf("%.60q is not known; names are written with their capitals", text)
	}
	c := Ctl{Name: name}
	var target string
	c.Value, target, ok = strings.Cut(value, ";")
	if wants := kind == ctlTarget || kind == ctlRangeTarget; wants != ok {
		return fmt.Errorf("%s: a variable follows a semicolon only, and always, in ruleRemoveTarget", name)
	}
	if err := checkCtl(kind, c.Value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if ok {
		var err error
		if c.Target, err = ctlVariable(target); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	r.Ctls = append(r.Ctls, c)
	return nil
}

func checkCtl(kind ctlKind, value string) (err error) {
	switch kind {
	case ctlRange, ctlRangeTarget:
		_, err = parseRange(value)
	case ctlNumber:
		_, err = number(value)
	case ctlSwitch:
		if !strings.EqualFold(value, "on") && !strings.EqualFold(value, "off") {
			err = fmt.Errorf("%.40q: want On or Off", value)
		}
	case ctlText, ctlTarget:
	}
	return err
}

// ctlVariable reads VARIABLE, VARIABLE:key or VARIABLE:/expression/.
func ctlVariable(text string) (v Variable, err error) {
	name, key, _ := strings.Cut(text, ":")
	v.Name, key = strings.ToUpper(strings.TrimSpace(name)), strings.TrimSpace(key)
	if _, ok := variableNames[v.Name]; !ok {
		return v, fmt.Errorf("variable %.40q is not known", name)
	}
	expression, ok := betweenSlashes(key)
	if !ok {
		v.Key = strings.ToLower(key)
		return v, nil
	}
	if expression == "" {
		return v, fmt.Errorf("the expression of %s is empty", v.Name)
	}
	v.Regex, err = regexp.Compile(expression)
	return v, err
}
