package geo

import "strings"

// World is the code of the region that every place is in.
const World = "WORLD"

// RegionsOf returns the codes of the regions of Azure's Traffic Manager that a
// place is in, the smallest first: state, country, group of countries, World,
// such as "US-CA", "US", "GEO-NA", "WORLD". Only Australia, Canada and the
// United States have states. A place that is not known, or is in no country of
// the hierarchy (Western Sahara), is in World alone: the groups are not
// continents, so a continent tells nothing.
func RegionsOf(p Place) []string {
	regions := make([]string, 0, 4)
	code := p.Country
	if s := p.Country + "-" + p.Subdivision; ParentRegion(s) != "" {
		code = s
	}
	for parent := ParentRegion(code); parent != ""; parent = ParentRegion(code) {
		regions = append(regions, code)
		code = parent
	}
	return append(regions, World)
}

// KnownRegion tells whether code, in capitals, is one of the 333 of the
// hierarchy.
func KnownRegion(code string) bool { return code == World || ParentRegion(code) != "" }

// ParentRegion returns the code of the region that holds another: "US" for
// "US-CA", "GEO-NA" for "US", "WORLD" for "GEO-NA". It is "" for World and for
// what is no code.
func ParentRegion(code string) string {
	if country, state, ok := strings.Cut(code, "-"); ok && country != "GEO" {
		if holds(states[country], state) {
			return country
		}
		return ""
	}
	for _, g := range groups {
		if g.code == code {
			return World
		}
		if holds(g.countries, code) {
			return g.code
		}
	}
	return ""
}

// holds tells whether a list of codes with blanks between them has one.
func holds(list, code string) bool {
	for c := range strings.FieldsSeq(list) {
		if c == code {
			return true
		}
	}
	return false
}

// groups are the regional groups of the hierarchy with their countries, from
// Microsoft's documents. They are other than the continents: Turkey is in the
// Middle East, Christmas Island in Asia, there is no Oceania. XE is Sint
// Eustatius, XJ Jan Mayen, XK Kosovo, XS Saba, none of them ISO 3166-1.
var groups = [...]struct{ code, countries string }{
	{"GEO-AF", "AO BF BI BJ BV BW CD CF CG CI CM CV DJ DZ EG ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE " +
		"NG RE RW SC SD SH SL SN SO SS ST SZ TD TF TG TN TZ UG YT ZA ZM ZW"},
	{"GEO-AN", "AQ"},
	{"GEO-AP", "AS AU CK FJ FM GU HM KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV VU WF WS"},
	{"GEO-AS", "AF AM AZ BD BN BT CC CN CX GE HK ID IN IO JP KG KH KP KR KZ LA LK MM MN MO MV MY NP PH PK SG TH TJ TL TM TW UZ VN"},
	{"GEO-EU", "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT " +
		"NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XJ XK"},
	{"GEO-ME", "AE BH IL IQ IR JO KW LB OM PS QA SA SY TR YE"},
	{"GEO-NA", "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT UM " +
		"US VC VG VI XE XS"},
	{"GEO-SA", "AR BO BR CL CO EC FK GF GS GY PE PY SR UY VE"},
}

// states are the second parts of ISO 3166-2 codes, by country.
var states = map[string]string{
	"AU": "ACT NSW NT QLD SA TAS VIC WA",
	"CA": "AB BC MB NB NL NS NT NU ON PE QC SK YT",
	"US": "AK AL AR AZ CA CO CT DC DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS MT NC ND NE NH NJ NM NV NY OH OK OR PA RI " +
		"SC SD TN TX UT VA VT WA WI WV WY",
}
