package latency

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"gatehouse/dnslb/geo"
)

// Each region of the matrix is taken for a client of which nothing is known.
func TestTheModelForetellsARegionThatItDoesNotKnow(t *testing.T) {
	m := measured()
	var errors []float64
	for i, s := range sites {
		f := newModel(m, i)
		for j := range sites {
			if m[i][j] > 0 {
				errors = append(errors, math.Abs(f.between(s.point(), s.country, Region(j))-m[i][j]))
			}
		}
	}
	slices.Sort(errors)
	median, p90 := errors[len(errors)/2], errors[len(errors)*9/10]
	t.Logf("%d cells: median error %.1f ms, 90th percentile %.1f ms", len(errors), median, p90)
	if len(errors) < 2400 || median > 6.2 || p90 > 27.5 {
		t.Errorf("%d cells: median error %.1f ms, 90th percentile %.1f ms", len(errors), median, p90)
	}
}

// Of places that are far from every region, the times keep the order of the
// distances.
func TestNoFarRegionIsCalledNearer(t *testing.T) {
	f, far := fitted(), 0
	for country, p := range points() {
		if _, away := f.nearest(p); away <= near {
			continue
		}
		far++
		regions := make([]Region, len(sites))
		for i := range regions {
			regions[i] = Region(i)
		}
		slices.SortFunc(regions, func(a, b Region) int {
			return cmp.Compare(distance(p, sites[a].point()), distance(p, sites[b].point()))
		})
		for i, r := range regions[1:] {
			if x, y := f.between(p, country, regions[i]), f.between(p, country, r); y < x {
				t.Errorf("%s: %s has %.0f ms, and %s, which is farther, %.0f ms", country, regions[i], x, r, y)
			}
		}
	}
	if far < 50 {
		t.Errorf("only %d places are far from every region", far)
	}
}

func TestEveryCountryHasAPoint(t *testing.T) {
	n := 0
	for _, a := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		for _, b := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ" {
			country := string([]rune{a, b})
			p, ok := points()[country]
			if ok != geo.Known(country) || math.Abs(p.lat) > 90 || math.Abs(p.lon) > 180 {
				t.Errorf("%s: %v %v", country, p, ok)
			}
			if ok {
				n++
			}
		}
	}
	if states := len(points()) - n; n != 250 || states != 72 {
		t.Errorf("%d countries and %d states", n, states)
	}
}
