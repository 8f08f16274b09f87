package waf

import (
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/corazawaf/coraza/v3/types"

	"gatehouse/config"
	"gatehouse/waf/index"
	"gatehouse/waf/seclang"
	"gatehouse/waf/variables"
)

// judge is the compiled managed rules of a policy. It is safe for concurrent
// use.
type judge struct {
	engine    *engine
	requests  *index.Index
	responses *index.Index // nil where responses are not inspected
	rules     map[int]*seclang.Rule
	text      string       // what it was compiled from
	users     atomic.Int32 // policies that use it; the last one closes it
	weigher   *weigher     // the second opinion on requests; nil: none
}

// newJudge compiles the managed rules of a policy.
func newJudge(c *config.WAFPolicy) (*judge, error) {
	rs, err := newRuleset(c)
	if err != nil {
		return nil, err
	}
	return compileRules(rs)
}

func compileRules(rs *ruleset) (*judge, error) {
	data, err := crsData()
	if err != nil {
		return nil, err
	}
	items, err := rs.parse()
	if err != nil {
		return nil, err
	}
	o := index.Options{File: func(name string) ([]byte, error) { return fs.ReadFile(data, name) }}
	j := &judge{rules: map[int]*seclang.Rule{}, text: rs.text}
	if j.requests, err = index.Compile(items, o); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	if rs.responses {
		o.Response = true
		if j.responses, err = index.Compile(items, o); err != nil {
			return nil, fmt.Errorf("index of response rules: %w", err)
		}
	}
	for _, it := range items {
		if it.Rule != nil {
			j.rules[it.Rule.ID] = it.Rule
		}
	}
	j.weigher = newWeigher(rs.settings, j.rules)
	if j.engine, err = newEngine(rs.text, data); err != nil {
		return nil, err
	}
	j.users.Store(1)
	return j, nil
}

