package dnslb

import (
	"testing"

	"gatehouse/config"
	"gatehouse/dnslb/geo"
	"gatehouse/dnslb/latency"
)

// What a configuration may name, the leaves below know, and the other way
// round: the lists are kept in two places, as config imports nothing.
func TestTheListsOfRegionsAgree(t *testing.T) {
	codes := []string{"WORLD", "GEO-AF", "GEO-AN", "GEO-AP", "GEO-AS", "GEO-EU", "GEO-ME", "GEO-NA", "GEO-SA", "GEO-OC"}
	letters := "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, a := range letters {
		for _, b := range letters {
			two := string(a) + string(b)
			codes = append(codes, two, "US-"+two, "CA-"+two, "AU-"+two)
			for _, c := range letters {
				codes = append(codes, "AU-"+two+string(c))
			}
		}
	}
	known := 0
	for _, code := range codes {
		if config.KnownRegion(code) != geo.KnownRegion(code) {
			t.Errorf("%s: the configuration says %t, the hierarchy %t", code, config.KnownRegion(code), geo.KnownRegion(code))
		}
		if geo.KnownRegion(code) {
			known++
			if config.ParentRegion(code) != geo.ParentRegion(code) {
				t.Errorf("%s is in %s and in %s", code, config.ParentRegion(code), geo.ParentRegion(code))
			}
		}
	}
	if known != 333 {
		t.Errorf("%d codes, want 333", known)
	}
	both := 0
	for _, r := range latency.Regions() {
		if name, ok := config.KnownAzureRegion(r.String()); ok {
			both++
			if got, found := latency.Find(name); !found || got != r {
				t.Errorf("%s is %v", name, got)
			}
		}
	}
	if both < 51 {
		t.Errorf("only %d regions of the table can be configured", both)
	}
}
