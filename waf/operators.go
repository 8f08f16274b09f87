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

// expression is @rx.
type expression struct{ re index.Expression }

func newExpression(o plugintypes.OperatorOptions) (plugintypes.Operator, error) {
	compile := func() (any, error) { return index.NewExpression(o.Arguments) }
	made, err := compile, error(nil)
	if o.Memoizer != nil {
		var re any
		if re, err = o.Memoizer.Do("gatehouse rx "+o.Arguments, compile); err != nil {
			return nil, err
		}
		return expression{re.(index.Expression)}, nil
	}
	re, err := made()
	if err != nil {
		return nil, err
	}
	return expression{re.(index.Expression)}, nil
}

// Evaluate implements plugintypes.Operator.
func (e expression) Evaluate(tx plugintypes.TransactionState, text string) bool {
	if !tx.Capturing() {
		return e.re.Match(text)
	}
	groups := e.re.Groups(text)
	for i, g := range groups[:min(len(groups), 9)] {
		tx.CaptureField(i, g)
	}
	return groups != nil
}
