//go:build linux

package load

import "testing"

const h2report = `
finished in 2.04s, 49017.35 req/s, 8.37MB/s
requests: 100000 total, 100000 started, 100000 done, 99998 succeeded, 2 failed, 0 errored, 0 timeout
status codes: 99998 2xx, 0 3xx, 2 4xx, 0 5xx
traffic: 17.07MB (17900272) total, 4.58MB (4800144) headers (space savings 67.12%), 12.21MB (12799744) data
`

func TestReportsOfH2load(t *testing.T) {
	r, err := parseH2load([]byte(h2report), 128)
	if err != nil || r.Requests != 99_998 || r.RPS != 49017.35 || r.Seconds != 2.04 || r.Errors["failed"] != 2 || r.Errors["bytes missing"] != 256 {
		t.Errorf("%v, %+v", err, r)
	}
	if r, err = parseH2load([]byte(h2report), AnyLength); err != nil || r.Failed() != 2 {
		t.Errorf("%v, %+v", err, r)
	}
	if _, err = parseH2load([]byte("usage"), 128); err == nil {
		t.Error("no report is one")
	}
}
