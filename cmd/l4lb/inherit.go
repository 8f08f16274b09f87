package main

import (
	"encoding/json"
	"fmt"
	"os"

	"gatehouse/health"
	"gatehouse/internal/daemon"
	"gatehouse/proxy/l4/udp"
)

// inheritance is what a process tells the one that takes over from it: what
// is not in the configuration, and would be missed.
type inheritance struct {
	Verdicts []health.Verdict `json:"verdicts"` // of probes
	Drained  []string         `json:"drained"`  // pool and member, separated by a zero byte
	// Flows are those of UDP by door, whose sockets are handed over too.
	Flows map[string][]udp.FlowRecord `json:"flows,omitempty"`
}

// mostHanded is how many UDP flows an upgrade hands over: each is a descriptor
// that both processes have for a moment. The others begin anew with their
// client's next datagram, mostly with the same member.
const mostHanded = 4096

// flowSocket is what the socket of a flow is handed over as.
const flowSocket = "udp flow"

func flowName(door string, i int) string { return fmt.Sprintf("%s %d", door, i) }

// handFlows holds the sockets of UDP flows for an upgrade. Both processes read
// them until this one ends, and each brings what it reads to the client.
func (a *app) handFlows() (over func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handed = map[string][]udp.FlowRecord{}
	var done []func()
	left := mostHanded
	for key, n := range a.current.doors {
		if n.udp == nil || left == 0 {
			continue
		}
		name := doorText(key)
		records, files := n.udp.Flows()
		for i, f := range files {
			if left == 0 || !a.handFlow(name, len(a.handed[name]), f, &done) {
				f.Close()
				continue
			}
			a.handed[name] = append(a.handed[name], records[i])
			left--
		}
	}
	return func() {
		for _, f := range done {
			f()
		}
	}
}

func (a *app) handFlow(door string, i int, f *os.File, done *[]func()) bool {
	forget, err := a.upgrader.Hold(flowSocket, flowName(door, i), f, nil)
	if err != nil {
		return false
	}
	*done = append(*done, func() {
		forget()
		f.Close()
	})
	return true
}

// adopt goes on with the flows that the process before this one had at a door.
func (a *app) adopt(n *door) {
	name := doorText(n.DoorKey)
	records := a.heirlooms[name]
	delete(a.heirlooms, name)
	if records == nil {
		return
	}
	var there []udp.FlowRecord
	var files []*os.File
	for i, r := range records {
		if f, err := a.upgrader.Take(flowSocket, flowName(name, i)); err == nil && f != nil {
			there, files = append(there, r), append(files, f)
		}
	}
	taken, err := n.udp.Adopt(there, files)
	if err != nil {
		a.log.Warn("UDP flows of the old process begin anew", "address", name, "error", err)
	}
	a.log.Info("UDP flows go on", "address", name, "flows", taken, "of", len(records))
}

// bequeath is the word for the next process.
func (a *app) bequeath() []byte {
	h := inheritance{Verdicts: a.health.Verdicts(), Drained: a.state.Drained(), Flows: a.handed}
	word, err := json.Marshal(&h)
	if err == nil && len(word) > daemon.MaxWord {
		a.log.Warn("too many members for the new process to be told their states; it begins with them untried", "members", len(h.Verdicts))
		h.Verdicts = nil
		word, err = json.Marshal(&h)
	}
	if err != nil {
		a.log.Warn("the new process is told nothing", "error", err)
		return nil
	}
	return word
}

// inherit takes over what the process before this one knew.
func (a *app) inherit(word []byte) {
	if word == nil {
		return
	}
	var h inheritance
	if err := json.Unmarshal(word, &h); err != nil {
		a.log.Warn("what the old process knew is not understood; members begin untried", "error", err)
		return
	}
	a.health.Recall(h.Verdicts)
	a.state.Drain(h.Drained)
	a.heirlooms = h.Flows
}
