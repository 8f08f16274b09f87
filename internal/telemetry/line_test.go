package telemetry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// hostileRecord has everything a client chooses at its worst: far too long,
// and of bytes that grow most when escaped.
func hostileRecord() *Record {
	r := usualRecord()
	long := []byte(strings.Repeat("\"\\\x00\x1b[31m\xff\xe2\x80\xa8\n\U000E0001", 4000))
	r.Method, r.Target, r.Path, r.Query = long, long, long, long
	r.Host, r.HostSent, r.UserAgent, r.Referer, r.ContentType = long, long, long, long, long
	s := string(bytes.Repeat([]byte{0}, 10000))
	r.Listener, r.Rule, r.PathRule, r.Pool, r.Settings, r.Backend = s, s, s, s, s, s
	r.Proto, r.ServerName, r.Reason, r.ErrorInfo = s, s, s, s
	r.WAFPolicy, r.WAFMode, r.WAFAction, r.WAFEvaluationTime = s, s, s, math.MaxInt64
	r.PeerAddr = netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:65535")
	r.ClientAddr = netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:7777]:65535")
	r.TLS = true
	r.Termination = Termination{0, '"'}
	r.TraceID = [32]byte(bytes.Repeat([]byte{'"'}, 32))
	for _, n := range []*int64{&r.BytesIn, &r.BytesOut, &r.BackendIn, &r.BackendOut, &r.Start} {
		*n = math.MaxInt64
	}
	for _, n := range []*int64{&r.Th, &r.Ti, &r.TR, &r.Tw, &r.Tc, &r.Tr, &r.Td, &r.Ta} {
		*n = math.MaxInt64 / 4
	}
	r.Status, r.BackendStatus, r.Retries = math.MinInt64, math.MinInt64, math.MinInt64
	return r
}

func jsonLine(t testing.TB, r *Record) map[string]any {
	t.Helper()
	line := new(encoder).json(nil, r)
	checkLine(t, line)
	var m map[string]any
	if err := json.Unmarshal(line, &m); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return m
}

// checkLine checks what holds for every line of either format.
func checkLine(t testing.TB, line []byte) {
	t.Helper()
	if len(line) > maxLineSize {
		t.Errorf("line of %d bytes", len(line))
	}
	if n := bytes.IndexByte(line, '\n'); n != len(line)-1 {
		t.Errorf("line break at %d of %d", n, len(line))
	}
	if !utf8.Valid(line) {
		t.Errorf("invalid UTF-8: %q", line)
	}
	for _, r := range string(bytes.TrimSuffix(line, []byte("\n"))) {
		if !unicode.IsPrint(r) {
			t.Fatalf("%U in %q", r, line)
		}
	}
}

func TestJSONLineHasAzuresFacts(t *testing.T) {
	r := usualRecord()
	r.TLS, r.TLSVersion, r.Cipher, r.ServerName = true, 0x0303, 0xC02F, "shop.example"
	r.ClientVerify, r.ClientFingerprint, r.ClientIssuer = "SUCCESS", "0a1b", `CN=ca \"x\"`
	r.Start = time.Date(2026, 11, 24, 11, 40, 23, 7_999_999, time.UTC).UnixNano()
	r.PeerAddr = netip.MustParseAddrPort("[::ffff:10.1.1.1]:99")
	r.Tc, r.Reused, r.Retries = 3_000_000, false, 1
	want := map[string]any{
		"timeStamp": "2026-11-24T11:40:23.007Z", "listenerName": "shop", "ruleName": "shop", "pathRuleName": "images",
		"backendPoolName": "images", "backendSettingName": "plain", "clientIP": "203.0.113.77", "clientPort": 51514.0,
		"peerIP": "10.1.1.1", "peerPort": 99.0,
		"httpMethod": "GET", "requestUri": "/images/2026/11/logo.png", "requestQuery": "size=large&v=3",
		"originalRequestUriWithArgs": "/images/2026/11/logo.png?size=large&v=3", "httpVersion": "HTTP/1.1",
		"originalHost": "shop.example", "host": "shop.example",
		"userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
		"referer":   "https://shop.example/catalogue", "contentType": "image/png",
		"httpStatus": 200.0, "receivedBytes": 412.0, "sentBytes": 10421.0, "timeTaken": 0.000862,
		"transactionId": "0123456789abcdef0123456789abcdef",
		"sslEnabled":    "on", "sslCipher": "ECDHE-RSA-AES128-GCM-SHA256", "sslProtocol": "TLSv1.2", "sslServerName": "shop.example",
		"sslClientVerify": "SUCCESS", "sslClientCertificateFingerprint": "0a1b", "sslClientCertificateIssuerName": `CN=ca \"x\"`,
		"serverRouted": "10.0.0.9:8080", "serverStatus": 200.0, "serverConnectTime": 0.003, "serverHeaderTime": 0.003812,
		"serverResponseLatency": 0.003848, "serverReceivedBytes": 10388.0, "serverSentBytes": 502.0,
		"reused": false, "retries": 1.0, "termination": "--", "error_info": "ERRORINFO_NO_ERROR",
		"timers": map[string]any{"Th": 0.0, "Ti": 0.001203, "TR": 0.000014, "Tw": 0.0, "Tc": 0.003, "Tr": 0.000812, "Td": 0.000036, "Ta": 0.000862},
	}
	got := jsonLine(t, r)
	for k, w := range want {
		if fmt.Sprint(got[k]) != fmt.Sprint(w) {
			t.Errorf("%s is %v, want %v", k, got[k], w)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%s is in the line and not in the test", k)
		}
	}
}

