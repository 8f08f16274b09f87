package azure

import (
	"embed"
	"slices"
	"strconv"
	"strings"
)

//go:embed rules/*.conf
var ruleFiles embed.FS

// Rules returns rules in SecLang for what the Core Rule Set does not have:
// virtual patches and others, under the identifiers that Azure gives to rules
// for the same. They add to the score of the Core Rule Set's level 1, so they
// go after its initialization (901) and before its decision (949). Which are
// on is the Set's to say (Split).
func Rules() string {
	var all strings.Builder
	for _, name := range []string{"protocol", "cves", "webshells", "appsec"} {
		text, err := ruleFiles.ReadFile("rules/" + name + ".conf")
		if err != nil {
			panic(err) // it is in the binary
		}
		all.Write(text)
		all.WriteByte('\n')
	}
	return all.String()
}

// RuleIDs lists the identifiers of Rules, ascending.
func RuleIDs() []int {
	var ids []int
	for part := range strings.SplitSeq(Rules(), `"id:`) {
		digits, _, _ := strings.Cut(part, ",")
		if id, err := strconv.Atoi(digits); err == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Patch is a rule that Microsoft wrote for its sets.
type Patch struct {
	ID      int
	Title   string // what it is against
	CVE     string // empty where it is against no single vulnerability
	Present bool   // whether Rules has one for the same
}

// Patches lists the rules that Microsoft wrote, as far as they are no
// variants of rules in the Core Rule Set, with and without one in Rules.
func Patches() []Patch {
	present := RuleIDs()
	list := slices.Clone(patches)
	for i := range list {
		_, list[i].Present = slices.BinarySearch(present, list[i].ID)
	}
	return list
}

var patches = []Patch{
	{ID: 99001001, CVE: "CVE-2020-5902", Title: "F5 TMUI"},
	{ID: 99001002, CVE: "CVE-2019-19781", Title: "Citrix ADC directory traversal"},
	{ID: 99001003, CVE: "CVE-2019-3396", Title: "Confluence Widget Connector"},
	{ID: 99001004, CVE: "CVE-2020-8243", Title: "Pulse Connect Secure template"},
	{ID: 99001005, CVE: "CVE-2020-0932", Title: "SharePoint type converter"},
	{ID: 99001006, CVE: "CVE-2019-11510", Title: "Pulse Connect Secure directory traversal"},
	{ID: 99001007, CVE: "CVE-2020-1631", Title: "Junos J-Web file inclusion"},
	{ID: 99001008, CVE: "CVE-2018-13379", Title: "FortiOS path traversal"},
	{ID: 99001009, CVE: "CVE-2017-5638", Title: "Struts OGNL in an upload"},
	{ID: 99001010, CVE: "CVE-2017-12611", Title: "Struts OGNL in an argument"},
	{ID: 99001011, CVE: "CVE-2020-14882", Title: "WebLogic console"},
	{ID: 99001012, CVE: "CVE-2019-18935", Title: "Telerik UI deserialization"},
	{ID: 99001013, CVE: "CVE-2019-0604", Title: "SharePoint deserialization"},
	{ID: 99001014, CVE: "CVE-2022-22963", Title: "Spring Cloud Function"},
	{ID: 99001015, CVE: "CVE-2022-22965", Title: "Spring4Shell"},
	{ID: 99001016, CVE: "CVE-2022-22947", Title: "Spring Cloud Gateway"},
	{ID: 99001017, CVE: "CVE-2023-50164", Title: "Struts file upload"},
	{ID: 99001018, CVE: "CVE-2025-55182", Title: "React2Shell"},
	{ID: 99005002, Title: "Web shell commands"},
	{ID: 99005003, Title: "Web shell upload, PHP"},
	{ID: 99005004, Title: "Web shell upload, ASPX"},
	{ID: 99005005, Title: "Web shell interaction"},
	{ID: 99005006, CVE: "CVE-2022-22965", Title: "Spring4Shell's page"},
	{ID: 99030001, Title: "Path traversal evasion in headers"},
	{ID: 99030002, Title: "Path traversal evasion in bodies"},
	{ID: 99030003, Title: "Encoded path"},
	{ID: 99030004, Title: "Browser without brotli, https Referer"},
	{ID: 99030005, Title: "Browser without brotli, HTTP/2"},
	{ID: 99030006, Title: "Illegal character in a file name"},
}
