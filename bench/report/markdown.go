//go:build linux

package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// The markers between which WriteSection replaces the text. What stands
// around them in the file is written by hand and stays.
const (
	beginMarker = "<!-- bench: begin (generated, do not edit) -->"
	endMarker   = "<!-- bench: end -->"
)

const preamble = `# Benchmark results

How they are made and how to read them: [README.md](README.md).

`

// WriteSection puts text between the markers of a Markdown file, at the end of
// a file without markers, or into a new file.
func WriteSection(path string, text []byte) error {
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		old = []byte(preamble)
	} else if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(old, []byte(beginMarker))
	after := []byte("\n")
	if found {
		var ended bool
		if _, after, ended = bytes.Cut(rest, []byte(endMarker)); !ended {
			return fmt.Errorf("%s: no %q after %q", path, endMarker, beginMarker)
		}
	}
	section := slices.Concat(before, []byte(beginMarker+"\n\n"), text, []byte("\n"+endMarker), after)
	return os.WriteFile(path, section, 0o644)
}

// Style says in which order to list things and how to describe them.
type Style struct {
	Cases     []string          // in order, without those of firewalls
	Firewalls []string          // the cases of web application firewalls, in order
	Titles    map[string]string // of cases
	Systems   []string          // in order
	Logging   map[string]string // what each system's access log is
	Without   map[string]string // systems with a firewall: the same without
}

// Markdown renders the document.
func (d *Document) Markdown(style Style) []byte {
	var w bytes.Buffer
	d.runs(&w, style)
	d.targets(&w)
	for _, logs := range []string{"on", "off"} {
		fmt.Fprintf(&w, "### Access logs %s\n\n", logs)
		d.Table(&w, style, logs)
		fmt.Fprintln(&w)
	}
	d.idle(&w, style)
	d.Firewalls(&w, style)
	d.notes(&w, style)
	return w.Bytes()
}

func (d *Document) runs(w io.Writer, style Style) {
	for _, run := range d.Runs {
		fmt.Fprintf(w, "**Run %s**, commit %s: %s, %d processors, %d MB, Linux %s, %s. %d rounds of %s after %s of warm-up",
			run.ID, run.Commit, run.Machine, run.CPUs, run.MemoryMB, run.Kernel, run.Go, run.Rounds, run.Duration, run.Warmup)
		fmt.Fprintf(w, "; %s; peers %s X-Forwarded fields; HAProxy %s splice; appgw logs %s%s.\n\n", choose(run.Pinned, "pinned", "nothing pinned"),
			choose(run.Forwarded, "add", "add no"), choose(run.Splice, "may", "may not"), run.LogFormat, choose(run.Quick, "; a quick run, not for comparison", ""))
		for _, system := range style.Systems {
			if version, ok := run.Versions[system]; ok {
				fmt.Fprintf(w, "- %s: %s; access log: %s\n", system, version, style.Logging[system])
			}
		}
		fmt.Fprintln(w)
	}
}

