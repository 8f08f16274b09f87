//go:build linux

// Package report turns the samples of a benchmark into medians with their
// spread, keeps them in a JSON file, and renders them as Markdown together
// with the targets that they meet or miss.
package report

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Sample is what one round measured for one system.
type Sample struct {
	CPU, RPS, P50, P99 float64
	RSS, PSS           float64 // MB; RSS is the peak so far (VmHWM)
	IdleKiB            float64 // memory for each idle connection
	LogLines           float64 // access log lines for each request
	LoadCPU, OriginCPU float64 // microseconds per request of the other two
	SecondCPU          float64 // CPU again, under another load generator
	Requests           uint64
	Errors             map[string]int64
	TLS                string
}

// Row is the result of one system in one case. Figures are medians.
type Row struct {
	Run    string `json:"run"` // the Info that it belongs to
	Case   string `json:"case"`
	System string `json:"system"`
	Logs   string `json:"logs"` // on or off
	Loop   string `json:"loop"` // closed, open, or idle

	CPU float64 `json:"cpu_us_per_request"`
	RPS float64 `json:"rps"`
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	RSS float64 `json:"rss_mb"` // peak, summed over the proxy's processes

	// Spread has the smallest and the largest value of each figure above.
	Spread map[string][2]float64 `json:"spread,omitempty"`

	Rate      float64          `json:"rate,omitempty"` // requests due per second in an open loop
	PSS       float64          `json:"pss_mb,omitempty"`
	IdleKiB   float64          `json:"idle_kib_per_connection,omitempty"`
	LogLines  float64          `json:"log_lines_per_request,omitempty"`
	LoadCPU   float64          `json:"load_cpu_us_per_request,omitempty"`
	OriginCPU float64          `json:"origin_cpu_us_per_request,omitempty"`
	SecondCPU float64          `json:"second_cpu_us_per_request,omitempty"`
	Rounds    int              `json:"rounds"`
	Requests  uint64           `json:"requests"`
	Errors    map[string]int64 `json:"errors,omitempty"`
	TLS       string           `json:"tls,omitempty"`
	Note      string           `json:"note,omitempty"` // why there are no figures
}

// Measured says whether the row has figures.
func (r *Row) Measured() bool { return r.Rounds > 0 }

// Failed is the number of requests that went wrong.
func (r *Row) Failed() int64 {
	var failed int64
	for _, n := range r.Errors {
		failed += n
	}
	return failed
}

// Summarize fills in a row from the samples of its rounds.
func Summarize(row Row, samples []Sample) Row {
	row.Rounds = len(samples)
	if len(samples) == 0 {
		return row
	}
	row.Spread = make(map[string][2]float64)
	row.Errors = make(map[string]int64)
	for name, figure := range figures() {
		values := make([]float64, len(samples))
		for i := range samples {
			values[i] = figure.sample(&samples[i])
		}
		*figure.row(&row) = Median(values)
		if figure.spread {
			row.Spread[name] = [2]float64{slices.Min(values), slices.Max(values)}
		}
	}
	for _, s := range samples {
		row.Requests += s.Requests
		for name, n := range s.Errors {
			row.Errors[name] += n
		}
		row.TLS = s.TLS
	}
	return row
}

type figure struct {
	sample func(*Sample) float64
	row    func(*Row) *float64
	spread bool
}

func figures() map[string]figure {
	return map[string]figure{
		"cpu_us_per_request":      {func(s *Sample) float64 { return s.CPU }, func(r *Row) *float64 { return &r.CPU }, true},
		"rps":                     {func(s *Sample) float64 { return s.RPS }, func(r *Row) *float64 { return &r.RPS }, true},
		"p50_ms":                  {func(s *Sample) float64 { return s.P50 }, func(r *Row) *float64 { return &r.P50 }, true},
		"p99_ms":                  {func(s *Sample) float64 { return s.P99 }, func(r *Row) *float64 { return &r.P99 }, true},
		"rss_mb":                  {func(s *Sample) float64 { return s.RSS }, func(r *Row) *float64 { return &r.RSS }, true},
		"idle_kib_per_connection": {func(s *Sample) float64 { return s.IdleKiB }, func(r *Row) *float64 { return &r.IdleKiB }, false},
		"pss_mb":                  {func(s *Sample) float64 { return s.PSS }, func(r *Row) *float64 { return &r.PSS }, false},
		"log_lines":               {func(s *Sample) float64 { return s.LogLines }, func(r *Row) *float64 { return &r.LogLines }, false},
		"load":                    {func(s *Sample) float64 { return s.LoadCPU }, func(r *Row) *float64 { return &r.LoadCPU }, false},
		"second":                  {func(s *Sample) float64 { return s.SecondCPU }, func(r *Row) *float64 { return &r.SecondCPU }, false},
		"origin":                  {func(s *Sample) float64 { return s.OriginCPU }, func(r *Row) *float64 { return &r.OriginCPU }, false},
	}
}

// Median is the middle of the values, the mean of the middle two if their
// number is even, and 0 without values.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	default:
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
}

// Info says where, when and how a run was made.
type Info struct {
	ID        string            `json:"id"`
	Date      time.Time         `json:"date"`
	Commit    string            `json:"commit"`
	Machine   string            `json:"machine"`
	CPUs      int               `json:"cpus"`
	MemoryMB  int64             `json:"memory_mb"`
	Kernel    string            `json:"kernel"`
	Go        string            `json:"go"`
	Versions  map[string]string `json:"versions"`
	Rounds    int               `json:"rounds"`
	Duration  string            `json:"duration"`
	Warmup    string            `json:"warmup"`
	Pinned    bool              `json:"pinned"`
	Forwarded bool              `json:"peers_add_forwarded,omitempty"`
	Splice    bool              `json:"haproxy_splices,omitempty"`
	LogFormat string            `json:"appgw_log,omitempty"` // format of appgw's access log
	Quick     bool              `json:"quick"`
}

// Document is the file of results.
type Document struct {
	Runs    []Info `json:"runs"`
	Results []Row  `json:"results"`
}

// Load reads a document; a file that does not exist is an empty one.
func Load(path string) (*Document, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Document{}, nil
	}
	if err != nil {
		return nil, err
	}
	d := new(Document)
	return d, json.Unmarshal(text, d)
}

// Save writes the document.
func (d *Document) Save(path string) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// Merge takes over the rows of a run. Rows of the same case and log setting
// go, of all systems: figures are only comparable within a run.
func (d *Document) Merge(info Info, rows []Row) {
	replaced := func(old Row) bool {
		return slices.ContainsFunc(rows, func(r Row) bool { return r.Case == old.Case && r.Logs == old.Logs })
	}
	d.Results = slices.DeleteFunc(d.Results, replaced)
	for _, row := range rows {
		row.Run = info.ID
		d.Results = append(d.Results, row)
	}
	d.Runs = slices.DeleteFunc(d.Runs, func(run Info) bool { return run.ID == info.ID })
	d.Runs = slices.DeleteFunc(append(d.Runs, info), func(run Info) bool {
		return !slices.ContainsFunc(d.Results, func(r Row) bool { return r.Run == run.ID })
	})
}

// Row finds the row of a system in a case.
func (d *Document) Row(name, system, logs string) (Row, bool) {
	i := slices.IndexFunc(d.Results, func(r Row) bool {
		return r.Case == name && r.System == system && r.Logs == logs
	})
	if i < 0 || !d.Results[i].Measured() {
		return Row{}, false
	}
	return d.Results[i], true
}
