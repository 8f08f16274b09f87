package waf

import (
	"testing"

	"gatehouse/config"
)

// With early blocking, the second opinion is asked about the score of the first
// phase as well; what comes behind it is judged all the same.
func TestEarlyBlocksAreWeighed(t *testing.T) {
	ordinary := "/shop/app/blob/main/.htaccess"
	requests := []struct {
		name, target string
		crs          int // the rule that blocks in crs
		balanced     int // and in balanced; 0: none
	}{
		{"a file below a forge's words", ordinary, 949111, 0},
		{"the same with an attack", ordinary + "?q=%3Cscript%3Ealert(1)%3C/script%3E", 949111, 949110},
		{"a file of the system", "/.htaccess", 949111, 949111},
		{"an attack of the second phase", xssQuery, 949110, 949110},
		{"a page", "/chairs", 0, 0},
	}
	for _, mode := range []config.WAFMode{config.WAFPrevention, config.WAFDetection} {
		for _, profile := range []config.RuleProfile{config.ProfileCRS, config.ProfileBalanced} {
			p, log := newPolicy(t, func(c *config.WAFPolicy) { c.Mode, c.RuleSet.EarlyBlocking, c.RuleSet.Profile = mode, true, profile })
			for _, w := range requests {
				want, got := w.crs, 0
				if p.balanced() {
					want = w.balanced
				}
				log.list = nil
				d, _ := pass(p, "GET "+w.target+" HTTP/1.1"+browserHead, "")
				for i := range log.list {
					got = max(got, log.list[i].RuleID)
				}
				if got != want || (d.Action == Block) != (want != 0 && p.prevents()) {
					t.Errorf("%s, %v, %v: rule %d, want %d; %+v", w.name, mode, profile, got, want, d)
				}
			}
		}
	}
}

// A rule that denies by itself is not lost behind an early block that is taken
// back.
func TestABlockBehindAnEarlyOneStands(t *testing.T) {
	for _, mode := range []config.WAFMode{config.WAFPrevention, config.WAFDetection} {
		p, log := newPolicy(t, func(c *config.WAFPolicy) {
			c.Mode, c.RuleSet.EarlyBlocking, c.RuleSet.Profile = mode, true, config.ProfileBalanced
			c.RuleSet.Overrides = []config.RuleOverride{{Rule: 941100, Action: config.OverrideBlock}}
		})
		pass(p, "GET /shop/app/blob/main/.htaccess?q=%3Cscript%3Ealert(1)%3C/script%3E HTTP/1.1"+browserHead, "")
		if n := len(log.list); n != 1 || log.list[0].RuleID != 941100 {
			t.Errorf("%v: %d events: %s", mode, n, log.lines.String())
		}
	}
}
