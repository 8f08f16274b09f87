//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"gatehouse/bench/report"
)

// document is the file of results: rows of the timed cases, and the figures of
// the special ones.
type document struct {
	report.Document
	Special []special `json:"special"`
}

// special is the result of one server in a special case.
type special struct {
	Run     string                `json:"run"`
	Case    string                `json:"case"`
	System  string                `json:"system"`
	Rounds  int                   `json:"rounds"`
	Figures map[string][3]float64 `json:"figures,omitempty"` // median, smallest, largest
	Note    string                `json:"note,omitempty"`    // why there are no figures
}

// The figures of special cases.
const (
	figureRSS     = "rss_mb"              // after all names were asked
	figurePSS     = "pss_mb"              // the same with shared pages divided
	figureDecided = "deciding_probe_ms"   // from the last failing probe's reply to another answer
	figureChanged = "failure_ms"          // from the failure of the backend to another answer
	figureReload  = "reload_ms"           // from the signal to the first answer from the new configuration
	figureLost    = "lost"                // queries without an answer around the reload
	figureWrong   = "other_than_noerror"  // answers around the reload
	figureP99     = "p99_ms"              // around the reload
	figureQPS     = "answered_per_second" // around the reload
)

// loadDocument reads a document; a file that does not exist is an empty one.
func loadDocument(path string) (*document, error) {
	d := new(document)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

func (d *document) save(path string) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// mergeSpecial takes over the results of a special case, in place of the old
// ones of all servers.
func (d *document) mergeSpecial(info report.Info, results []special) {
	runs := d.Runs
	d.Special = slices.DeleteFunc(d.Special, func(old special) bool {
		return slices.ContainsFunc(results, func(s special) bool { return s.Case == old.Case })
	})
	for _, s := range results {
		s.Run = info.ID
		d.Special = append(d.Special, s)
	}
	d.Runs = append(slices.DeleteFunc(runs, func(run report.Info) bool { return run.ID == info.ID }), info)
	d.dropRuns()
}

// merge takes over the rows of a timed case. Document.Merge alone would drop
// runs that have nothing but special cases.
func (d *document) merge(info report.Info, rows []report.Row) {
	runs := slices.Clone(d.Runs)
	d.Merge(info, rows)
	for _, run := range runs {
		if !slices.ContainsFunc(d.Runs, func(r report.Info) bool { return r.ID == run.ID }) {
			d.Runs = append(d.Runs, run)
		}
	}
	d.dropRuns()
}

// dropRuns drops the runs of which no result is left.
func (d *document) dropRuns() {
	d.Runs = slices.DeleteFunc(d.Runs, func(run report.Info) bool {
		return !slices.ContainsFunc(d.Results, func(r report.Row) bool { return r.Run == run.ID }) &&
			!slices.ContainsFunc(d.Special, func(s special) bool { return s.Run == run.ID })
	})
	slices.SortFunc(d.Runs, func(a, b report.Info) int { return a.Date.Compare(b.Date) })
}
