package config

import (
	"slices"
	"strings"
	"sync"
)

// regionTable is the geographic hierarchy of Azure Traffic Manager: each line
// is a region and what it directly consists of. Countries are ISO 3166-1
// codes, states the second part of ISO 3166-2; GEO-AP is Australia and the
// Pacific, and GEO-NA reaches down to Panama.
//
// Source: the resource trafficManagerGeographicHierarchies/default, as
// published in Azure's documentation of geographic regions. It has codes of
// its own, XE, XJ, XK and XS, and lacks EH.
const regionTable = `
WORLD: GEO-EU GEO-ME GEO-NA GEO-AS GEO-AF GEO-AN GEO-SA GEO-AP
GEO-EU: AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ
GEO-EU: SK SM UA VA XJ XK
GEO-ME: AE BH IL IQ IR JO KW LB OM PS QA SA SY TR YE
GEO-NA: AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT UM US VC VG VI XE XS
GEO-AS: AF AM AZ BD BN BT CC CN CX GE HK ID IN IO JP KG KH KP KR KZ LA LK MM MN MO MV MY NP PH PK SG TH TJ TL TM TW UZ VN
GEO-AF: AO BF BI BJ BV BW CD CF CG CI CM CV DJ DZ EG ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST
GEO-AF: SZ TD TF TG TN TZ UG YT ZA ZM ZW
GEO-AN: AQ
GEO-SA: AR BO BR CL CO EC FK GF GS GY PE PY SR UY VE
GEO-AP: AS AU CK FJ FM GU HM KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV VU WF WS
AU: AU-ACT AU-NSW AU-NT AU-QLD AU-SA AU-TAS AU-VIC AU-WA
CA: CA-AB CA-BC CA-MB CA-NB CA-NL CA-NS CA-NT CA-NU CA-ON CA-PE CA-QC CA-SK CA-YT
US: US-AK US-AL US-AR US-AZ US-CA US-CO US-CT US-DC US-DE US-FL US-GA US-HI US-IA US-ID US-IL US-IN US-KS US-KY US-LA US-MA US-MD US-ME US-MI US-MN
US: US-MO US-MS US-MT US-NC US-ND US-NE US-NH US-NJ US-NM US-NV US-NY US-OH US-OK US-OR US-PA US-RI US-SC US-SD US-TN US-TX US-UT US-VA US-VT US-WA US-WI
US: US-WV US-WY
`

// regionParents is the hierarchy upwards: the region around each code.
var regionParents = sync.OnceValue(func() map[string]string {
	parents := map[string]string{worldRegion: ""}
	for line := range strings.Lines(strings.TrimSpace(regionTable)) {
		parent, within, _ := strings.Cut(strings.TrimSpace(line), ": ")
		for code := range strings.FieldsSeq(within) {
			parents[code] = parent
		}
	}
	return parents
})

// worldRegion is the region that every client is in.
const worldRegion = "WORLD"

// KnownRegion says whether a code is one of the geographic hierarchy: WORLD,
// a grouping such as GEO-EU, a country such as DE, or a state such as US-CA.
func KnownRegion(code string) bool {
	_, ok := regionParents()[code]
	return ok
}

// ParentRegion is the region around a code: US of US-CA, GEO-NA of US, WORLD
// of GEO-NA. It is empty for WORLD and for what is no code.
func ParentRegion(code string) string { return regionParents()[code] }

// isState says whether a code is below a country.
func isState(code string) bool {
	parent := ParentRegion(code)
	return parent != "" && parent != worldRegion && !strings.HasPrefix(parent, "GEO-")
}

// nearestRegion is a known code that differs from got by one letter, if only
// one does: codes are so short that more would say nothing.
func nearestRegion(got string) (string, bool) {
	if len(got) < 3 || len(got) > 16 {
		return "", false
	}
	var near []string
	for code := range regionParents() {
		if distance(got, code) == 1 {
			near = append(near, code)
		}
	}
	slices.Sort(near)
	if len(near) != 1 {
		return "", false
	}
	return near[0], true
}
