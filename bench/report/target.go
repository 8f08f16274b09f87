//go:build linux

package report

// Target is a figure of appgw that is to be reached, with access logs on.
// The peers of the same run are the baseline.
type Target struct {
	Case   string
	System string   // whose figure it is; empty: appgw
	Less   string   // system of the same run whose figure is taken off it; empty: none
	Metric string   // a JSON name of Row
	Peers  []string // the best of them is the baseline; none: Baseline is a number or a case
	// BaselineCase compares appgw with itself in another case.
	BaselineCase string
	// Limit is an absolute bound, without a baseline.
	Limit float64
	// Aim is the ratio to the baseline to reach; for rps at least, for all
	// else at most. Required is what must hold in any case; 0: the aim.
	Aim, Required float64
}

// Verdict is what became of a target.
type Verdict struct {
	Target
	Ours, Baseline float64
	Against        string  // the peer or case that Baseline is of
	Ratio          float64 // Ours / Baseline or Ours / Limit
	State          State
}

// State says whether a target is met.
type State uint8

const (
	Unknown  State = iota // not measured
	Missed                // the required ratio is not reached
	Required              // the required one is, the aim is not
	Met
)

// String is the word in the table.
func (s State) String() string {
	return [...]string{"not measured", "missed", "required met, aim missed", "met"}[s]
}

// Targets are those of the project: CPU per request below the better of nginx
// and HAProxy by a margin that prototypes have reached, at most 1.05 of it in
// any case; more requests per second than both on small and medium replies;
// p99 at the same rate no worse than nginx's; 12 KiB for an idle connection;
// no growth with the number of hosts; a cache hit for half of what it costs to
// ask the backend.
func Targets() []Target {
	both := []string{"nginx", "haproxy"}
	cpu := func(name string, aim float64) Target {
		return Target{Case: name, Metric: "cpu_us_per_request", Peers: both, Aim: aim, Required: 1.05}
	}
	targets := []Target{cpu("get128", 0.95), cpu("get10k", 0.85), cpu("get1m", 0.6)}
	for _, name := range []string{"get100k", "post10k", "connclose", "https128", "https10k", "handshake", "hosts1", "hosts10000",
		"ws_messages", "h2_get128", "h2_get100k", "h2_post10k"} {
		targets = append(targets, cpu(name, 1))
	}
	for _, name := range []string{"get128", "get10k"} {
		targets = append(targets, Target{Case: name, Metric: "rps", Peers: both, Aim: 1})
	}
	for _, name := range []string{"open_get128", "open_get10k", "open_https128"} {
		targets = append(targets, Target{Case: name, Metric: "p99_ms", Peers: []string{"nginx"}, Aim: 1})
	}
	targets = append(targets, firewallTargets()...)
	return append(targets,
		Target{Case: "cache_hit", Metric: "cpu_us_per_request", BaselineCase: "get10k", Aim: 0.5},
		Target{Case: "idle5000", Metric: "idle_kib_per_connection", Limit: 12, Aim: 1},
		// 1.03 is what the harness can tell apart: see bench/README.md.
		Target{Case: "hosts10000", Metric: "cpu_us_per_request", BaselineCase: "hosts1", Aim: 1.03})
}

// Judge compares the results with the targets.
func (d *Document) Judge(targets []Target) []Verdict {
	verdicts := make([]Verdict, 0, len(targets))
	for _, t := range targets {
		verdicts = append(verdicts, d.judge(t))
	}
	return verdicts
}

func (d *Document) judge(t Target) Verdict {
	v := Verdict{Target: t}
	row, ok := d.Row(t.Case, t.system(), "on")
	if !ok {
		return v
	}
	v.Ours = value(row, t.Metric)
	if t.Less != "" {
		less, ok := d.Row(t.Case, t.Less, "on")
		if !ok || less.Run != row.Run {
			return v
		}
		v.Ours -= value(less, t.Metric)
	}
	v.Baseline, v.Against = d.baseline(t, row.Run)
	if v.Ours <= 0 || v.Baseline <= 0 {
		return v
	}
	v.Ratio = v.Ours / v.Baseline
	v.State = state(t, v.Ratio)
	if row.Failed() > 0 {
		v.State = Missed // a figure reached with errors is not reached
	}
	return v
}

func (t *Target) system() string {
	if t.System == "" {
		return "appgw"
	}
	return t.System
}

func (d *Document) baseline(t Target, run string) (best float64, against string) {
	switch {
	case t.Limit > 0:
		return t.Limit, "limit"
	case t.BaselineCase != "":
		row, ok := d.Row(t.BaselineCase, t.system(), "on")
		if !ok || row.Run != run {
			return 0, ""
		}
		return value(row, t.Metric), t.BaselineCase
	}
	for _, peer := range t.Peers {
		row, ok := d.Row(t.Case, peer, "on")
		if !ok || row.Run != run {
			continue
		}
		got := value(row, t.Metric)
		if against == "" || better(t.Metric, got, best) {
			best, against = got, peer
		}
	}
	return best, against
}

// better says whether a is the better figure: more requests, less of anything
// else.
func better(metric string, a, b float64) bool {
	if metric == "rps" {
		return a > b
	}
	return a < b
}

func state(t Target, ratio float64) State {
	required := t.Required
	if required == 0 {
		required = t.Aim
	}
	switch {
	case !better(t.Metric, t.Aim, ratio):
		return Met
	case !better(t.Metric, required, ratio):
		return Required
	default:
		return Missed
	}
}

func value(r Row, metric string) float64 {
	switch metric {
	case "cpu_us_per_request":
		return r.CPU
	case "rps":
		return r.RPS
	case "p99_ms":
		return r.P99
	case "idle_kib_per_connection":
		return r.IdleKiB
	case "rss_mb":
		return r.RSS
	default:
		return 0
	}
}
