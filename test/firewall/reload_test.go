package firewall

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/testkit"
)

// Two policies that differ in everything that is compiled, so that none can take over the engine of the other.
const (
	lenient = site + `    mode: detection
    customRules: [{name: door, priority: 1, match: [{variable: requestUri, operator: beginsWith, values: [/door]}], action: log}]
`
	severe = site + `    ruleSet: {paranoia: 2}
    customRules:
      - {name: door, priority: 1, match: [{variable: requestUri, operator: beginsWith, values: [/door]}], action: block}
      - {name: often, priority: 2, type: rateLimit, rate: {requests: 1000000, per: 1h}, match: [{variable: requestUri, operator: any}], action: block}
`
)

// crowd is clients that send requests all the time. What is not answered as one of the two policies wants is a failure.
type crowd struct {
	t      *testing.T
	addr   string
	stop   chan struct{}
	gate   sync.RWMutex // held for reading during a request
	over   sync.WaitGroup
	count  atomic.Int64
	failed atomic.Int64
}

func (g *gateway) crowd(n int) *crowd {
	c := &crowd{t: g.t, addr: g.web, stop: make(chan struct{})}
	for i := range n {
		c.over.Go(func() { c.visit(i) })
	}
	g.t.Cleanup(c.leave)
	return c
}

// leave ends the clients.
func (c *crowd) leave() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.over.Wait()
}

// more waits for n further answers.
func (c *crowd) more(n int64) {
	c.t.Helper()
	until := c.count.Load() + n
	testkit.Eventually(c.t, 3*soon, "further answers", func() bool { return c.count.Load() >= until || c.failed.Load() > 0 })
}

// errand is a request and the answers to it that one of the policies gives.
type errand struct {
	request string
	allowed []int
}

var errands = []errand{
	{message("GET", "/shop?id=1", ""), []int{200}},
	{message("POST", "/shop", "name=lamp", isForm), []int{200}},
	{message("POST", "/api", `{"name":"lamp","n":[1,2,3]}`, "Content-Type: application/json"), []int{200}},
	{message("GET", "/shop?"+attack, ""), []int{200, 403}},
	{message("GET", "/door", ""), []int{200, 403}},
	{message("POST", "/shop", attack, isForm), []int{200, 403}},
}

// visit is one client: it keeps its connection unless an answer says otherwise.
func (c *crowd) visit(i int) {
	var conn net.Conn
	var br *bufio.Reader
	for ; ; i++ {
		select {
		case <-c.stop:
			if conn != nil {
				conn.Close()
			}
			return
		case <-time.After(3 * time.Millisecond):
		}
		c.gate.RLock()
		if conn == nil {
			var err error
			if conn, err = net.DialTimeout("tcp", c.addr, soon); err != nil {
				c.fail("connect: %v", err)
				c.gate.RUnlock()
				return
			}
			br = bufio.NewReader(conn)
		}
		closes, err := errands[i%len(errands)].run(conn, br)
		c.gate.RUnlock()
		if err != nil {
			c.fail("%v", err)
		}
		if closes || err != nil {
			conn.Close()
			conn = nil
		}
		c.count.Add(1)
	}
}

func (c *crowd) fail(format string, args ...any) {
	if c.failed.Add(1) < 20 {
		c.t.Errorf(format, args...)
	}
}

// run sends the request and judges the answer.
func (e errand) run(conn net.Conn, br *bufio.Reader) (closes bool, err error) {
	_ = conn.SetDeadline(time.Now().Add(soon))
	if _, err := conn.Write([]byte(e.request)); err != nil {
		return true, fmt.Errorf("%.60q: %w", e.request, err)
	}
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		return true, fmt.Errorf("%.60q: no answer: %w", e.request, err)
	}
	defer r.Body.Close()
	body := new(strings.Builder)
	if _, err := bufio.NewReader(r.Body).WriteTo(body); err != nil {
		return true, fmt.Errorf("%.60q: body: %w", e.request, err)
	}
	for _, status := range e.allowed {
		if r.StatusCode == status {
			return r.Close, nil
		}
	}
	return true, fmt.Errorf("%.60q: %s", e.request, r.Status)
}

// alternate reloads n times, to one policy and the other.
func alternate(g *gateway, n int) {
	g.t.Helper()
	for i := range n {
		g.configure([]string{severe, lenient}[i%2])
	}
}

func TestReloadsOfPoliciesUnderLoad(t *testing.T) {
	testkit.Long(t)
	g := start(t, lenient, quietly)
	c := g.crowd(8)
	c.more(100)
	for i := range 50 {
		g.configure([]string{severe, lenient}[i%2])
		c.more(5)
	}
	c.leave()
	t.Logf("%d requests, %d failed", c.count.Load(), c.failed.Load())
}

// quietly answers without remembering: a backend of the kit keeps every byte.
func quietly(c *testkit.Conn, r *testkit.Request) {
	if _, err := r.ReadBody(); err == nil {
		c.Respond(r, 200, "hello", "Content-Type: text/plain")
	}
}

// usage is what a process uses; heap is what is left after collection.
type usage struct {
	goroutines int
	heap       int64
}

// settled is the least of several looks, with nobody asking: each look finds leftovers of the one before.
func settled(g *gateway, c *crowd) usage {
	g.t.Helper()
	c.more(200)
	c.gate.Lock()
	defer c.gate.Unlock()
	var least usage
	for i := range 8 {
		now := look(g)
		if i == 0 {
			least = now
		}
		least = usage{min(least.goroutines, now.goroutines), min(least.heap, now.heap)}
	}
	return least
}

func look(g *gateway) (u usage) {
	g.t.Helper()
	g.page("/debug/pprof/heap?gc=1&debug=1") // twice: pools give up what they hold at the second collection
	for line := range strings.SplitSeq(g.page("/debug/pprof/heap?gc=1&debug=1"), "\n") {
		if _, err := fmt.Sscanf(line, "# HeapAlloc = %d", &u.heap); err == nil {
			break
		}
	}
	if _, err := fmt.Sscanf(g.page("/debug/pprof/goroutine?debug=1"), "goroutine profile: total %d", &u.goroutines); err != nil {
		g.t.Fatal(err)
	}
	return u
}

func TestHundredReloadsLeaveNothingBehind(t *testing.T) {
	testkit.Long(t)
	g := start(t, lenient, quietly)
	c := g.crowd(4)
	alternate(g, 4)
	before := settled(g, c)
	alternate(g, 100)
	after := settled(g, c)
	c.leave()
	t.Logf("before %+v, after 100 reloads %+v", before, after)
	if after.heap > before.heap+before.heap/10 {
		t.Errorf("the heap grew from %d to %d bytes", before.heap, after.heap)
	}
	if after.goroutines > before.goroutines+3 {
		t.Errorf("there were %d goroutines, now there are %d", before.goroutines, after.goroutines)
	}
}
