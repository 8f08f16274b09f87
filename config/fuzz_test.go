package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func manyListeners(n int) string {
	var b strings.Builder
	b.WriteString(backends + "listeners:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: l%d, address: 8080, hostNames: [h%d.example, \"*.h%d.example\"]}\n", i, i, i)
	}
	b.WriteString("rules:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: r%d, priority: %d, listener: l%d, backendPool: app, backendSettings: plain}\n", i, i+1, i)
	}
	return b.String()
}

// Whatever the bytes: no panic, errors that point into the file, and what is
// accepted stands up to the same checks again and to the schema's table.
func FuzzParseGateway(f *testing.F) {
	for _, tt := range slices.Concat(refused, refusedPolicies, refusedRewrites, refusedCaches) {
		f.Add([]byte(tt.text + tt.rest))
	}
	for _, tt := range slices.Concat(suspicious, suspiciousPolicies) {
		f.Add([]byte(tt.text))
	}
	f.Add([]byte(everything))
	f.Add([]byte(everyFirewallKey))
	f.Add([]byte(everyRewriteKey))
	f.Add([]byte(everyMatchKey))
	f.Add([]byte(web + firewalls))
	if data, err := os.ReadFile("testdata/names.yaml"); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g, warnings, err := ParseGateway("f.yaml", data)
		for _, w := range warnings {
			inFile(t, data, Error(w))
		}
		if err == nil {
			standsUp(t, g, data)
			return
		}
		var all Errors
		if g != nil || !errors.As(err, &all) || len(all) == 0 {
			t.Fatalf("gateway %v beside error %v", g, err)
		}
		inOrder(t, data, all)
	})
}

func inOrder(t *testing.T, data []byte, all Errors) {
	t.Helper()
	line := 0
	for _, e := range all {
		inFile(t, data, e)
		if e.Line < line {
			t.Errorf("line %d after line %d", e.Line, line)
		}
		line = e.Line
	}
}

func inFile(t *testing.T, data []byte, e Error) {
	t.Helper()
	if e.Line < 1 || e.Column < 1 || e.Line > lines(data) {
		t.Errorf("%d:%d is not in a file of %d lines: %s", e.Line, e.Column, lines(data), e.Message)
	}
	if e.Message == "" || strings.ContainsFunc(e.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("message %q", e.Error())
	}
}

func standsUp(t *testing.T, g *Gateway, data []byte) {
	t.Helper()
	r := newReport("f.yaml")
	before := fmt.Sprintf("%+v", g)
	finish(g)
	check(g, r)
	if err := r.errors(); err != nil {
		t.Errorf("accepted, then refused: %v", err)
	}
	if after := fmt.Sprintf("%+v", g); after != before {
		t.Errorf("changed by a second pass:\n%s\n%s", before, after)
	}
	again, _, err := ParseGateway("f.yaml", bytes.Clone(data))
	if err != nil || !reflect.DeepEqual(g, again) {
		t.Errorf("parsed twice, got two results: %v", err)
	}
}

func BenchmarkParseTenThousandListeners(b *testing.B) {
	data := []byte(manyListeners(10_000))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, _, err := ParseGateway("f.yaml", data); err != nil {
			b.Fatal(err)
		}
	}
}
