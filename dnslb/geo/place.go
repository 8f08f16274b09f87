package geo

import "strings"

// Place is where an address is, as far as a database knows. The zero value is
// a place that is not known.
type Place struct {
	// Country is an ISO 3166-1 alpha-2 code that is [Known], or "".
	Country string
	// Continent is one of AF, AN, AS, EU, NA, OC, SA, or "". It follows
	// from Country; only where a database knows no country does it come
	// from the database. The regions of Azure's Traffic Manager are
	// another division.
	Continent string
	// Subdivision is the second part of an ISO 3166-2 code, "CA" for
	// US-CA, or "" where the database has none.
	Subdivision string
}

// Known tells whether code is an ISO 3166-1 alpha-2 code, in capitals. XK
// counts as one: Kosovo has no other, and every database uses it.
func Known(code string) bool { return continent(code) != "" }

// continent is that of a country, or "" if there is no such country. A code
// has two letters and the lists have blanks between them, so it is found only
// where it stands.
func continent(country string) string {
	if len(country) != 2 || !capital(country[0]) || !capital(country[1]) {
		return ""
	}
	for _, c := range continents {
		if strings.Contains(c.countries, country) {
			return c.code
		}
	}
	return ""
}

func capital(c byte) bool { return 'A' <= c && c <= 'Z' }

// continents are the seven of GeoNames and MaxMind with their countries. They
// differ from the United Nations' M49 at the seams: Cyprus is in Europe, the
// Caribbean and Central America are in North America.
var continents = [...]struct{ code, countries string }{
	{"AF", "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG " +
		"RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW"},
	{"AN", "AQ BV GS HM TF"},
	{"AS", "AE AF AM AZ BD BH BN BT CC CN GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK " +
		"PS QA SA SG SY TH TJ TM TR TW UZ VN YE"},
	{"EU", "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT " +
		"NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK"},
	{"NA", "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US " +
		"VC VG VI"},
	{"OC", "AS AU CK CX FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS"},
	{"SA", "AR BO BR CL CO EC FK GF GY PE PY SR UY VE"},
}

// isContinent tells whether code is one of the seven.
func isContinent(code string) bool {
	for _, c := range continents {
		if c.code == code {
			return true
		}
	}
	return false
}

// place is that of codes as a database has them: what is no code is left out.
func place(country, continentCode, subdivision string) Place {
	p := Place{Continent: continent(country)}
	if p.Continent == "" {
		if isContinent(continentCode) {
			p.Continent = strings.Clone(continentCode)
		}
		return p
	}
	p.Country = strings.Clone(country)
	if isSubdivision(subdivision) {
		p.Subdivision = strings.Clone(subdivision)
	}
	return p
}

// isSubdivision tells the second part of an ISO 3166-2 code: one to three
// letters or digits.
func isSubdivision(s string) bool {
	for i := range len(s) {
		if !capital(s[i]) && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= 3
}