func TestJSONLineOfARefusedRequest(t *testing.T) {
	r := new(Record)
	r.Reset()
	r.Status, r.Termination = 400, Termination{'P', 'R'}
	r.Reason, r.ErrorInfo = "two Host fields", ErrorInfoInvalidHost
	m := jsonLine(t, r)
	want := map[string]string{
		"httpStatus": "400", "termination": "PR", "reason": "two Host fields", "error_info": "ERRORINFO_INVALID_HOST",
		"clientIP": "", "sslEnabled": "off", "timeTaken": "0", "transactionId": "",
	}
	for k, w := range want {
		if got := fmt.Sprint(m[k]); got != w {
			t.Errorf("%s is %q, want %q", k, got, w)
		}
	}
	for _, k := range []string{"serverRouted", "serverStatus", "sslCipher", "sslClientVerify", "referer", "peerIP"} {
		if v, ok := m[k]; ok {
			t.Errorf("%s is %v, want none", k, v)
		}
	}
	for k, v := range m["timers"].(map[string]any) {
		if v != -1.0 {
			t.Errorf("timer %s is %v, want -1", k, v)
		}
	}
}

func TestJSONLineSaysWhatTheFirewallDid(t *testing.T) {
	keys := []string{"WAFEvaluationTime", "WAFMode", "WAFPolicyID", "WAFAction"}
	r := usualRecord()
	m := jsonLine(t, r)
	for _, key := range keys {
		if v, ok := m[key]; ok {
			t.Errorf("%s is %v without a firewall", key, v)
		}
	}
	r.WAFPolicy, r.WAFMode, r.WAFAction, r.WAFEvaluationTime = "strict", "Prevention", "Blocked", 1_234_567
	m = jsonLine(t, r)
	for i, want := range []any{0.001234, "Prevention", "strict", "Blocked"} {
		if m[keys[i]] != want {
			t.Errorf("%s is %v, want %v", keys[i], m[keys[i]], want)
		}
	}
	r.Reset()
	if r.WAFPolicy != "" || r.WAFEvaluationTime != 0 {
		t.Error("the next exchange has them, too")
	}
}

