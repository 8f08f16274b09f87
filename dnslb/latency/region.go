package latency

import "strings"

// Region is one of Azure's regions, an index of [Regions].
type Region int

// site is what is known of a region. The place is that of the metropolis
// that Microsoft names for it, in degrees.
type site struct {
	code     string // in azure.csv; "" if that has nothing of it
	name     string // for people; without blanks and capitals, that of the API
	country  string
	lat, lon float64
}

// String is the name for people, such as "West Europe".
func (r Region) String() string { return sites[r].name }

// Name is the name that Azure's API uses, such as "westeurope".
func (r Region) Name() string { return plain(sites[r].name) }

// Regions returns all regions, in the order of their numbers.
func Regions() []Region {
	all := make([]Region, len(sites))
	for i := range all {
		all[i] = Region(i)
	}
	return all
}

// Find returns the region of a name, "West Europe" or "westeurope": capitals
// and blanks do not matter.
func Find(name string) (Region, bool) {
	name = plain(name)
	for i, s := range sites {
		if plain(s.name) == name {
			return Region(i), true
		}
	}
	return 0, false
}

// plain is a name without blanks and capitals.
func plain(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, " ", ""))
}

var sites = [...]site{
	{"d", "Indonesia Central", "ID", -6.2, 106.8},
	{"am", "West Europe", "NL", 52.4, 4.9},
	{"auh", "UAE Central", "AE", 24.5, 54.4},
	{"bl", "East US", "US", 37.4, -79.0},
	{"bm", "West India", "IN", 19.1, 72.9},
	{"bn", "East US 2", "US", 36.7, -78.4},
	{"by", "West US", "US", 37.8, -122.4},
	{"cbr", "Australia Central", "AU", -35.3, 149.1},
	{"cbr2", "Australia Central 2", "AU", -35.3, 149.1},
	{"ch", "North Central US", "US", 41.9, -87.6},
	{"chn", "Switzerland North", "CH", 47.4, 8.5},
	{"chw", "Switzerland West", "CH", 46.2, 6.1},
	{"cpt", "South Africa West", "ZA", -33.9, 18.4},
	{"cq", "Brazil South", "BR", -23.5, -46.6},
	{"cw", "UK West", "GB", 51.5, -3.2},
	{"cy", "West Central US", "US", 41.1, -104.8},
	{"db", "North Europe", "IE", 53.3, -6.3},
	{"den", "Germany North", "DE", 52.5, 13.4},
	{"dewc", "Germany West Central", "DE", 50.1, 8.7},
	{"dm", "Central US", "US", 41.6, -93.6},
	{"dxb", "UAE North", "AE", 25.2, 55.3},
	{"hk", "East Asia", "HK", 22.3, 114.2},
	{"ilc", "Israel Central", "IL", 32.1, 34.8},
	{"itn", "Italy North", "IT", 45.5, 9.2},
	{"jinw", "Jio India West", "IN", 22.5, 70.1},
	{"jnb", "South Africa North", "ZA", -26.2, 28.0},
	{"ln", "UK South", "GB", 51.5, -0.1},
	{"ma", "South India", "IN", 13.1, 80.3},
	{"ml", "Australia Southeast", "AU", -37.8, 145.0},
	{"mrs", "France South", "FR", 43.3, 5.4},
	{"mwh", "West US 2", "US", 47.2, -119.9},
	{"mxc", "Mexico Central", "MX", 20.6, -100.4},
	{"myw", "Malaysia West", "MY", 3.1, 101.7},
	{"noe", "Norway East", "NO", 59.9, 10.8},
	{"now", "Norway West", "NO", 59.0, 5.7},
	{"nzn", "New Zealand North", "NZ", -36.8, 174.8},
	{"os", "Japan West", "JP", 34.7, 135.5},
	{"par", "France Central", "FR", 48.9, 2.4},
	{"plc", "Poland Central", "PL", 52.2, 21.0},
	{"pn", "Central India", "IN", 18.5, 73.9},
	{"ps", "Korea South", "KR", 35.2, 129.1},
	{"qac", "Qatar Central", "QA", 25.3, 51.5},
	{"se", "Korea Central", "KR", 37.6, 127.0},
	{"sec", "Sweden Central", "SE", 60.7, 17.1},
	{"sg", "Southeast Asia", "SG", 1.4, 103.8},
	{"sn", "South Central US", "US", 29.4, -98.5},
	{"sy", "Australia East", "AU", -33.9, 151.2},
	{"ty", "Japan East", "JP", 35.7, 139.7},
	{"usw3", "West US 3", "US", 33.4, -112.1},
	{"yq", "Canada East", "CA", 46.8, -71.2},
	{"yt", "Canada Central", "CA", 43.7, -79.4},
	// Without measurements.
	{"", "Austria East", "AT", 48.2, 16.4},
	{"", "Belgium Central", "BE", 50.8, 4.4},
	{"", "Chile Central", "CL", -33.4, -70.7},
	{"", "Spain Central", "ES", 40.4, -3.7},
}
