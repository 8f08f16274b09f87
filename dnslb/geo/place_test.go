package geo

import (
	"strings"
	"testing"
)

func TestEveryCountryHasOneContinent(t *testing.T) {
	seen := map[string]string{}
	for _, c := range continents {
		for _, country := range strings.Fields(c.countries) {
			if seen[country] != "" {
				t.Errorf("%s is in %s and %s", country, seen[country], c.code)
			}
			seen[country] = c.code
			if got := continent(country); got != c.code || !Known(country) {
				t.Errorf("%s: continent %q, want %s", country, got, c.code)
			}
		}
	}
	if len(seen) != 249+1 { // ISO 3166-1 has 249; XK
		t.Errorf("%d countries, want 250", len(seen))
	}
}

func TestKnown(t *testing.T) {
	tests := []struct {
		code string
		want bool
	}{
		{"AD", true}, {"ZW", true}, {"XK", true}, {"GB", true}, {"BQ", true}, {"SS", true}, {"AQ", true},
		{"", false}, {"D", false}, {"DEU", false}, {"de", false}, {"De", false}, {"D ", false}, {" D", false}, {"E ", false},
		{"UK", false}, {"EU", false}, {"ZZ", false}, {"AN", false}, {"XX", false}, {"A1", false}, {"\xff\xff", false},
	}
	for _, tt := range tests {
		if got := Known(tt.code); got != tt.want {
			t.Errorf("Known(%q) = %v", tt.code, got)
		}
	}
}

func TestPlaceLeavesOutWhatIsNoCode(t *testing.T) {
	tests := []struct {
		name                            string
		country, continent, subdivision string
		want                            Place
	}{
		{"all", "US", "NA", "CA", Place{"US", "NA", "CA"}},
		{"the continent follows from the country", "US", "AS", "", Place{"US", "NA", ""}},
		{"three letters", "AU", "", "NSW", Place{"AU", "OC", "NSW"}},
		{"digits", "FR", "", "75", Place{"FR", "EU", "75"}},
		{"a name is no subdivision", "US", "", "California", Place{"US", "NA", ""}},
		{"small letters are no subdivision", "US", "", "ca", Place{"US", "NA", ""}},
		{"only a continent", "", "EU", "", Place{"", "EU", ""}},
		{"an unknown country with a continent", "AP", "AS", "X", Place{"", "AS", ""}},
		{"nothing", "EU", "Europe", "X", Place{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := place(tt.country, tt.continent, tt.subdivision); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}
