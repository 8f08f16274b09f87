//go:build linux

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"gatehouse/bench/l4/balancers"
	"gatehouse/bench/report"
)

// ours is whom the others are compared with.
const ours = "l4lb"

// markdown renders the document.
func (d *document) markdown() []byte {
	var w bytes.Buffer
	for _, run := range d.Runs {
		fmt.Fprintf(&w, "**Run %s**, commit %s: %s, %d processors, %d MB, Linux %s, %s. %d rounds of %s after %s of warm-up.\n\n",
			run.ID, run.Commit, run.Machine, run.CPUs, run.MemoryMB, run.Kernel, run.Go, run.Rounds, run.Duration, run.Warmup)
		if run.Quick {
			fmt.Fprint(&w, "A quick run, not for comparison.\n\n")
		}
		for _, system := range balancers.Names() {
			if version, ok := run.Versions[system]; ok {
				fmt.Fprintf(&w, "- %s: %s\n", system, version)
			}
		}
		fmt.Fprintln(&w)
	}
	d.tables(&w)
	fmt.Fprint(&w, "### Cases\n\n")
	for _, c := range allCases() {
		fmt.Fprintf(&w, "- %s: %s\n", c.name, c.title)
	}
	return w.Bytes()
}

// tables writes all tables.
func (d *document) tables(w io.Writer) {
	d.verdicts(w)
	d.growth(w)
	d.figures(w)
}

// verdicts compares with the best of the others in every case, won or lost,
// and with what was aimed at.
func (d *document) verdicts(w io.Writer) {
	fmt.Fprintf(w, "### %s against the best of the others\n\n| case | figure | %s | best other | ratio | | aim | |\n|---|---|---:|---:|---:|---|---:|---|\n", ours, ours)
	for _, c := range allCases() {
		own, ok := d.find(c.name, ours)
		best, found := d.best(&c)
		if !ok && !found {
			continue
		}
		fmt.Fprintf(w, "| %s | %s |%s\n", c.name, label(c.figure()), compare(&c, own, ok, best, found))
	}
	fmt.Fprintln(w)
}

// compare is six cells about a case's figure.
func compare(c *benchCase, own result, ok bool, best result, found bool) string {
	mine, theirs := own.Figures[c.figure()][0], best.Figures[c.figure()][0]
	number, other, ratio, who := "not measured", "nobody", "", ""
	if ok {
		number = report.Number(mine)
	}
	if found {
		other = fmt.Sprintf("%s (%s)", report.Number(theirs), best.System)
	}
	switch {
	case ok && len(own.Errors) > 0:
		who = "**not valid: " + failures(own) + "**"
	case ok && found:
		ratio, who = fmt.Sprintf("%.2f", mine/theirs), verdict(mine/theirs)
	}
	return fmt.Sprintf(" %s | %s | %s | %s | %s | %s |", number, other, ratio, who, aim(c), c.state(own, ok, mine, theirs))
}

func aim(c *benchCase) string {
	if c.absolute {
		return fmt.Sprintf("<= %s %s", report.Number(c.aim), label(c.figure()))
	}
	return fmt.Sprintf("<= %.2f", c.aim)
}

// state tells whether the aim of a case is met.
func (c *benchCase) state(own result, ok bool, mine, theirs float64) string {
	x := mine
	if !c.absolute {
		if theirs == 0 {
			return ""
		}
		x /= theirs
	}
	switch {
	case !ok:
		return ""
	case len(own.Errors) > 0:
		return "**missed**"
	case x <= c.aim:
		return "met"
	case x <= c.required:
		return fmt.Sprintf("**aim missed** by %.0f %%, within the required %.2f", 100*(x/c.aim-1), c.required)
	}
	return fmt.Sprintf("**missed** by %.0f %%", 100*(x/c.aim-1))
}

// verdict says who needs less; three percent are noise.
func verdict(ratio float64) string {
	switch {
	case ratio > 1.03:
		return fmt.Sprintf("**lost** by %.0f %%", 100*(ratio-1))
	case ratio < 0.97:
		return fmt.Sprintf("won by %.0f %%", 100*(1-ratio))
	}
	return "even"
}

