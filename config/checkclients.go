package config

import (
	"cmp"
	"fmt"
	"slices"
)

// checkGeo checks the regions of a geographic profile; other methods do not
// look at them.
func (c *tmChecker) checkGeo(path string, p *Profile) {
	if p.Routing != RouteGeographic {
		return
	}
	owner := map[string]int{}
	for i := range p.Endpoints {
		e, at := &p.Endpoints[i], fmt.Sprintf("%s[%d]", path, i)
		if c.failed(at) {
			continue
		}
		if e.Enabled && len(e.Geo) == 0 && len(e.Subnets) == 0 && !c.failed(at+".geo") && !c.failed(at+".subnets") {
			c.errorf(at, "needs geo, the regions whose clients it is for, as routing is geographic")
		}
		c.checkCodes(at, p, i, owner)
	}
	if _, ok := owner[worldRegion]; !ok && len(owner) > 0 {
		c.warnf(path, "no endpoint has WORLD: clients of other regions, or of none that is known, get no answer")
	}
}

// checkCodes gives each code to its first owner.
func (c *tmChecker) checkCodes(at string, p *Profile, i int, owner map[string]int) {
	for j, code := range p.Endpoints[i].Geo {
		here := fmt.Sprintf("%s.geo[%d]", at, j)
		first, taken := owner[code]
		switch {
		case code == "":
			continue // refused
		case taken && first == i:
			c.errorf(here, "%s is there twice; remove one", code)
		case taken:
			c.errorf(here, "%s is already that of endpoint %s; a region leads to one endpoint", code, quote(p.Endpoints[first].Name))
		case isState(code) && c.t.Geo.Database == "" && !c.failed("geo.database"):
			c.warnf(here, "%s matches nothing: the built-in database knows countries only; geo.database takes one of cities", code)
		}
		if !taken {
			owner[code] = i
		}
	}
}

// checkSubnets checks who gets the clients of which addresses.
func (c *tmChecker) checkSubnets(path string, p *Profile) {
	if p.Routing == RouteSubnet {
		c.checkFallback(path, p)
	}
	c.checkOverlaps(path, p)
}

// checkFallback allows one endpoint without subnets.
func (c *tmChecker) checkFallback(path string, p *Profile) {
	fallback := -1
	for i, e := range p.Endpoints {
		at := fmt.Sprintf("%s[%d]", path, i)
		if len(e.Subnets) > 0 || c.failed(at) || c.failed(at+".subnets") {
			continue
		}
		if fallback >= 0 {
			c.errorf(at, "has no subnets, nor has endpoint %s; one endpoint can take all other clients", quote(p.Endpoints[fallback].Name))
			continue
		}
		fallback = i
	}
	if fallback < 0 && len(p.Endpoints) > 0 && !c.has(path[:len(path)-len("endpoints")]+"unmatched") {
		c.warnf(path, "every endpoint has subnets: other clients get no answer; add one without, or set unmatched")
	}
}

// claim is a range of addresses with the endpoint that has it.
type claim struct {
	AddressRange
	endpoint, place int
}

// checkOverlaps refuses an address that two endpoints claim. Sorted by where
// they begin, a range overlaps with an earlier one only if it begins before
// the furthest end so far; those of one endpoint may.
func (c *tmChecker) checkOverlaps(path string, p *Profile) {
	var all []claim
	for i, e := range p.Endpoints {
		for j, r := range e.Subnets {
			if r.First.IsValid() {
				all = append(all, claim{r, i, j})
			}
		}
	}
	slices.SortFunc(all, func(a, b claim) int {
		return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.endpoint, b.endpoint), cmp.Compare(a.place, b.place))
	})
	for i, furthest := 1, 0; i < len(all); i++ {
		a, b := all[furthest], all[i]
		if b.First.BitLen() == a.First.BitLen() && !a.Last.Less(b.First) && a.endpoint != b.endpoint {
			if b.endpoint < a.endpoint {
				a, b = b, a // the error is where the later one stands
			}
			c.errorf(fmt.Sprintf("%s[%d].subnets[%d]", path, b.endpoint, b.place), "%s overlaps with %s of endpoint %s; a client leads to one endpoint",
				b.text(), a.text(), quote(p.Endpoints[a.endpoint].Name))
		}
		if all[furthest].Last.Less(all[i].Last) {
			furthest = i
		}
	}
}

func (r AddressRange) text() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}
