package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"gatehouse/config"
	"gatehouse/dnslb/geo"
	"gatehouse/internal/httpmsg"
	"gatehouse/internal/telemetry"
	"gatehouse/proxy/l7"
	"gatehouse/waf"
	"gatehouse/waf/bot"
)

// policies compiles the web application firewall policies that something
// uses.
func (b *build) loadPolicies() {
	b.loadGeo()
	b.next.policies = map[string]*waf.Policy{}
	for i := range b.conf.WAFPolicies {
		c := &b.conf.WAFPolicies[i]
		path := place("wafPolicies", b.conf.WAFPolicies, func(p *config.WAFPolicy) bool { return p.Name == c.Name })
		for _, file := range []string{c.BlockResponse.BodyFile, c.JSChallenge.SecretFile} {
			if file != "" {
				b.depend(file)
			}
		}
		p, err := waf.Compile(c, b.policyOptions(c))
		if err != nil {
			b.fail(path, "%w", err)
			continue
		}
		b.undo = append(b.undo, func() { p.Close() })
		b.next.policies[c.Name] = p
		for _, n := range p.Notes() {
			b.warnf(path, "%s", n)
		}
	}
}

func (b *build) policyOptions(c *config.WAFPolicy) waf.Options {
	scrub, log := &c.LogScrubbing, b.app.wafLog
	o := waf.Options{Others: slices.Collect(maps.Values(b.next.policies)), Previous: b.prev.policies[c.Name], Country: countries(b.next.places), Secret: b.app.secret[:]}
	if !b.dry {
		o.Log = func(e *waf.Event) {
			for line := range bytes.Lines(e.AppendLines(nil, scrub)) { // all at once may be more than the log takes
				log.Append(uint32(e.Request.Client.Port()), line)
			}
		}
	}
	if c.BotRules.Enabled {
		o.Bots = b.app.botClassifier(b.dry)
	}
	return o
}

// botClassifier is the process's, made when a policy first asks for it.
func (a *app) botClassifier(offline bool) *bot.Classifier {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bots == nil {
		a.bots = bot.New(bot.Options{Logger: a.log, Offline: offline})
	}
	return a.bots
}

// loadGeo opens the database of places, where it is not the built-in one.
func (b *build) loadGeo() {
	if file := b.conf.Geo.Database; file != "" {
		b.depend(file)
		db, err := geo.Open(file)
		if err != nil {
			b.fail("geo.database", "%w", err)
			return
		}
		b.undo = append(b.undo, func() { db.Close() })
		b.next.places = db
	}
}

// countries gives the country of an address by a database, or by the built-in
// table without one. It holds on to nothing else, as nothing in a policy may:
// what a policy reaches of the build that made it, and so of the policies
// before it, is kept by all that come after.
func countries(places *geo.Database) func(netip.Addr) string {
	if places == nil {
		// The table is decoded when it is first asked.
		return func(a netip.Addr) string { return geo.Builtin().Lookup(a).Country }
	}
	return func(a netip.Addr) string { return places.Lookup(a).Country }
}

// stages are the stages of what an action of a listener leads to.
func (b *build) stages(l *config.Listener, a config.Action) []l7.StageMaker {
	p := b.next.policies[b.conf.PolicyOf(l, a)]
	if p == nil || !p.Enabled() {
		return nil
	}
	return []l7.StageMaker{wafMaker{p}}
}

// openWAFLog opens the output of the firewall's log when it is not the one in
// use.
func (b *build) openWAFLog() {
	want := b.conf.Logs.WAF
	if len(b.conf.WAFPolicies) == 0 || b.prev.conf != nil && b.prev.conf.Logs.WAF == want && len(b.prev.conf.WAFPolicies) > 0 {
		return
	}
	if b.dry {
		b.checkLogPlace("logs.waf.output", want.Output)
		return
	}
	out, err := telemetry.OpenOutput(want.Output)
	if err != nil {
		b.fail("logs.waf.output", "%w", err)
		return
	}
	b.next.wafOutput = out
	b.undo = append(b.undo, func() { out.Close() })
}

// wafMaker makes the stages of a policy.
type wafMaker struct{ policy *waf.Policy }

// Begin implements l7.StageMaker.
func (m wafMaker) Begin(c l7.Client) l7.Stage {
	return &wafStage{m.policy, m.policy.Begin(waf.Client{Addr: c.Addr, Peer: c.Peer, Local: c.Local, TLS: c.TLS, Proto: c.Proto, Trace: string(c.TraceID[:]), Memory: c.Memory})}
}

// String is the policy for explain.
func (m wafMaker) String() string { return fmt.Sprintf("%s (%s)", m.policy.Name(), m.policy.Mode()) }

// wafStage shows an exchange to a policy.
type wafStage struct {
	policy *waf.Policy
	tx     *waf.Transaction
}

func (s *wafStage) OnHead(r *httpmsg.Request) l7.Verdict { return verdict(s.tx.Head(r)) }

func (s *wafStage) OnBody(piece []byte, end bool) l7.Verdict { return verdict(s.tx.Body(piece, end)) }

func (s *wafStage) OnResponseHead(r *httpmsg.Response) l7.Verdict {
	return verdict(s.tx.ResponseHead(r))
}

func (s *wafStage) OnResponseBody(piece []byte, end bool) l7.Verdict {
	return verdict(s.tx.ResponseBody(piece, end))
}

func (s *wafStage) Done() { s.tx.Done() }

// OnTrailers implements l7.TrailerStage.
func (s *wafStage) OnTrailers() (send bool) { return s.tx.Trailers() }

// OnResponseTrailers implements l7.ResponseTrailerStage.
func (s *wafStage) OnResponseTrailers() (send bool) { return s.tx.ResponseTrailers() }

// Record implements l7.Recorder.
func (s *wafStage) Record(r *telemetry.Record) {
	s.tx.Finish()
	r.WAFPolicy, r.WAFEvaluationTime = s.policy.Name(), int64(s.tx.Took())
	r.WAFMode = "Prevention"
	if s.policy.Mode() == config.WAFDetection {
		r.WAFMode = "Detection"
	}
	r.WAFAction = wafActions[s.tx.Outcome()]
}

// wafActions are the outcomes as the access log has them.
var wafActions = func() (words [waf.NumOutcomes]string) {
	for o := range waf.NumOutcomes {
		w := waf.Outcome(o).String()
		words[o] = strings.ToUpper(w[:1]) + w[1:]
	}
	return words
}()

// verdict is a decision as the gateway has it.
func verdict(d waf.Decision) l7.Verdict {
	v := l7.Verdict{Limit: d.Limit, Watch: d.Watch, Status: d.Status, Reason: d.Reason}
	switch d.Action {
	case waf.Hold:
		v.Action = l7.Hold
	case waf.Block:
		v.Action = l7.Answer
		if d.Page != nil {
			v.Response = &l7.AnswerPage{ContentType: d.Page.ContentType, Fields: d.Page.Fields, Body: d.Page.Body}
		}
	case waf.Drop:
		v.Action = l7.Abort
	}
	return v
}
