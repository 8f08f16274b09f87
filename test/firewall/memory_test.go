package firewall

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// Slow uploads that detection keeps copies of take no more than all bodies may: those for which there is no more room pass, and
// that is not kept quiet.
func TestCopiesInDetectionAreBounded(t *testing.T) {
	g := start(t, "limits: {heldBytes: 8MiB, heldBytesPerClient: 8MiB}\n"+site+"    mode: detection\n    requestBody: {inspectLimit: 2MiB}\n", nil)
	body := "a=" + strings.Repeat("b", 1900<<10)
	uploads := make([]*testkit.Client, 8)
	for i := range uploads {
		uploads[i] = testkit.Dial(t, g.web)
		uploads[i].Send(message("POST", "/", "", isForm, fmt.Sprint("Content-Length: ", len(body))))
		uploads[i].Send(body[:len(body)-1])
	}
	partial := `gatehouse_waf_partial_bodies_total{policy="shop"}`
	testkit.Eventually(t, soon, "what does not fit to be noticed", func() bool { return g.metric(partial) >= 4 }) // of 2 MiB, no more than 4 fit
	for _, c := range uploads {
		c.Send(body[len(body)-1:])
		if r := c.ReadResponse("POST"); r.StatusCode != 200 || testkit.DecodeEcho(t, r.Content).BodyLen != int64(len(body)) {
			t.Errorf("answer is %q", r.Head)
		}
	}
	unseen := g.logged("waf.log", "about what is not inspected", func(e entry) bool { return e["partialBody"] == true })
	if message, _ := unseen[0]["message"].(string); unseen[0]["outcome"] != "allowed" || !strings.Contains(message, "there is no memory for more of it") {
		t.Errorf("the log says %v", unseen[0])
	}
}
