package deploy

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

const balancerFile = "deploy/balancer/l4lb.yaml"

// The configuration that the image is shown with is one for its ports.
func TestBalancersConfigurationFitsItsImage(t *testing.T) {
	conf, warnings, err := config.LoadLoadBalancer(filepath.Join(testkit.ModuleRoot(t), balancerFile))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("errors %v, warnings %v", err, warnings)
	}
	for _, want := range []string{"frontendPort: 5432", "frontendPort: 8053"} {
		if !strings.Contains(file(t, balancerFile), want) {
			t.Errorf("no %s", want)
		}
	}
	if exposed := final(t, balancerImage, "EXPOSE"); len(conf.Rules) != 2 || !strings.Contains(exposed, "5432/tcp") || !strings.Contains(exposed, "8053/udp") {
		t.Errorf("%d rules, exposed %q", len(conf.Rules), exposed)
	}
	readme := file(t, "deploy/README.md")
	for _, part := range []string{balancerImage, "deploy/balancer", "5432:5432", "53:8053/udp"} {
		if !strings.Contains(readme, part) {
			t.Errorf("deploy/README.md does not name %s", part)
		}
	}
}

func TestBalancerStartsInAnEmptyRootAsAnOrdinaryUser(t *testing.T) {
	needRoot(t)
	member := testkit.NewBackend(t, nil)
	listen, admin := testkit.FreeAddr(t), testkit.FreeAddr(t)
	port := listen[strings.LastIndex(listen, ":")+1:]
	// What is shipped, on other ports and with a member that is here.
	conf := strings.NewReplacer("127.0.0.1:9902", admin, "metrics: {address: :9100}", "", `"0.0.0.0"`, "127.0.0.1", "192.0.2.10, 192.0.2.20", `"`+member.Addr+`"`,
		", port: 5432", "", "frontendPort: 5432", "frontendPort: "+port, "frontendPort: 8053", "frontendPort: "+port).Replace(file(t, balancerFile))
	root := layOut(t, balancerImage, "./cmd/l4lb", conf)
	p := testkit.Start(t, inside(root, startCommand(t, balancerImage)))
	p.WaitReady("http://"+admin+"/readyz", 20*time.Second)
	if r := testkit.Get(t, listen, "any.test", "/path"); r.StatusCode != 200 {
		t.Errorf("status %d", r.StatusCode)
	}
	if status := statusLines(t, p.Pid); !strings.HasPrefix(status["Uid"], "65532") || status["CapEff"] != "0000000000000000" {
		t.Errorf("runs as %s with capabilities %s", status["Uid"], status["CapEff"])
	}
	for _, want := range []int{0, 1} {
		health := testkit.Start(t, inside(root, healthCommand(t, balancerImage)))
		if code := health.Wait(10 * time.Second); code != want {
			t.Errorf("the health check exits with %d, want %d", code, want)
		}
		if code := p.Stop(20 * time.Second); want == 0 && code != 0 {
			t.Errorf("exit status %d after SIGTERM", code)
		}
	}
}
