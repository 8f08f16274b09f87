package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// certificateStatus is a certificate of a listener as /status shows it.
type certificateStatus struct {
	Listener string    `json:"listener"`
	Name     string    `json:"name"` // its file, or acme: and the name it is for
	Names    []string  `json:"names,omitempty"`
	NotAfter time.Time `json:"notAfter,omitzero"` // zero: there is none yet
	Error    string    `json:"error,omitempty"`   // why there is no newer one
	Tried    time.Time `json:"tried,omitzero"`

	Staple    time.Time `json:"staple,omitzero"`     // until when the OCSP answer that is sent with it is in force
	OCSPError string    `json:"ocspError,omitempty"` // why there is no newer one
}

// certificateStatus is the state of every certificate, in the order of the
// configuration, the managed ones last.
func (a *app) certificateStatus(r *running) []certificateStatus {
	var all []certificateStatus
	for _, s := range r.certs.Status() {
		all = append(all, certificateStatus{Listener: s.Listener, Name: s.CertFile, Names: s.Names, NotAfter: s.NotAfter, Error: s.Error,
			Staple: s.Staple, OCSPError: s.OCSPError})
	}
	for _, s := range a.acme.Status() {
		all = append(all, certificateStatus{Listener: s.Listener, Name: "acme:" + s.Name, Names: []string{s.Name}, NotAfter: s.NotAfter, Error: s.Error, Tried: s.Tried})
	}
	return all
}

// staple says whether an OCSP answer is sent, for people.
func (c *certificateStatus) staple() string {
	if c.Staple.IsZero() {
		return "-"
	}
	return c.Staple.Format(time.DateTime)
}

func printCertificates(w io.Writer, all []certificateStatus) {
	if len(all) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CERTIFICATE\tLISTENER\tEXPIRES\tSTAPLE\tERROR")
	for _, c := range all {
		expires := "none yet"
		if !c.NotAfter.IsZero() {
			expires = c.NotAfter.Format(time.DateTime)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", c.Name, c.Listener, expires, c.staple(), strings.ReplaceAll(c.Error+c.OCSPError, "\n", " "))
	}
	t.Flush()
	fmt.Fprintln(w)
}

// stapleCollector shows until when the OCSP answers are in force that are sent.
type stapleCollector struct{ a *app }

var stapleExpiry = prometheus.NewDesc("gatehouse_ocsp_staple_expiry_timestamp_seconds",
	"When the OCSP answer ends that is sent with a certificate; no line while none is sent.", []string{"listener", "certificate"}, nil)

func (c stapleCollector) Describe(ch chan<- *prometheus.Desc) { ch <- stapleExpiry }

func (c stapleCollector) Collect(ch chan<- prometheus.Metric) {
	seen := map[[2]string]bool{}
	for _, s := range c.a.running().certs.Status() {
		if id := [2]string{s.Listener, s.CertFile}; !s.Staple.IsZero() && !seen[id] {
			seen[id] = true
			ch <- prometheus.MustNewConstMetric(stapleExpiry, prometheus.GaugeValue, float64(s.Staple.Unix()), s.Listener, s.CertFile)
		}
	}
}
