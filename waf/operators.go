package waf

import (
	"sync"

	"github.com/corazawaf/coraza/v3/experimental/plugins"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"gatehouse/waf/index"
)

// replaceOperators replaces @rx in Coraza, once for the process, which is how
// Coraza has it. Its own @rx lets ^ and $ match at every line end, which the
// rules of the Core Rule Set do not expect (coraza pull request 876, the
// default of its next major version).
var replaceOperators = sync.OnceFunc(func() { plugins.RegisterOperator("rx", newExpression) })

// expression is @rx. It is compiled when it is first used: most are never, and
// the index, which has compiled all of them, has found what is wrong.
type expression struct {
	compiled func() (index.Expression, error)
}

func newExpression(o plugintypes.OperatorOptions) (plugintypes.Operator, error) {
	lazily := func() (any, error) {
		return expression{sync.OnceValues(func() (index.Expression, error) { return index.NewExpression(o.Arguments) })}, nil
	}
	do := func(_ string, make func() (any, error)) (any, error) { return make() }
	if o.Memoizer != nil {
		do = o.Memoizer.Do
	}
	made, err := do("gatehouse rx "+o.Arguments, lazily)
	if err != nil {
		return nil, err
	}
	return made.(expression), nil
}

// Evaluate implements plugintypes.Operator.
func (e expression) Evaluate(tx plugintypes.TransactionState, text string) bool {
	re, err := e.compiled()
	if err != nil {
		return true // it cannot be; if it could, the rule would have to match
	}
	if !tx.Capturing() {
		return re.Match(text)
	}
	groups := re.Groups(text)
	for i, g := range groups[:min(len(groups), 9)] {
		tx.CaptureField(i, g)
	}
	return groups != nil
}