// best is the result of the other that has the least of a case's figure, of
// those without errors.
func (d *document) best(c *benchCase) (best result, found bool) {
	for _, system := range balancers.Names() {
		r, ok := d.find(c.name, system)
		if system == ours || !ok || len(r.Errors) > 0 || r.Figures[c.figure()][0] <= 0 {
			continue
		}
		if !found || r.Figures[c.figure()][0] < best.Figures[c.figure()][0] {
			best, found = r, true
		}
	}
	return best, found
}

// growth tells what many rules cost beside one.
func (d *document) growth(w io.Writer) {
	fmt.Fprint(w, "### Many rules\n\n| balancer | CPU us/request with one rule | with 100 | with 1000 |\n|---|---:|---:|---:|\n")
	for _, system := range balancers.Names() {
		one, ok := d.find("rules1", system)
		if !ok {
			continue
		}
		base := one.Figures[figureRequest][0]
		fmt.Fprintf(w, "| %s | %s", system, report.Number(base))
		for _, name := range []string{"rules100", "rules1000"} {
			many, ok := d.find(name, system)
			if !ok || base == 0 {
				fmt.Fprint(w, " | not measured")
				continue
			}
			x := many.Figures[figureRequest][0]
			fmt.Fprintf(w, " | %s (%+.0f %%)", report.Number(x), 100*(x/base-1))
		}
		fmt.Fprintln(w, " |")
	}
	fmt.Fprintln(w)
}

// label is a figure's name for people.
func label(figure string) string {
	return cmp.Or(map[string]string{
		figureRequest: "CPU us/request", figureGigabyte: "CPU ms/GB", figureDatagram: "CPU us/datagram", figureIdle: "KiB/connection",
		figureRate: "per second", figureGigabits: "Gbit/s", figureLoss: "lost %", figureP50: "p50 ms", figureP99: "p99 ms",
		figurePeak: "peak MB", figureLoad: "load CPU", figureMembers: "members CPU",
	}[figure], figure)
}

// figures writes what was measured, a row for each balancer in each case.
func (d *document) figures(w io.Writer) {
	fmt.Fprint(w, "### Figures\n\n| case | balancer | deciding figure (min-max) | | others | errors |\n|---|---|---:|---|---|---|\n")
	for _, c := range allCases() {
		for _, system := range balancers.Names() {
			for _, r := range d.Results {
				if r.Case == c.name && r.System == system {
					row(w, &c, r)
				}
			}
		}
	}
	fmt.Fprintln(w)
}

func row(w io.Writer, c *benchCase, r result) {
	if r.Rounds == 0 {
		fmt.Fprintf(w, "| %s | %s | | | %s | |\n", r.Case, r.System, cmp.Or(cell(r.Note), "no round was complete"))
		return
	}
	var others []string
	for _, name := range []string{figureRate, figureGigabits, figureLoss, figureP50, figureP99, figurePeak, figureLoad, figureMembers} {
		if f, ok := r.Figures[name]; ok {
			others = append(others, fmt.Sprintf("%s %s", label(name), spread(f, r.Rounds)))
		}
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", r.Case, r.System, spread(r.Figures[c.figure()], r.Rounds), label(c.figure()),
		strings.Join(others, ", "), cmp.Or(failures(r), "0"))
}

// cell is a text, such as what a balancer has said when it ended, that can
// stand in a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "/")
}

// spread is the median, and behind it the smallest and the largest value if
// there were several rounds.
func spread(f [3]float64, rounds int) string {
	if rounds < 2 {
		return report.Number(f[0])
	}
	return fmt.Sprintf("%s (%s-%s)", report.Number(f[0]), report.Number(f[1]), report.Number(f[2]))
}

// failures says what went wrong and how often; empty: nothing.
func failures(r result) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(r.Errors)) {
		parts = append(parts, fmt.Sprintf("%d %s", r.Errors[what], what))
	}
	return strings.Join(parts, ", ")
}
