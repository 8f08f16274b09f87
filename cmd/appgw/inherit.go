package main

import (
	"encoding/json"

	"gatehouse/health"
	"gatehouse/internal/daemon"
	"gatehouse/proxy"
)

// inheritance is what a process tells the one that takes over from it: what
// is not in the configuration, and would be missed.
type inheritance struct {
	Verdicts []health.Verdict `json:"verdicts"` // of probes: what is known to be down is not tried on clients again
	Drained  []string         `json:"drained"`  // by operators
	Secret   []byte           `json:"secret"`   // of affinity cookies and challenges, where none is configured
}

// bequeath is the word for the next process.
func (a *app) bequeath() []byte {
	h := inheritance{Verdicts: a.health.Verdicts(), Drained: a.drains.Names(), Secret: a.secret[:]}
	word, err := json.Marshal(&h)
	if err == nil && len(word) > daemon.MaxWord {
		a.log.Warn("too many backends for the new process to be told their states; it begins with them untried", "backends", len(h.Verdicts))
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
		// A process of another version must be able to take over all the same.
		a.log.Warn("what the old process knew is not understood; backends begin untried, and in use", "error", err)
		return
	}
	a.health.Recall(h.Verdicts)
	a.drains = proxy.NewDrains(h.Drained...)
	if len(h.Secret) == len(a.secret) {
		copy(a.secret[:], h.Secret)
	}
}
