package main

import (
	"encoding/json"

	"gatehouse/dnslb"
	"gatehouse/health"
	"gatehouse/internal/daemon"
)

// inheritance is what a process tells the one that takes over from it: what
// is not in the configuration, and would be missed.
type inheritance struct {
	Verdicts []health.Verdict        `json:"verdicts"` // of probes
	Switches map[string]dnslb.Switch `json:"switches"` // of operators
	Cookies  []byte                  `json:"cookies"`  // the secret, where none is configured
}

// bequeath is the word for the next process.
func (a *app) bequeath() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := inheritance{Verdicts: a.health.Verdicts(), Switches: a.switches, Cookies: a.cookieSecret}
	word, err := json.Marshal(&h)
	if err == nil && len(word) > daemon.MaxWord {
		a.log.Warn("too many endpoints for the new process to be told their states; it begins with them untried", "endpoints", len(h.Verdicts))
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
		a.log.Warn("what the old process knew is not understood; endpoints begin untried", "error", err)
		return
	}
	a.health.Recall(h.Verdicts)
	for key, s := range h.Switches {
		a.switches[key] = s
	}
	if len(h.Cookies) == len(a.cookieSecret) {
		a.useCookieSecret(h.Cookies)
	}
}
