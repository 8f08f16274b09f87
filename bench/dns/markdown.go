//go:build linux

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"

	"gatehouse/bench/dns/servers"
	"gatehouse/bench/report"
)

// ours is whom the others are compared with.
const ours = "trafficmgr"

// markdown renders the document.
func (d *document) markdown() []byte {
	var w bytes.Buffer
	for _, run := range d.Runs {
		fmt.Fprintf(&w, "**Run %s**, commit %s: %s, %d processors, %d MB, Linux %s, %s. %d rounds of %s for each load generator after %s of warm-up.\n\n",
			run.ID, run.Commit, run.Machine, run.CPUs, run.MemoryMB, run.Kernel, run.Go, run.Rounds, run.Duration, run.Warmup)
		if run.Quick {
			fmt.Fprint(&w, "A quick run, not for comparison.\n\n")
		}
		for _, system := range servers.Names() {
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
	d.timed(w)
	d.specials(w)
}

// verdicts compares with the best of the others, in every case, won or lost,
// by the figures of both load generators.
func (d *document) verdicts(w io.Writer) {
	fmt.Fprintf(w, "### %s against the best of the others\n\n| case | CPU us/query | best other | ratio | | by the second generator | best other | ratio | |\n"+
		"|---|---:|---:|---:|---|---:|---:|---:|---|\n", ours)
	for _, c := range allCases() {
		if c.kind != "" {
			continue
		}
		own, ok := d.Row(c.name, ours, "off")
		first := d.compare(c.name, own.CPU, ok, func(r report.Row) float64 { return r.CPU })
		if first == "" {
			continue
		}
		second := d.compare(c.name, own.SecondCPU, ok, func(r report.Row) float64 { return r.SecondCPU })
		fmt.Fprintf(w, "| %s |%s%s\n", c.name, first, cmp.Or(second, " | | | |"))
	}
	fmt.Fprintln(w)
}

// compare is four cells about one figure, empty if nobody has it.
func (d *document) compare(name string, own float64, ok bool, figure func(report.Row) float64) string {
	best, found := d.best(name, figure)
	other := fmt.Sprintf("%s (%s)", report.Number(figure(best)), best.System)
	switch {
	case (!ok || own == 0) && !found:
		return ""
	case !ok:
		return fmt.Sprintf(" not measured | %s | | |", other)
	case !found:
		return fmt.Sprintf(" %s | nobody | | |", report.Number(own))
	}
	ratio := own / figure(best)
	return fmt.Sprintf(" %s | %s | %.2f | %s |", report.Number(own), other, ratio, verdict(ratio))
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

// best is the row of the other that has the least of a figure, of those
// without errors.
func (d *document) best(name string, figure func(report.Row) float64) (best report.Row, found bool) {
	for _, system := range servers.Names() {
		row, ok := d.Row(name, system, "off")
		if system == ours || !ok || row.Failed() > 0 || figure(row) == 0 {
			continue
		}
		if !found || figure(row) < figure(best) {
			best, found = row, true
		}
	}
	return best, found
}

func (d *document) timed(w io.Writer) {
	fmt.Fprint(w, "### Queries\n\n| case | server | CPU us/query (min-max) | by the second generator | queries/s (min-max) | p50 ms | p99 ms (min-max) | peak MB | errors | |\n"+
		"|---|---|---:|---:|---:|---:|---:|---:|---:|---|\n")
	for _, c := range allCases() {
		for _, system := range servers.Names() {
			for _, r := range d.Results {
				if r.Case == c.name && r.System == system {
					timedRow(w, r)
				}
			}
		}
	}
	fmt.Fprintln(w)
}

func timedRow(w io.Writer, r report.Row) {
	if !r.Measured() {
		fmt.Fprintf(w, "| %s | %s | | | | | | | | %s |\n", r.Case, r.System, cmp.Or(r.Note, "no round was complete"))
		return
	}
	second := ""
	if r.SecondCPU > 0 {
		second = report.Number(r.SecondCPU)
	}
	fmt.Fprintf(w, "| %s | %s | %s%s | %s | %s%s | %s | %s%s | %s | %s | %s |\n", r.Case, r.System,
		report.Number(r.CPU), report.Spread(r, "cpu_us_per_request"), second, report.Number(r.RPS), report.Spread(r, "rps"),
		report.Number(r.P50), report.Number(r.P99), report.Spread(r, "p99_ms"), report.Number(r.RSS), report.Failures(r), r.Note)
}

func (d *document) specials(w io.Writer) {
	fmt.Fprint(w, "### Memory, failover, reload\n\n| case | server | figure | median (min-max) | rounds |\n|---|---|---|---:|---:|\n")
	figures := []string{figureRSS, figurePSS, figureDecided, figureChanged, figureReload, figureLost, figureWrong, figureP99, figureQPS}
	for _, s := range d.Special {
		if s.Rounds == 0 {
			fmt.Fprintf(w, "| %s | %s | %s | | |\n", s.Case, s.System, s.Note)
		}
		for _, name := range figures {
			if f, ok := s.Figures[name]; ok {
				fmt.Fprintf(w, "| %s | %s | %s | %s (%s-%s) | %d |\n", s.Case, s.System, name,
					report.Number(f[0]), report.Number(f[1]), report.Number(f[2]), s.Rounds)
			}
		}
	}
	fmt.Fprintln(w)
}
