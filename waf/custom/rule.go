// Package custom decides custom rules: a gateway's own rules of address,
// country, method, target, fields, cookies and body, as Azure's WAF policies
// have them (matchConditions, in ascending priority).
//
// Compile makes a Set of rules, which is shared and never changes. An
// Evaluation goes through it for one request and hands out the rules that
// match, in order; what a match means is the caller's to do:
//
//	var e custom.Evaluation // kept with the request's other state: it is reused
//	e.Start(set, request, country)
//	for m, ok := e.Next(); ok; m, ok = e.Next() {
//		// Allow and Block end it; Log goes on
//	}
//	if e.NeedsBody() {
//		// read the body into request.Body, then:
//		e.BodyRead()
//		// and Next as before
//	}
//
// A rule is decided as soon as it can be: one that looks at the head alone
// before any byte of the body is read, so that it may allow a body larger
// than the limits, and one that looks at the body only after all rules of
// lower priority numbers.
package custom

// Rule is one custom rule. All its conditions must hold.
type Rule struct {
	Name       string // unique, 1 to 128 bytes
	Priority   int    // unique; the lowest goes first (Azure: 1 to 100)
	Disabled   bool   // compiled, so that its mistakes are reported, but never matched
	RateLimit  bool   // Azure's RateLimitRule: the caller counts the matches and acts over the limit
	Action     Action
	Conditions []Condition // 1 to MaxConditions
}

// Condition holds if any value of its variables satisfies the operator with
// any of Values.
type Condition struct {
	Variables  []Source // at least one; a value of any of them will do
	Operator   Operator
	Negate     bool        // holds if no value satisfies the operator with any of Values, thus also where there is no value
	Values     []string    // what to compare with; none for Any
	Transforms []Transform // applied to the request's value in this order, not to Values; up to MaxTransforms
}

// Source names values of a request.
type Source struct {
	Variable Variable

	// Selector picks the values of one name of RequestHeaders (case does not
	// matter), RequestCookies or PostArgs (case does). If empty: any of them.
	// A PostArgs selector also picks members of JSON by their own name or by
	// the end of their path: "id" and "item.id" both pick {"item":{"id":1}}.
	Selector string
}

// Action is what the caller does with a request that matches.
type Action uint8

const (
	Allow       Action = iota // pass it on; no further rule of any kind is asked
	Block                     // refuse it
	Log                       // note it and go on
	JSChallenge               // let only browsers that solved a challenge pass
)

// String is the action's name in configurations.
func (a Action) String() string { return name(a, "allow", "block", "log", "jsChallenge") }

// name is the spelling of an enum's value.
func name[E ~uint8](e E, names ...string) string {
	if int(e) < len(names) {
		return names[e]
	}
	return "unknown"
}
