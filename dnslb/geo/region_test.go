package geo

import (
	"slices"
	"strings"
	"testing"
)

func TestRegionsOfAPlace(t *testing.T) {
	tests := []struct {
		name  string
		place Place
		want  string
	}{
		{"a state", Place{"US", "NA", "CA"}, "US-CA US GEO-NA WORLD"},
		{"a state of three letters", Place{"AU", "OC", "NSW"}, "AU-NSW AU GEO-AP WORLD"},
		{"a territory", Place{"CA", "NA", "YT"}, "CA-YT CA GEO-NA WORLD"},
		{"no state of that name", Place{"US", "NA", "ZZ"}, "US GEO-NA WORLD"},
		{"a state of another country", Place{"US", "NA", "NSW"}, "US GEO-NA WORLD"},
		{"a country without states", Place{"FR", "EU", "75"}, "FR GEO-EU WORLD"},
		{"a country", Place{Country: "DE"}, "DE GEO-EU WORLD"},
		{"Turkey is not in Europe", Place{"TR", "EU", ""}, "TR GEO-ME WORLD"},
		{"Israel is not in Asia", Place{"IL", "AS", ""}, "IL GEO-ME WORLD"},
		{"Timor is not in Oceania", Place{"TL", "OC", ""}, "TL GEO-AS WORLD"},
		{"Christmas Island is not in Oceania", Place{"CX", "OC", ""}, "CX GEO-AS WORLD"},
		{"Bouvet is not in Antarctica", Place{"BV", "AN", ""}, "BV GEO-AF WORLD"},
		{"South Georgia is not in Antarctica", Place{"GS", "AN", ""}, "GS GEO-SA WORLD"},
		{"Kosovo", Place{"XK", "EU", ""}, "XK GEO-EU WORLD"},
		{"Western Sahara is nowhere", Place{"EH", "AF", ""}, "WORLD"},
		{"a continent tells nothing", Place{"", "EU", ""}, "WORLD"},
		{"unknown", Place{}, "WORLD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(RegionsOf(tt.place), " "); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestTheHierarchyHas333Codes(t *testing.T) {
	want := map[string]int{
		"GEO-AF": 59, "GEO-AN": 1, "GEO-AP": 26, "GEO-AS": 38, "GEO-EU": 54, "GEO-ME": 15, "GEO-NA": 44, "GEO-SA": 15,
		"AU": 8, "CA": 13, "US": 51, World: 8,
	}
	parents := map[string]string{World: ""}
	add := func(code, parent string) {
		if _, ok := parents[code]; ok {
			t.Errorf("%s is there twice", code)
		}
		parents[code] = parent
	}
	for _, g := range groups {
		add(g.code, World)
		for _, c := range strings.Fields(g.countries) {
			add(c, g.code)
		}
	}
	for country, list := range states {
		for _, s := range strings.Fields(list) {
			add(country+"-"+s, country)
		}
	}
	if len(parents) != 333 {
		t.Errorf("%d codes", len(parents))
	}
	got := map[string]int{}
	for code, parent := range parents {
		if !KnownRegion(code) || ParentRegion(code) != parent {
			t.Errorf("%s: parent %q, want %q", code, ParentRegion(code), parent)
		}
		got[parent]++
	}
	for parent, n := range want {
		if got[parent] != n {
			t.Errorf("%d codes in %s, want %d", got[parent], parent, n)
		}
	}
}

func TestEveryCountryButOneIsInTheHierarchy(t *testing.T) {
	var missing []string
	for _, c := range continents {
		for country := range strings.FieldsSeq(c.countries) {
			if !KnownRegion(country) {
				missing = append(missing, country)
			}
		}
	}
	if !slices.Equal(missing, []string{"EH"}) {
		t.Errorf("missing: %v", missing)
	}
}

func TestWhatIsNoCode(t *testing.T) {
	for _, code := range []string{"", " ", "EH", "us", "US-", "-CA", "US-ca", "US-CA-", "US- CA", "CA US", "GEO", "GEO-", "GEO-OC", "FR-75", "WORLD-US", "world", "EU"} {
		if KnownRegion(code) || ParentRegion(code) != "" {
			t.Errorf("%q counts as a code with parent %q", code, ParentRegion(code))
		}
	}
}
