package attack

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// longestRun is how long sqlmap may take for one entry point; without a firewall to fight it needs two seconds.
const longestRun = 3 * time.Minute

// entry is a place of the shop where SQL can be injected.
type entry struct {
	name  string
	path  string
	flags []string // beside the URL: the rest of the request, and which parameter is under attack
}

var entries = []entry{
	{"number in the query", "/product?id=1", []string{"-p", "id"}},
	{"text in the query", "/search?name=lamp", []string{"-p", "name"}},
	{"field of a form", "/login", []string{"--data", "user=ada&password=secret", "-p", "user"}},
	{"member of JSON", "/api/search", []string{"--data", `{"q":"lamp","limit":5}`, "-p", "q"}},
	{"cookie", "/basket", []string{"--cookie", "basket=a1b2", "-p", "basket"}},
}

// disguise is how payloads are spelt, and what else an attack does to get through.
type disguise struct {
	name  string
	flags []string
}

// disguises are those of sqlmap that keep SQL valid for the shop's database.
var disguises = []disguise{
	{"as it is", nil},
	{"comments for spaces", []string{"--tamper", "space2comment"}},
	{"no comparisons", []string{"--tamper", "between"}},
	{"every character encoded", []string{"--tamper", "charencode"}},
	{"random case", []string{"--tamper", "randomcase"}},
	{"all at once", []string{"--tamper", "between,randomcase,space2comment,charencode"}},
	{"encoded twice", []string{"--tamper", "chardoubleencode"}},
	{"escapes of JSON", []string{"--tamper", "charunicodeescape"}},
	{"other spaces", []string{"--tamper", "space2randomblank,randomcase"}},
	{"every parameter twice", []string{"--hpp"}},
	{"by time, too", []string{"--technique", "BEUQT", "--time-sec", "1"}},
	{"without knowing the database", []string{"--dbms", "", "--technique", "BU"}},
}

// result is what became of a run of sqlmap.
type result struct {
	injection string // what it found, as it puts it; empty: nothing
	output    string
	gaveUp    bool // it came to the end and said that nothing can be injected
}

// attack runs sqlmap against an entry point at an address.
func (e entry) attack(t *testing.T, addr string, d disguise) result {
	t.Helper()
	dir := t.TempDir()
	args := []string{"--batch", "--ignore-stdin", "--level", "3", "--risk", "2", "--skip-waf", "--disable-coloring", "--threads", "2", "--timeout", "10",
		"--user-agent", agent, "--host", "shop.test", "--output-dir", dir, "--url", "http://" + addr + e.path}
	args = append(args, e.flags...)
	args = append(args, d.withDefaults()...)
	ctx, cancel := context.WithTimeout(t.Context(), longestRun)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sqlmap", args...)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir)
	cmd.WaitDelay = soon
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		t.Fatalf("sqlmap %q: %v %v\n%s", args, err, context.Cause(ctx), tail(string(out)))
	}
	found, err := os.ReadFile(filepath.Join(dir, "127.0.0.1", "log"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return result{string(found), string(out), strings.Contains(string(out), "all tested parameters do not appear to be injectable")}
}

// withDefaults are the flags of a disguise, and those it has nothing to say about.
func (d disguise) withDefaults() (flags []string) {
	said := map[string]string{"--dbms": "SQLite", "--technique": "BEUQ"}
	for i := 0; i < len(d.flags); i++ {
		if _, ok := said[d.flags[i]]; ok && i+1 < len(d.flags) {
			said[d.flags[i]] = d.flags[i+1]
			i++
			continue
		}
		flags = append(flags, d.flags[i])
	}
	for _, flag := range []string{"--dbms", "--technique"} {
		if said[flag] != "" {
			flags = append(flags, flag, said[flag])
		}
	}
	return flags
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

// fails wants sqlmap to find nothing through the gateway. That the firewall is the reason shows in what it blocks; a payload in
// a disguise that the shop does not see through may pass, since it does nothing.
func (e entry) fails(t *testing.T, g *gateway, d disguise) {
	t.Helper()
	before := g.blocked(t)
	r := e.attack(t, g.addr, d)
	if r.injection != "" {
		t.Fatalf("through the firewall sqlmap finds:\n%s", r.injection)
	}
	if !r.gaveUp {
		t.Fatalf("sqlmap did not come to its end:\n%s", tail(r.output))
	}
	blocked := g.blocked(t) - before
	if len(d.flags) == 0 && blocked < 20 {
		t.Errorf("only %d requests were blocked", blocked)
	}
	t.Logf("%d requests blocked", blocked)
}

// succeeds wants sqlmap to find the injection.
func (e entry) succeeds(t *testing.T, addr string) {
	t.Helper()
	if r := e.attack(t, addr, disguises[0]); !strings.Contains(r.injection, "Payload: ") {
		t.Fatalf("without a firewall sqlmap finds nothing:\n%s", tail(r.output))
	}
}

// TestOneEntryPoint is the short run. Without it nobody would notice before a release.
func TestOneEntryPoint(t *testing.T) {
	testkit.Long(t)
	needPrograms(t)
	shop := startShop(t)
	entries[1].succeeds(t, startGateway(t, shop, "off").addr)
	g := startGateway(t, shop, "prevention")
	visit(t, g.addr)
	entries[1].fails(t, g, disguises[0])
}

// TestEveryEntryPoint is the long run of make test-attack.
func TestEveryEntryPoint(t *testing.T) {
	if os.Getenv("GATEHOUSE_ATTACK") == "" {
		t.Skip("attacks: make test-attack runs them")
	}
	needPrograms(t)
	shop := startShop(t)
	open, guarded := startGateway(t, shop, "off"), startGateway(t, shop, "prevention")
	for _, e := range entries {
		t.Run(e.name, func(t *testing.T) {
			t.Run("without firewall", func(t *testing.T) { e.succeeds(t, open.addr) })
			for _, d := range disguises {
				t.Run(d.name, func(t *testing.T) { e.fails(t, guarded, d) })
			}
		})
	}
	visit(t, guarded.addr)
}
