package waf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"gatehouse/config"
	"gatehouse/internal/smallfile"
	"gatehouse/waf/body"
	"gatehouse/waf/bot"
	"gatehouse/waf/challenge"
	"gatehouse/waf/custom"
	"gatehouse/waf/ratelimit"
)

// Policy is a compiled policy. It is safe for concurrent use.
type Policy struct {
	conf       *config.WAFPolicy
	judge      *judge
	custom     *custom.Set
	limiters   map[string]*ratelimit.Limiter // of rate limit rules, by name
	exceptions []exception
	args       int // arguments that are read
	page       *Page
	blocked    int // the status of a block
	challenger *challenge.Challenger
	notes      []string
	services
	Metrics *Metrics // go on over reloads

	transactions sync.Pool
}

// services are what policies share.
type services struct {
	country func(netip.Addr) string
	log     func(*Event)
	now     func() time.Time

	classifier *bot.Classifier // nil: none
}

// Options are what a policy needs beside its configuration.
type Options struct {
	// Country gives the ISO 3166-1 code of an address, empty where it is not
	// known. If nil, none is.
	Country func(netip.Addr) string
	// Log takes what the policy has to say. It must not wait, and keeps
	// nothing of the event. If nil, nothing is logged.
	Log func(*Event)
	// Bots classes clients for policies with botRules. If nil, none is
	// classed.
	Bots *bot.Classifier
	// Secret is what challenges are signed with where the policy names no
	// file.
	Secret []byte
	// Previous is the policy of the same name in the configuration before,
	// whose engine is used again if the rules are the same, and whose rate
	// limits go on. May be nil.
	Previous *Policy
	// Others are further policies that are not closed, whose engine is used
	// as well if their rules are the same.
	Others []*Policy
}

// Compile makes a policy. Errors name what is wrong in its configuration.
func Compile(c *config.WAFPolicy, o Options) (*Policy, error) {
	p := &Policy{conf: c, blocked: c.BlockResponse.Status, services: services{country: o.Country, log: o.Log, now: time.Now, classifier: o.Bots}}
	if p.blocked == 0 {
		p.blocked = 403
	}
	if p.log == nil {
		p.log = func(*Event) {}
	}
	var file []byte
	var errs []error
	if name := c.BlockResponse.BodyFile; name != "" {
		var err error
		if file, err = smallfile.Read(name, 1<<20); err != nil {
			errs = append(errs, fmt.Errorf("blockResponse.bodyFile: %w", err))
		}
	}
	p.page = blockPage(&c.BlockResponse, file)
	p.notes = azureNotes(&c.RuleSet)
	p.limiters = limitersOf(c, o.Previous)
	p.args = max(maxArgs(&c.RuleSet), body.DefaultArgs)
	p.exceptions = newExceptions(&c.RuleSet)
	errs = append(errs, unknownRules(&c.RuleSet)...)
	var err error
	if p.custom, err = custom.Compile(customRules(c.CustomRules)); err != nil {
		errs = append(errs, fmt.Errorf("customRules: %w", err))
	}
	if p.challenger, err = newChallenger(c, o.Secret); err != nil {
		errs = append(errs, err)
	}
	p.Metrics = newMetrics()
	if o.Previous != nil {
		p.Metrics = o.Previous.Metrics
	}
	p.transactions.New = func() any { return &Transaction{p: p} }
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if p.judge, err = shareJudge(c, o.Others, o.Previous); err != nil {
		return nil, fmt.Errorf("ruleSet: %w", err)
	}
	return p, nil
}

// shareJudge compiles the managed rules of a policy, or takes those of another
// policy when they are the same.
func shareJudge(c *config.WAFPolicy, others []*Policy, previous *Policy) (*judge, error) {
	rs, err := newRuleset(c)
	if err != nil {
		return nil, err
	}
	for _, other := range append(others[:len(others):len(others)], previous) {
		if other != nil && other.judge.share(rs.text) {
			return other.judge, nil
		}
	}
	return compileRules(rs)
}

// Close gives up the policy's engine. No transaction may run.
func (p *Policy) Close() error { return p.judge.release() }

// Name is the policy's name.
func (p *Policy) Name() string { return p.conf.Name }

// Enabled reports whether the policy looks at anything.
func (p *Policy) Enabled() bool { return p.conf.Enabled }

// Mode is the policy's mode.
func (p *Policy) Mode() config.WAFMode { return p.conf.Mode }

// Notes are what whoever configures the policy should know: what it asks for
// and does not get.
func (p *Policy) Notes() []string { return p.notes }

// balanced reports whether the policy is tuned for today's applications.
func (p *Policy) balanced() bool { return p.conf.RuleSet.Profile == config.ProfileBalanced }

// prevents reports whether the policy acts.
func (p *Policy) prevents() bool { return p.conf.Mode == config.WAFPrevention }

// Begin starts a transaction. The caller calls Done on it.
func (p *Policy) Begin(c Client) *Transaction {
	t := p.transactions.Get().(*Transaction)
	t.client = c
	return t
}

// sampled reports whether a request is to be judged without the index, too.
func (p *Policy) sampled() bool {
	return p.conf.Acceleration == config.AccelerationVerify && rand.Float64() < p.conf.VerifySample
}

// customRules are the custom rules of a configuration as package custom has
// them.
func customRules(list []config.CustomRule) (rules []custom.Rule) {
	for i := range list {
		rules = append(rules, customRule(&list[i]))
	}
	return rules
}
