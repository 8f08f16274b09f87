package config

import (
	"slices"
	"strings"
	"sync"
)

// azureRegionNames are the Azure regions between which Microsoft publishes
// round-trip times ("Azure network round-trip latency statistics"), and so
// those that performance routing can compare.
const azureRegionNames = `
Australia Central
Australia Central 2
Australia East
Australia Southeast
Brazil South
Canada Central
Canada East
Central India
Central US
East Asia
East US
East US 2
France Central
France South
Germany North
Germany West Central
Indonesia Central
Israel Central
Italy North
Japan East
Japan West
Jio India West
Korea Central
Korea South
Malaysia West
Mexico Central
New Zealand North
North Central US
North Europe
Norway East
Norway West
Poland Central
Qatar Central
South Africa North
South Africa West
South Central US
South India
Southeast Asia
Sweden Central
Switzerland North
Switzerland West
UAE Central
UAE North
UK South
UK West
West Central US
West Europe
West India
West US
West US 2
West US 3
`

// azureRegions are the names by their keys (regionKey).
var azureRegions = sync.OnceValue(func() map[string]string {
	regions := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSpace(azureRegionNames), "\n") {
		regions[regionKey(name)] = name
	}
	return regions
})

// KnownAzureRegion finds an Azure region and returns its name as Azure shows
// it: West Europe. Case and blanks do not count, so westeurope is the same.
func KnownAzureRegion(name string) (canonical string, ok bool) {
	if len(name) > 64 {
		return "", false
	}
	canonical, ok = azureRegions()[regionKey(name)]
	return canonical, ok
}

func regionKey(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, " ", ""))
}

// nearestAzureRegion suggests a region for a typing error.
func nearestAzureRegion(name string) (string, bool) {
	var names []string
	for _, n := range azureRegions() {
		names = append(names, n)
	}
	slices.Sort(names)
	return nearest(name, names)
}
