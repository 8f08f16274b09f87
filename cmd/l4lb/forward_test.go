package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/health"
)

// What forward and demo stand for is a good configuration, without warnings.
func TestPrintedConfigurationsAreGood(t *testing.T) {
	for _, args := range []string{
		"forward --listen tcp/:5432 --to 10.0.0.4:5432,10.0.0.5 --probe tcp --print-config",
		"forward --listen tcp/[2001:db8::1]:443 --to app.internal --probe https:/healthz --proxy-protocol v2 --distribution sourceIP --idle-timeout 90s --print-config",
		"forward --listen udp/127.0.0.1:53 --to 10.0.0.4 --admin off --print-config",
		"demo --print-config",
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &out, &errs); code != 0 {
			t.Errorf("%s: %d %s", args, code, &errs)
			continue
		}
		if _, warnings, err := config.ParseLoadBalancer("l.yaml", out.Bytes()); err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v %v\n%s", args, warnings, err, &out)
		}
	}
}

func TestWrongFlagsSayWhatIsWanted(t *testing.T) {
	for args, want := range map[string]string{
		"forward --listen :5432 --to 10.0.0.4":                      `--listen ":5432": want tcp/ADDRESS:PORT or udp/ADDRESS:PORT`,
		"forward --listen tcp/:5432 --to 10.0.0.4 --probe ping":     `--probe "ping": want tcp, http:/healthz`,
		"forward --listen sctp/:5432 --to 10.0.0.4":                 `--listen "sctp/:5432": want`,
		"forward --listen tcp/:5432 --to 10.0.0.4 --idle-timeout 1": `a duration needs a unit`,
		"explain --to 10.0.0.1:80":                                  "--from and --to are needed",
		"demo --listen 8070":                                        "want an address and a port",
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &out, &errs); code != 1 || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: %d %s", args, code, &errs)
		}
	}
}

func TestReasonCodes(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		protocol config.L4ProbeProtocol
		status   health.Status
		want     string
	}{
		{config.L4ProbeTCP, health.Status{}, "NA"},
		{config.L4ProbeTCP, health.Status{State: health.Healthy, Streak: 3, Checked: now}, "Up_Probe_Success"},
		{config.L4ProbeTCP, health.Status{State: health.Healthy, Streak: -1, Checked: now, Reason: "timeout after 1s"}, "Up_Probe_ApproachingUnhealthyThreshold"},
		{config.L4ProbeTCP, health.Status{State: health.Unhealthy, Streak: 1, Checked: now}, "Down_Probe_ApproachingHealthyThreshold"},
		{config.L4ProbeTCP, health.Status{State: health.Unhealthy, Streak: -2, Checked: now, Reason: "timeout after 1s"}, "Down_Probe_TcpProbeTimeout"},
		{config.L4ProbeHTTP, health.Status{State: health.Unhealthy, Streak: -1, Checked: now, Reason: "status 503 not in 200"}, "Down_Probe_HttpStatusCodeError"},
		{config.L4ProbeHTTP, health.Status{State: health.Unhealthy, Streak: -2, Checked: now, Reason: "timeout after 1s"}, "Down_Probe_HttpNoResponse"},
		{config.L4ProbeHTTPS, health.Status{State: health.Unhealthy, Streak: -1, Checked: now, Reason: "connect refused"}, "Down_Probe_HttpEndpointUnreachable"},
	} {
		if got := reasonCode(&config.L4Probe{Protocol: tt.protocol}, tt.status); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.status, got, tt.want)
		}
	}
}

func TestBytesForPeople(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1.0 KB", 1_500_000: "1.5 MB", 1 << 63: "9.2 EB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
