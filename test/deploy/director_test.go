package deploy

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

const directorFile = "deploy/director/trafficmgr.yaml"

// The configuration that the image is shown with is one for its ports.
func TestDirectorsConfigurationFitsItsImage(t *testing.T) {
	conf, warnings, err := config.LoadTrafficManager(filepath.Join(testkit.ModuleRoot(t), directorFile))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("errors %v, warnings %v", err, warnings)
	}
	exposed := final(t, directorImage, "EXPOSE")
	for _, l := range conf.Listen {
		if !strings.Contains(exposed, l.Address.String()[strings.LastIndex(l.Address.String(), ":")+1:]+"/udp") {
			t.Errorf("%v is not exposed: %q", l.Address, exposed)
		}
	}
	readme := file(t, "deploy/README.md")
	for _, part := range []string{directorImage, "deploy/director", "53:8053/udp", "53:8053/tcp"} {
		if !strings.Contains(readme, part) {
			t.Errorf("deploy/README.md does not name %s", part)
		}
	}
}

// What the image lets it write, its user can.
func TestDirectorsStateIsItsOwn(t *testing.T) {
	for _, i := range dockerfile(t, directorImage) {
		if i.name == "COPY" && strings.HasSuffix(i.args, " /var/lib/gatehouse") {
			if !strings.Contains(i.args, "--chown="+final(t, directorImage, "USER")+" ") {
				t.Errorf("COPY %s: of another user", i.args)
			}
			return
		}
	}
	t.Error("there is no /var/lib/gatehouse")
}

func TestDirectorStartsInAnEmptyRootAsAnOrdinaryUser(t *testing.T) {
	needRoot(t)
	listen, admin := testkit.FreeAddr(t), testkit.FreeAddr(t)
	// What is shipped, on other ports.
	conf := strings.NewReplacer("address: 127.0.0.1:9902", `address: "`+admin+`"`, "metrics: {address: :9100}", "", "address: :8053", `address: "`+listen+`"`).Replace(file(t, directorFile))
	root := layOut(t, directorImage, "./cmd/trafficmgr", conf)
	p := testkit.Start(t, inside(root, startCommand(t, directorImage)))
	p.WaitReady("http://"+admin+"/readyz", 20*time.Second)
	for _, network := range []string{"udp", "tcp"} {
		c := &dns.Client{Net: network, Timeout: 5 * time.Second}
		r, _, err := c.Exchange(new(dns.Msg).SetQuestion("www.lab.test.", dns.TypeA), listen)
		if err != nil || len(r.Answer) != 1 || !strings.HasSuffix(r.Answer[0].String(), "192.0.2.10") {
			t.Errorf("%s: %v, %v", network, r, err)
		}
	}
	if status := statusLines(t, p.Pid); !strings.HasPrefix(status["Uid"], "65532") || status["CapEff"] != "0000000000000000" {
		t.Errorf("runs as %s with capabilities %s", status["Uid"], status["CapEff"])
	}
	for _, want := range []int{0, 1} {
		health := testkit.Start(t, inside(root, healthCommand(t, directorImage)))
		if code := health.Wait(10 * time.Second); code != want {
			t.Errorf("the health check exits with %d, want %d", code, want)
		}
		if code := p.Stop(20 * time.Second); want == 0 && code != 0 {
			t.Errorf("exit status %d after SIGTERM", code)
		}
	}
}
