package body

import (
	"strconv"

	"github.com/tidwall/gjson"

	"gatehouse/waf/variables"
)

// looseJSON makes out what can be of a text that is not well-formed. It walks
// with the library that Coraza walks with, because what is left of a broken
// text is a matter of taste, and rules should see the same in both. err is
// never empty.
//
// The library measures a container before it enters it, so a deeply nested
// text is read once for each level. work bounds that.
func looseJSON(text string, lim Limits) (pairs []variables.Pair, truncated bool, err string) {
	w := looseWalk{lim: lim, budget: max(flatFloor, flatFactor*len(text)), work: 1<<20 + 16*len(text), err: reasonJSONSyntax}
	w.path = append(w.path, "json"...)
	truncated, _ = w.members(gjson.Parse(text), 1)
	return w.pairs, truncated, w.err
}

type looseWalk struct {
	lim     Limits
	path    []byte
	pairs   []variables.Pair
	lengths int
	budget  int
	work    int
	err     string
}

// members keeps the leaves in v. cut says that there were more than may be
// kept; ok is false when the walk is to end.
func (w *looseWalk) members(v gjson.Result, depth int) (cut, ok bool) {
	if w.work -= len(v.Raw); depth > w.lim.Depth || w.work < 0 {
		w.err = reasonJSONDepth
		return false, false
	}
	above, n := len(w.path), 0
	ok = true
	v.ForEach(func(key, value gjson.Result) bool {
		if len(w.pairs)-w.lengths >= w.lim.Args {
			cut = true
			return false
		}
		w.path = append(w.path[:above], '.')
		if key.Type == gjson.String {
			w.path = append(w.path, key.Str...)
		} else {
			w.path = strconv.AppendInt(w.path, int64(key.Num), 10)
			n++
		}
		if value.Type == gjson.JSON {
			var c bool
			c, ok = w.members(value, depth+1)
			cut = cut || c
			return ok
		}
		ok = w.keep(looseValue(value))
		return ok
	})
	w.path = w.path[:above]
	if n == 0 || cut || !ok {
		return cut, ok
	}
	if w.lengths >= w.lim.Args {
		return true, true
	}
	w.lengths++
	return false, w.keep(strconv.Itoa(n))
}

func (w *looseWalk) keep(value string) bool {
	w.budget -= len(w.path) + len(value)
	if w.budget < 0 {
		w.err = reasonJSONSize
		return false
	}
	w.pairs = append(w.pairs, variables.Pair{Name: string(w.path), Value: value})
	return true
}

func looseValue(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return v.Str
	case gjson.Null:
		return ""
	}
	return v.Raw
}
