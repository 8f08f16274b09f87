//go:build linux

package report

import (
	"fmt"
	"io"
)

// The systems with a firewall whose figures are compared.
const (
	ours        = "appgw-waf"
	plainCoraza = "appgw-plain" // without the index
	modSecurity = "nginx-modsecurity"
)

// firewallTargets are those of the web application firewall. They are about
// all that a request costs, its proxying included: of the firewall's part
// alone the ratios are smaller still. Nothing may cost more than with Coraza
// alone; what is read most, a tenth of it, and of ModSecurity a fifteenth.
func firewallTargets() []Target {
	cpu := func(name, peer string, aim float64) Target {
		return Target{Case: name, System: ours, Metric: "cpu_us_per_request", Peers: []string{peer}, Aim: aim}
	}
	var targets []Target
	for _, name := range []string{"waf_get", "waf_get_same"} {
		targets = append(targets, cpu(name, plainCoraza, 1.0/10), cpu(name, modSecurity, 1.0/15))
	}
	for _, name := range []string{"waf_form2k", "waf_json20k"} {
		targets = append(targets, cpu(name, plainCoraza, 1.0/10))
	}
	for _, name := range []string{"waf_form200", "waf_json200", "waf_attack", "waf_html10k"} {
		targets = append(targets, cpu(name, plainCoraza, 1))
	}
	return append(targets, Target{Case: "waf_memory", System: ours, Less: "appgw", Metric: "rss_mb", Limit: 64, Aim: 1})
}

// Firewalls writes the tables of the web application firewalls, if they have
// been measured.
func (d *Document) Firewalls(w io.Writer, style Style) {
	var rows []Row
	d.each(style.Firewalls, style, "on", func(r Row) { rows = append(rows, r) })
	if len(rows) == 0 {
		return
	}
	fmt.Fprint(w, "### Web application firewalls (access logs on)\n\n"+
		"| case | system | CPU us/request (min-max) | the firewall's part | times appgw-waf | requests/s (min-max) | p50 ms | p99 ms (min-max) | peak MB | errors |\n"+
		"|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, r := range rows {
		switch {
		case r.Loop == "memory":
		case !r.Measured():
			fmt.Fprintf(w, "| %s | %s | %s ||||||||\n", r.Case, r.System, r.Note)
		default:
			fmt.Fprintf(w, "| %s | %s | %s%s | %s | %s | %s%s | %s | %s%s | %s | %s |\n", r.Case, r.System,
				Number(r.CPU), Spread(r, "cpu_us_per_request"), d.part(r, style, "cpu_us_per_request"), d.times(r), Number(r.RPS), Spread(r, "rps"),
				Number(r.P50), Number(r.P99), Spread(r, "p99_ms"), Number(r.RSS), Failures(r))
		}
	}
	fmt.Fprint(w, "\n| case | system | resident MB (min-max) | the firewall's part | PSS MB |\n|---|---|---:|---:|---:|\n")
	for _, r := range rows {
		switch {
		case r.Loop != "memory":
		case !r.Measured():
			fmt.Fprintf(w, "| %s | %s | %s |||\n", r.Case, r.System, r.Note)
		default:
			fmt.Fprintf(w, "| %s | %s | %s%s | %s | %s |\n", r.Case, r.System,
				Number(r.RSS), Spread(r, "rss_mb"), d.part(r, style, "rss_mb"), Number(r.PSS))
		}
	}
	fmt.Fprintln(w)
}

// part is what a system has of a figure more than the same system without its
// firewall.
func (d *Document) part(r Row, style Style, metric string) string {
	base, ok := style.Without[r.System]
	if !ok {
		return ""
	}
	without, ok := d.Row(r.Case, base, r.Logs)
	if !ok || without.Run != r.Run {
		return ""
	}
	more := value(r, metric) - value(without, metric)
	if more < 0 {
		return "-" + Number(-more)
	}
	return Number(more)
}

// times is how many times the CPU of ours a system needs.
func (d *Document) times(r Row) string {
	row, ok := d.Row(r.Case, ours, r.Logs)
	if !ok || row.Run != r.Run || row.CPU <= 0 {
		return ""
	}
	return Number(r.CPU / row.CPU)
}
