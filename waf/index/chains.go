package index

import (
	"fmt"
	"strings"

	"gatehouse/waf/transform"
)

// maxSteps bounds the steps of all transformation chains; rules whose chain
// does not fit are left to Coraza.
const maxSteps = 128

// stepSet is a set of steps.
type stepSet [maxSteps / 64]uint64

func (s *stepSet) add(i int)               { s[i/64] |= 1 << (i % 64) }
func (s *stepSet) has(i int) bool          { return s[i/64]&(1<<(i%64)) != 0 }
func (s stepSet) meets(other stepSet) bool { return s[0]&other[0]|s[1]&other[1] != 0 }

// step is one transformation, applied to the result of another. The chains of
// all rules share their beginnings, so the steps are a tree; step 0 is the
// value itself.
type step struct {
	name   string
	parent int
	apply  transform.Func
	active transform.Class // texts without these bytes stay as they are
}

// steps are the transformation chains of an index.
type steps struct {
	list []step
}

func newSteps() *steps { return &steps{list: []step{{}}} }

// add returns the step at the end of a chain, and the steps on the way there
// (the value itself and the end included).
func (s *steps) add(chain []string) (end int, way stepSet, err error) {
	way.add(0)
	for _, name := range chain {
		end, err = s.child(end, strings.ToLower(name))
		if err != nil {
			return 0, way, err
		}
		way.add(end)
	}
	return end, way, nil
}

func (s *steps) child(parent int, name string) (int, error) {
	for i := 1; i < len(s.list); i++ {
		if s.list[i].parent == parent && s.list[i].name == name {
			return i, nil
		}
	}
	f, ok := transform.ByName(name)
	if !ok {
		return 0, fmt.Errorf("transformation %q is not known", name)
	}
	if len(s.list) == maxSteps {
		return 0, fmt.Errorf("more than %d transformation steps", maxSteps)
	}
	s.list = append(s.list, step{name: name, parent: parent, apply: f, active: transform.Active(name)})
	return len(s.list) - 1, nil
}

// run applies the whole chain that ends at a step.
func (s *steps) run(end int, text string) string {
	if end == 0 {
		return text
	}
	st := &s.list[end]
	return st.apply(s.run(st.parent, text))
}
