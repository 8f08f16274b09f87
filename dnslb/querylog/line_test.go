package querylog

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func lineOf(r Record) string {
	var e entry
	e.set(&r)
	return string(appendLine(nil, &e, new(stamp)))
}

func TestLineHasTheFactsOfAQuery(t *testing.T) {
	tests := []struct {
		name   string
		change func(r *Record)
		want   string
	}{
		{"everything", func(*Record) {},
			`{"time":"2026-03-04T05:06:07.008009Z","client":"192.0.2.7:5353","local":"[2001:db8::1]:53","transport":"udp",` +
				`"name":"www.tm.example.","type":"A","class":"IN","rcode":"NOERROR","size":61,"aa":true,"do":true,` +
				`"ecs":"203.0.113.0/24","scope":20,"profile":"www","endpoint":"west","took_us":42}`},
		{"several endpoints, no subnet", func(r *Record) {
			r.Subnet, r.TC, r.Endpoints = netip.Prefix{}, true, []string{"west", "ea\"st\n"}
		},
			`{"time":"2026-03-04T05:06:07.008009Z","client":"192.0.2.7:5353","local":"[2001:db8::1]:53","transport":"udp",` +
				`"name":"www.tm.example.","type":"A","class":"IN","rcode":"NOERROR","size":61,"aa":true,"tc":true,"do":true,` +
				`"profile":"www","endpoint":"west","endpoints":["west","ea\"st\u000a"],"took_us":42}`},
		{"refused, codes without a name", func(r *Record) {
			*r = Record{Time: start, Transport: "tcp", Name: []byte{0}, Type: 65333, Class: 77, Rcode: 4000,
				Client: netip.MustParseAddrPort("[::ffff:192.0.2.7]:1"), Local: netip.MustParseAddrPort("[fe80::1%eth\"0]:53")}
		},
			`{"time":"2026-03-04T05:06:07.008009Z","client":"192.0.2.7:1","local":"[fe80::1]:53","transport":"tcp",` +
				`"name":".","type":"TYPE65333","class":"CLASS77","rcode":"RCODE4000","size":0,"took_us":0}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := sample()
			tt.change(&r)
			got := lineOf(r)
			if got != tt.want+"\n" {
				t.Errorf("got  %swant %s", got, tt.want)
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("not JSON: %s", got)
			}
		})
	}
}

// The name in a line is what another implementation makes of the same bytes,
// and no name breaks out of its string.
func FuzzNameIsSafe(f *testing.F) {
	for _, s := range []string{"\x03www\x00", "\x00", "", "\x05a.\"\\b\x03\x00\n\xff\x00", "\x09\x41", "\xff", "\x3f" + strings.Repeat("\x01", 63) + "\x00", "\x07 ';@()\x7f\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, name []byte) {
		r := sample()
		r.Name = name
		text := lineOf(r)
		if len(text) > 2000 || countLines([]byte(text)) != 1 {
			t.Fatalf("%d bytes, %d lines", len(text), countLines([]byte(text)))
		}
		var line struct{ Name, Type string }
		if err := json.Unmarshal([]byte(text), &line); err != nil || line.Type != "A" {
			t.Fatalf("%v: %q", err, text)
		}
		want, end, err := dns.UnpackDomainName(name, 0)
		if err != nil || end != len(name) || len(name) > maxName || bytes.ContainsAny(name[:min(1, len(name))], "\xc0") {
			return
		}
		if len(name) > 0 && line.Name != want {
			t.Errorf("%q: got %q, want %q", name, line.Name, want)
		}
	})
}