func choose(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

func (d *Document) targets(w io.Writer) {
	fmt.Fprint(w, "### Targets (access logs on)\n\n| case | figure | appgw | baseline | ratio | aim | |\n|---|---|---:|---:|---:|---:|---|\n")
	for _, v := range d.Judge(Targets()) {
		if v.State == Unknown {
			fmt.Fprintf(w, "| %s | %s | | | | %s | %v |\n", v.Case, label(v.Metric), aim(v.Target), v.State)
			continue
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s (%s) | %s | %s | %s |\n", v.Case, label(v.Metric),
			Number(v.Ours), Number(v.Baseline), v.Against, ratio(v.Ratio), aim(v.Target), verdict(v))
	}
	fmt.Fprintln(w)
}

func label(metric string) string {
	return map[string]string{
		"cpu_us_per_request":      "CPU us/request",
		"rps":                     "requests/s",
		"p99_ms":                  "p99 ms",
		"idle_kib_per_connection": "KiB/connection",
		"rss_mb":                  "MB of a policy",
	}[metric]
}

func aim(t Target) string {
	if t.Metric == "rps" {
		return ">= " + ratio(t.Aim)
	}
	return "<= " + ratio(t.Aim)
}

// ratio has more digits where they count.
func ratio(x float64) string {
	if x < 0.2 {
		return fmt.Sprintf("%.3f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// verdict says for a missed target by how much.
func verdict(v Verdict) string {
	switch v.State {
	case Met:
		return "met"
	case Required, Missed:
		return fmt.Sprintf("**%v** by %.0f %%", v.State, 100*abs(v.Ratio/v.Aim-1))
	default:
		return v.State.String()
	}
}

func abs(x float64) float64 { return max(x, -x) }

// Table writes the table of one log setting.
func (d *Document) Table(w io.Writer, style Style, logs string) {
	fmt.Fprint(w, "| case | system | CPU us/request (min-max) | requests/s (min-max) | p50 ms | p99 ms (min-max) | peak MB | errors |\n"+
		"|---|---|---:|---:|---:|---:|---:|---:|\n")
	d.each(style.Cases, style, logs, func(r Row) {
		if r.Loop == "idle" {
			return
		}
		if !r.Measured() {
			fmt.Fprintf(w, "| %s | %s | %s ||||||\n", r.Case, r.System, r.Note)
			return
		}
		fmt.Fprintf(w, "| %s | %s | %s%s | %s%s | %s | %s%s | %s | %s |\n", r.Case, r.System,
			Number(r.CPU), Spread(r, "cpu_us_per_request"), Number(r.RPS), Spread(r, "rps"),
			latency(r.P50), latency(r.P99), Spread(r, "p99_ms"), Number(r.RSS), Failures(r))
	})
}

func (d *Document) each(cases []string, style Style, logs string, do func(Row)) {
	for _, name := range cases {
		for _, system := range style.Systems {
			for _, row := range d.Results {
				if row.Case == name && row.System == system && row.Logs == logs {
					do(row)
				}
			}
		}
	}
}

// Spread is the smallest and the largest value of a figure, by the name that it
// has in Row.Spread, in parentheses; empty after a single round.
func Spread(r Row, figure string) string {
	s, ok := r.Spread[figure]
	if !ok || r.Rounds < 2 || s == [2]float64{} { // nobody measured it
		return ""
	}
	return fmt.Sprintf(" (%s-%s)", Number(s[0]), Number(s[1]))
}

// Number writes a figure: it has three significant digits, or all of a large whole number.
func Number(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

// latency is a figure that not every generator of load has.
func latency(ms float64) string {
	if ms == 0 {
		return "-"
	}
	return Number(ms)
}

// Failures says what went wrong and how often: "0" if nothing did.
func Failures(r Row) string {
	if r.Failed() == 0 {
		return "0"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r.Errors)) {
		parts = append(parts, fmt.Sprintf("%d %s", r.Errors[name], name))
	}
	return "**" + strings.Join(parts, ", ") + "**"
}

func (d *Document) idle(w io.Writer, style Style) {
	fmt.Fprint(w, "### Idle connections\n\n| case | system | KiB/connection | peak MB | PSS MB | errors |\n|---|---|---:|---:|---:|---:|\n")
	d.each(style.Cases, style, "on", func(r Row) {
		switch {
		case r.Loop != "idle":
		case !r.Measured():
			fmt.Fprintf(w, "| %s | %s | %s ||||\n", r.Case, r.System, r.Note)
		default:
			fmt.Fprintf(w, "| %s | %s | %.1f | %s | %s | %s |\n", r.Case, r.System, r.IdleKiB, Number(r.RSS), Number(r.PSS), Failures(r))
		}
	})
	fmt.Fprintln(w)
}

func (d *Document) notes(w io.Writer, style Style) {
	fmt.Fprint(w, "### Cases\n\n")
	for _, name := range slices.Concat(style.Cases, style.Firewalls) {
		fmt.Fprintf(w, "- %s: %s", name, style.Titles[name])
		if row, ok := d.Row(name, "appgw", "on"); ok && row.Rate > 0 {
			fmt.Fprintf(w, " (%.0f requests/s with logs on)", row.Rate)
		}
		if agreed := d.agreed(name); agreed != "" {
			fmt.Fprintf(w, "; agreed on %s", agreed)
		}
		fmt.Fprintln(w)
	}
}

// agreed lists the TLS parameters that were agreed on in a case: one, unless
// the systems differ and the comparison with it.
func (d *Document) agreed(name string) string {
	var all []string
	for _, row := range d.Results {
		if row.Case == name && row.TLS != "" && !slices.Contains(all, row.TLS) {
			all = append(all, row.TLS)
		}
	}
	return strings.Join(all, " and ")
}
