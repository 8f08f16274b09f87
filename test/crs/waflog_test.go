package crs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// entry is what is used of a line of the firewall's log.
type entry struct {
	PolicyID   string `json:"policyId"`
	RequestURI string `json:"requestUri"`
	RuleID     string `json:"ruleId"`
	Message    string `json:"message"`
	Severity   string `json:"severity"`
	Outcome    string `json:"outcome"`
	Response   bool   `json:"response"`
	Score      int    `json:"anomalyScore"`
	Details    struct {
		Data string `json:"data"`
	} `json:"details"`
}

// wafLog reads the firewall's log as it grows. The gateway writes it in
// batches; a reader who cannot wait writes marks and has the file reopened,
// which writes what there is.
//
// Lines are in order only within a shard, which goes by the port of the
// client. So there are two marks, of an even and an odd port.
type wafLog struct {
	gateway *gateway
	file    *os.File
	rest    []byte // an incomplete line
	marks   [2]*http.Client
	count   int
}

func openWAFLog(g *gateway) (*wafLog, error) {
	f, err := os.Open(g.wafLog)
	if err != nil {
		return nil, err
	}
	l := &wafLog{gateway: g, file: f}
	for i := range l.marks {
		l.marks[i] = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 1, DialContext: dialFrom(i)}}
	}
	return l, nil
}

func (l *wafLog) close() {
	for _, c := range l.marks {
		c.CloseIdleConnections()
	}
	l.file.Close()
}

// dialFrom connects from a port with this remainder by two. Left to itself,
// Linux connects from even ports.
func dialFrom(remainder int) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		for range 100 {
			local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 12000 + 2*rand.IntN(8000) + remainder}
			if c, err = (&net.Dialer{LocalAddr: local}).DialContext(ctx, network, addr); err == nil {
				return c, nil
			}
		}
		return nil, err
	}
}

// next returns the entries that were logged since the last call: all that
// were before it.
func (l *wafLog) next() ([]entry, error) {
	l.count++
	var paths [2]string
	for i, c := range l.marks {
		paths[i] = fmt.Sprintf("/mark/%d/%d", i, l.count)
		resp, err := c.Get("http://" + l.gateway.marks + paths[i])
		if err != nil {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if err := syscall.Kill(l.gateway.pid, syscall.SIGUSR1); err != nil {
		return nil, err
	}
	return l.until(paths[:])
}

// until reads until all marks are there.
func (l *wafLog) until(paths []string) (list []entry, err error) {
	missing := len(paths)
	for deadline := time.Now().Add(5 * time.Second); missing > 0; {
		lines, err := l.read()
		if err != nil {
			return nil, err
		}
		if len(lines) == 0 {
			if time.Now().After(deadline) {
				return nil, errors.New("the marks do not appear in the log")
			}
			time.Sleep(200 * time.Microsecond)
			continue
		}
		for _, line := range lines {
			var e entry
			if err := json.Unmarshal(line, &e); err != nil {
				return nil, fmt.Errorf("line of the log: %w: %s", err, line)
			}
			switch {
			case e.PolicyID != "marks":
				list = append(list, e)
			case e.Outcome != "" && strings.Contains(strings.Join(paths, " ")+" ", e.RequestURI+" "):
				missing--
			}
		}
	}
	return list, nil
}

// read returns the lines that have become complete.
func (l *wafLog) read() (lines [][]byte, err error) {
	data, err := io.ReadAll(l.file)
	if err != nil {
		return nil, err
	}
	l.rest = append(l.rest, data...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return lines, nil
		}
		lines = append(lines, bytes.Clone(line))
		l.rest = rest
	}
}
