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

// document is the file of results.
type document struct {
	Runs    []report.Info `json:"runs"`
	Results []result      `json:"results"`
}

// result is that of one balancer in one case.
type result struct {
	Run     string                `json:"run"` // the report.Info that it belongs to
	Case    string                `json:"case"`
	System  string                `json:"system"`
	Rounds  int                   `json:"rounds"`
	Figures map[string][3]float64 `json:"figures,omitempty"` // median, smallest, largest
	Errors  map[string]int64      `json:"errors,omitempty"`
	Note    string                `json:"note,omitempty"` // why there are no figures
}

// The figures. Those of CPU time are of the balancer's processes unless their
// name says otherwise.
const (
	figureRequest  = "cpu_us_per_request"
	figureGigabyte = "cpu_ms_per_gigabyte" // of 10^9 bytes
	figureDatagram = "cpu_us_per_datagram" // that went there and came back
	figureIdle     = "kib_per_connection"

	figureRate     = "per_second" // requests, or datagrams that came back
	figureGigabits = "gigabits_per_second"
	figureLoss     = "lost_percent"
	figureP50      = "p50_ms"
	figureP99      = "p99_ms"
	figurePeak     = "peak_mb"     // VmHWM, summed over the processes
	figureLoad     = "load_cpu"    // of the generator, in the unit of the case
	figureMembers  = "members_cpu" // of the members, likewise
)

// summarize fills in a result from the samples of its rounds.
func summarize(r result, samples []sample) result {
	r.Rounds = len(samples)
	values := make(map[string][]float64)
	for _, s := range samples {
		for name, v := range s.figures {
			values[name] = append(values[name], v)
		}
		for what, n := range s.errors {
			if r.Errors == nil {
				r.Errors = make(map[string]int64)
			}
			r.Errors[what] += n
		}
	}
	for name, all := range values {
		if r.Figures == nil {
			r.Figures = make(map[string][3]float64)
		}
		r.Figures[name] = [3]float64{report.Median(all), slices.Min(all), slices.Max(all)}
	}
	return r
}

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

// merge takes over the results of cases, in place of the old ones of all
// balancers: figures are only comparable within a run.
func (d *document) merge(info report.Info, results []result) {
	d.Results = slices.DeleteFunc(d.Results, func(old result) bool {
		return slices.ContainsFunc(results, func(r result) bool { return r.Case == old.Case })
	})
	for _, r := range results {
		r.Run = info.ID
		d.Results = append(d.Results, r)
	}
	d.Runs = append(slices.DeleteFunc(d.Runs, func(run report.Info) bool { return run.ID == info.ID }), info)
	d.Runs = slices.DeleteFunc(d.Runs, func(run report.Info) bool {
		return !slices.ContainsFunc(d.Results, func(r result) bool { return r.Run == run.ID })
	})
}

// find is the result of a balancer in a case, if it has figures.
func (d *document) find(name, system string) (result, bool) {
	i := slices.IndexFunc(d.Results, func(r result) bool { return r.Case == name && r.System == system })
	if i < 0 || d.Results[i].Rounds == 0 {
		return result{}, false
	}
	return d.Results[i], true
}