func TestCombinedLine(t *testing.T) {
	r := usualRecord()
	r.Start = time.Date(2026, 11, 24, 11, 40, 23, 0, time.UTC).UnixNano()
	refused := new(Record)
	refused.Reset()
	hostile := usualRecord()
	hostile.Start = r.Start
	hostile.UserAgent, hostile.Referer = []byte("a\"b\x1b[31m\r\n\xc3\xa9\\"), nil
	tests := []struct {
		name   string
		record *Record
		want   string
	}{
		{"usual", r, `203.0.113.77 - - [24/Nov/2026:11:40:23 +0000] "GET /images/2026/11/logo.png?size=large&v=3 HTTP/1.1" 200 10421 "https://shop.example/catalogue" "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"` + "\n"},
		{"nothing understood", refused, `- - - [01/Jan/1970:00:00:00 +0000] "-" - 0 "-" "-"` + "\n"},
		{"hostile agent", hostile, `203.0.113.77 - - [24/Nov/2026:11:40:23 +0000] "GET /images/2026/11/logo.png?size=large&v=3 HTTP/1.1" 200 10421 "-" "a\"b\x1b[31m\r\n\xc3\xa9\\"` + "\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := new(encoder).combined(nil, tt.record)
			checkLine(t, got)
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestLineIsBounded(t *testing.T) {
	var e encoder
	r := hostileRecord()
	checkLine(t, e.json(nil, r))
	checkLine(t, e.combined(nil, r))
	m := jsonLine(t, r)
	if u := m["requestUri"].(string); !strings.HasSuffix(u, truncated) {
		t.Error("a URL that was cut does not say so")
	}
	long := usualRecord()
	long.Target = bytes.Repeat([]byte{'a'}, maxURL)
	if got := jsonLine(t, long)["originalRequestUriWithArgs"]; got != string(long.Target) {
		t.Error("a URL of the greatest allowed length was cut")
	}
}

func TestStampFollowsTheSecond(t *testing.T) {
	var e encoder
	base := time.Date(2026, 12, 31, 23, 59, 58, 0, time.UTC)
	for _, d := range []time.Duration{0, 999 * time.Millisecond, time.Second, time.Hour, -time.Second, 2 * time.Second} {
		at := base.Add(d)
		for _, layout := range []string{jsonStamp, combinedStamp, jsonStamp} {
			if got, want := string(e.appendStamp(nil, at.UnixNano(), layout)), at.Format(layout); got != want {
				t.Errorf("%v: %s, want %s", d, got, want)
			}
		}
	}
}

func TestSeconds(t *testing.T) {
	tests := map[int64]string{
		-1: "-1", 0: "0", 1: "0.000000", 1000: "0.000001", 123_456_789: "0.123456",
		999_999_999: "0.999999", 1_000_000_000: "1.000000", 61_002_003_004: "61.002003",
	}
	for ns, want := range tests {
		if got := string(appendSeconds(nil, ns)); got != want {
			t.Errorf("%d ns is %s, want %s", ns, got, want)
		}
	}
}

func FuzzJSONEscape(f *testing.F) {
	for _, s := range []string{"", "plain", "12345678\"", "\x7f1234567", "\xff\xfe", "\u2028\u2029", "\U000E0001é", "\\u0041", "\ufffd", "a\x00b\x1b[0m\r\n\t"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		out := appendJSON([]byte{'"'}, s, 12*len(s)+64)
		out = append(out, '"')
		checkLine(t, append(bytes.Clone(out), '\n'))
		var got string
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		want := string([]rune(string(s))) // each invalid byte is one U+FFFD
		if got != want {
			t.Errorf("%q becomes %q, want %q", s, got, want)
		}
		if cut := appendJSON(nil, s, 40); len(cut) > 40 || json.Unmarshal([]byte(`"`+string(cut)+`"`), &got) != nil {
			t.Errorf("cut to 40 bytes: %q", cut)
		}
	})
}

func FuzzCombinedEscape(f *testing.F) {
	for _, s := range []string{"plain", "12345678\"", "\x7f1234567", "\xff\xfe", "\\x41", "a\x00b\x1b[0m\r\n\t", "-"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		if len(s) == 0 {
			return
		}
		out := appendQuoted(nil, s, 12*len(s)+64)
		checkLine(t, append(bytes.Clone(out), '\n'))
		// Go's own quoting knows the same escapes.
		got, err := strconv.Unquote(`"` + string(out) + `"`)
		if err != nil || got != string(s) {
			t.Errorf("%q becomes %q, which reads %q, %v", s, out, got, err)
		}
		if cut := appendQuoted(nil, s, 40); len(cut) > 40 {
			t.Errorf("cut to 40 bytes: %q", cut)
		}
	})
}