// share makes the judge another policy's too, if its rules are the same.
func (j *judge) share(text string) bool {
	if j.text != text {
		return false
	}
	for {
		n := j.users.Load()
		if n == 0 {
			return false // closed
		}
		if j.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives up a policy's use of the judge.
func (j *judge) release() error {
	if j.users.Add(-1) > 0 {
		return nil
	}
	return j.engine.close()
}

// Judgement is what the managed rules say of a message.
type Judgement struct {
	Matches   []Match // rules that matched and are logged, in order
	Score     int     // the anomaly score
	Unweighed int     // the anomaly score before the second opinion, where there is one
	Blocked   bool    // or, in detection, would be
	Drop      bool    // without an answer
	RuleID    int     // the rule that blocks
	Status    int     // of the answer; 0: the policy's
	Asked     bool    // the rule engine was asked: the index could not tell alone
}

// Match is one rule that matched.
type Match struct {
	RuleID   int
	Group    string
	Message  string
	Data     string // what was found, as the rule puts it
	Severity string
	Tags     []string
	Values   []Value // what it matched, link by link
	Doubt    string  // why it adds nothing to the score; empty where it does
	Evidence string  // why it does although it is in a text or a document
}

// Value is something that a rule matched.
type Value struct {
	Variable string // ARGS_GET:q
	Text     string // transformed, as the rule saw it
}

// request judges a request, by all rules but those that are to be skipped.
// Without the index, the rule engine is always asked. A block for the score of
// the first phase is weighed on that phase's matches; when it is taken back,
// the whole request is judged without it.
func (j *judge) request(id string, r *variables.Request, skip []ruleRange, e *index.Evaluation, useIndex bool) (jm Judgement, err error) {
	defer contain(&err)
	if useIndex && clean(j.requests, r, nil, skip, e) {
		return Judgement{}, nil
	}
	jm, err = j.ask(id, r, skip, e, useIndex)
	if err != nil || j.weigher == nil {
		return jm, err
	}
	if jm.Blocked && jm.RuleID == blocksEarly && !j.blocksEarly(&jm, r) {
		// The engine stopped there, or in detection took no note of what blocks
		// behind it.
		skip = append(skip[:len(skip):len(skip)], ruleRange{blocksEarly, blocksEarly})
		if jm, err = j.ask(id, r, skip, e, useIndex); err != nil {
			return jm, err
		}
	}
	j.weigher.weigh(&jm, r)
	return jm, nil
}

// blocksEarly reports whether a block for the score of the first phase stands
// once that phase's matches are weighed, by themselves.
func (j *judge) blocksEarly(jm *Judgement, r *variables.Request) bool {
	first := Judgement{Blocked: true, RuleID: blocksForScore}
	for i := range jm.Matches {
		m := &jm.Matches[i]
		if rule := j.rules[m.RuleID]; rule != nil && rule.Phase == 1 {
			first.Matches = append(first.Matches, *m)
			first.Score += j.weigher.points[m.RuleID] * max(1, len(m.Values))
		}
	}
	first.Score = min(first.Score, jm.Score)
	j.weigher.weigh(&first, r)
	return first.Blocked
}

// ask has the rule engine judge a request.
func (j *judge) ask(id string, r *variables.Request, skip []ruleRange, e *index.Evaluation, useIndex bool) (Judgement, error) {
	tx, err := j.begin(id, r, skip, e, useIndex)
	if err != nil {
		return Judgement{}, err
	}
	defer tx.Close()
	if err := j.engine.request(tx); err != nil {
		return Judgement{}, err
	}
	return j.judgement(tx, "blocking_inbound_anomaly_score"), nil
}

// response judges a response. The rules about requests are not asked again,
// only what they prepare for those about responses.
func (j *judge) response(id string, r *variables.Request, p *variables.Response, skip []ruleRange, e *index.Evaluation, useIndex bool) (jm Judgement, err error) {
	defer contain(&err)
	if useIndex && clean(j.responses, r, p, skip, e) {
		return Judgement{}, nil
	}
	tx, err := j.begin(id, r, skip, e, useIndex)
	if err != nil {
		return Judgement{}, err
	}
	defer tx.Close()
	for _, id := range j.requests.Rules() {
		tx.RemoveRuleByID(id)
	}
	if err := j.engine.request(tx); err != nil {
		return Judgement{}, err
	}
	if err := j.engine.response(tx, p); err != nil {
		return Judgement{}, err
	}
	return j.judgement(tx, "blocking_outbound_anomaly_score"), nil
}

// clean asks an index whether no rule can match but those that are skipped.
func clean(ix *index.Index, r *variables.Request, p *variables.Response, skip []ruleRange, e *index.Evaluation) bool {
	e.Run(ix, r, p)
	for _, s := range skip {
		e.Leave(s.from, s.to)
	}
	return e.Clean()
}

// begin begins a transaction of the rule engine without the rules that are
// skipped and, after clean, those that cannot match.
func (j *judge) begin(id string, r *variables.Request, skip []ruleRange, e *index.Evaluation, useIndex bool) (transaction, error) {
	tx, err := j.engine.begin(id, r)
	if err != nil {
		return tx, err
	}
	for _, s := range skip {
		tx.RemoveRuleByIDRange(s.from, s.to)
	}
	if useIndex {
		for id := range e.Skippable {
			tx.RemoveRuleByID(id)
		}
	}
	return tx, nil
}

// contain makes an error of a bug that a message ran into.
func contain(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("bug: %v\n%s", r, debug.Stack())
	}
}

// judgement reads what a transaction came to.
func (j *judge) judgement(tx transaction, score string) Judgement {
	jm := Judgement{Asked: true}
	for _, m := range tx.MatchedRules() {
		if r := j.rules[m.Rule().ID()]; r != nil && r.Log != nil && *r.Log {
			jm.Matches = append(jm.Matches, matchOf(m))
		}
	}
	if list := tx.Variables().TX().Get(score); len(list) > 0 {
		jm.Score, _ = strconv.Atoi(list[0])
	}
	it := tx.Interruption()
	if it == nil {
		it = tx.DetectionOnlyInterruption()
	}
	if it != nil && it.Action != "allow" {
		jm.Blocked, jm.Drop, jm.RuleID, jm.Status = true, it.Action == "drop", it.RuleID, it.Status
	}
	return jm
}

func matchOf(m types.MatchedRule) Match {
	id := m.Rule().ID()
	out := Match{RuleID: id, Group: groupOf(id), Message: m.Message(), Data: m.Data(), Severity: m.Rule().Severity().String(), Tags: m.Rule().Tags()}
	for _, d := range m.MatchedDatas() {
		name := d.Variable().Name()
		if d.Key() != "" {
			name += ":" + d.Key()
		}
		out.Values = append(out.Values, Value{Variable: name, Text: d.Value()})
	}
	return out
}

// equals reports whether two judgements are the same: the same rules, score
// and verdict.
func (j *Judgement) equals(k *Judgement) bool {
	return j.Score == k.Score && j.Blocked == k.Blocked && j.RuleID == k.RuleID && slices.Equal(j.ids(), k.ids())
}

// ids are the rules that matched, each once.
func (j *Judgement) ids() (ids []int) {
	for i := range j.Matches {
		ids = append(ids, j.Matches[i].RuleID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// String is a judgement for people.
func (j *Judgement) String() string {
	return fmt.Sprint("rules ", j.ids(), ", score ", j.Score, ", blocked ", j.Blocked)
}
