package waf

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gatehouse/config"
	"gatehouse/waf/seclang"
	"gatehouse/waf/variables"
)

// weigher is the second opinion of the profile balanced: it looks at what the
// rules matched in its context, and lets a match count only where it can be
// an attack. Without it every text about code is one. It never adds to a
// score, and it overrules only the rule that blocks for the score.
//
// It is safe for concurrent use.
type weigher struct {
	points      map[int]int // what a match adds to the score, by rule
	threshold   int
	anyType     bool // the policy has no list of media types
	anyOverride bool // the policy has no list of forbidden fields
}

// scoreSet is how a rule adds to the score of requests.
var scoreSet = regexp.MustCompile(`tx\.inbound_anomaly_score_pl([1-4])=\+%\{tx\.(critical|error|warning|notice)_anomaly_score\}`)

// newWeigher makes the weigher of rules; nil where the profile has none.
func newWeigher(s *config.RuleSet, rules map[int]*seclang.Rule) *weigher {
	if s.Profile != config.ProfileBalanced {
		return nil
	}
	w := &weigher{points: map[int]int{}, threshold: s.InboundThreshold, anyType: len(s.AllowedContentTypes) == 0, anyOverride: len(s.RestrictedHeaders) == 0}
	for i := range attackForms {
		attackForms[i].form()
	}
	for id, r := range rules {
		text := r.Raw
		for i := range r.Chain {
			text += r.Chain[i].Raw
		}
		m := scoreSet.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		if level, _ := strconv.Atoi(m[1]); level <= s.Paranoia {
			w.points[id] = scoreOf(m[2])
		}
	}
	return w
}

// The rules that block when a score is too high: that of a whole request, and
// with early blocking that of the first phase.
const (
	blocksForScore = 949110
	blocksEarly    = 949111
)

// weigh recomputes the score of a judgement, and takes back a block that only
// the score had asked for.
func (w *weigher) weigh(jm *Judgement, r *variables.Request) {
	jm.Unweighed = jm.Score
	v := view{req: r, weigher: w, work: maxWork, bytes: maxBytes}
	v.countSQL(jm)
	less, left := 0, 0
	for i := range jm.Matches {
		m := &jm.Matches[i]
		points := w.points[m.RuleID]
		if points == 0 {
			continue
		}
		if reason := v.doubt(m); reason != "" {
			m.Doubt = reason
			less += points * v.times(m)
			continue
		}
		left += points
	}
	if less == 0 {
		return
	}
	jm.Score = min(jm.Score, max(left, jm.Score-less))
	if jm.Blocked && jm.RuleID == blocksForScore && jm.Score < w.threshold {
		jm.Blocked, jm.Drop, jm.RuleID, jm.Status = false, false, 0, 0
		jm.Matches = slices.DeleteFunc(jm.Matches, func(m Match) bool { return m.RuleID == blocksForScore })
	}
}

// times is how often a match has added to the score: once for every value
// that it found.
func (v *view) times(m *Match) int { return max(1, len(m.Values)) }

// doubt says why a match does not count, for the log; empty where it does.
func (v *view) doubt(m *Match) string {
	if reason, known := v.protocolDoubt(m); known {
		return reason
	}
	if m.RuleID/1000 < 921 {
		return ""
	}
	reason := ""
	asked := map[string]bool{}
	for i := range m.Values {
		name := m.Values[i].Variable
		if asked[name] {
			continue // all values of the name were looked at
		}
		asked[name] = true
		list := v.subjects(&m.Values[i])
		if v.work -= len(list); len(list) > maxSubjects || v.work < 0 {
			return "" // too much to doubt
		}
		for _, s := range list {
			if v.bytes -= len(s.text); v.bytes < 0 {
				return ""
			}
			if reason = v.doubtOf(m, s, v.sql[name]); reason == "" {
				return ""
			}
		}
	}
	return reason
}

// What a second opinion may cost: a request with more in it has none, and
// what was found counts.
const (
	maxSubjects = 64        // values of one name
	maxWork     = 1000      // values looked at, of all rules together
	maxBytes    = 256 << 10 // bytes looked at, of all rules together
)

// subjects are the values of the request that a rule's variable names: all of
// that name, since which of them it was is not told. They are not to be changed.
func (v *view) subjects(value *Value) []subject {
	collection, key, _ := strings.Cut(value.Variable, ":")
	switch collection {
	case "ARGS", "ARGS_GET", "ARGS_POST":
		return v.arguments(key)
	case "REQUEST_COOKIES":
		return v.cookiesOf(key)
	case "REQUEST_HEADERS":
		return v.fieldsOf(key)
	case "XML", "REQUEST_XML":
		return []subject{{inBody, "xml", value.Text}} // a value, not the whole body
	case "REQUEST_BODY":
		if v.req.Body.Processor == variables.None {
			return []subject{{inBody, "", v.req.Body.Raw}}
		}
	case "REQUEST_URI_RAW", "REQUEST_URI", "QUERY_STRING", "REQUEST_FILENAME", "REQUEST_BASENAME":
		return []subject{{inTarget, collection, v.req.Target}}
	case "ARGS_NAMES", "ARGS_GET_NAMES", "ARGS_POST_NAMES", "REQUEST_COOKIES_NAMES", "REQUEST_HEADERS_NAMES", "FILES", "FILES_NAMES":
		return []subject{{inName, collection, value.Text}}
	}
	return nil
}
