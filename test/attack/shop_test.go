package attack

import (
	"bufio"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// soon is how long anything may take that should happen at once, on a machine that is busy.
const soon = 20 * time.Second

// agent is the browser that requests claim to be from: by its own name sqlmap is known at once.
const agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

// needPrograms skips the test where the attacker or the shop cannot run.
func needPrograms(t *testing.T) {
	t.Helper()
	for _, name := range []string{"sqlmap", "python3"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is missing: scripts/need.sh %[1]s=%[1]s installs it", name)
		}
	}
}

// startShop runs the shop and returns where it is.
func startShop(t *testing.T) string {
	t.Helper()
	cmd := exec.Command("python3", "testdata/shop.py")
	if _, err := cmd.StdinPipe(); err != nil { // it lives until its input ends
		t.Fatal(err)
	}
	line := testkit.Start(t, cmd).WaitLine("shop at ", soon)
	return line[strings.LastIndexByte(line, ' ')+1:]
}

// gateway is an appgw in front of the shop.
type gateway struct {
	addr, admin string
}

// startGateway runs the proxy of the command line with the firewall in that mode, and nothing else set. Its logs are long, and
// go nowhere.
func startGateway(t *testing.T, shop, mode string) *gateway {
	t.Helper()
	g := &gateway{addr: testkit.FreeAddr(t), admin: testkit.FreeAddr(t)}
	cmd := exec.Command("/bin/sh", "-c", `exec "$@" >/dev/null`, "sh", testkit.Build(t, "./cmd/appgw"),
		"proxy", "--admin", g.admin, "--waf", mode, "--from", g.addr, "--to", "http://"+shop)
	p := testkit.Start(t, cmd)
	p.WaitReady("http://"+g.admin+"/readyz", soon)
	testkit.Eventually(t, soon, "the shop to answer", func() bool {
		return testkit.Exchange(t, g.addr, get("/")).StatusCode == http.StatusOK
	})
	return g
}

// blocked counts the requests that the firewall has blocked.
func (g *gateway) blocked(t *testing.T) (n int) {
	t.Helper()
	resp, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if count, ok := strings.CutPrefix(lines.Text(), `gatehouse_waf_messages_total{outcome="blocked",policy="waf"} `); ok {
			n, err = strconv.Atoi(count)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}
