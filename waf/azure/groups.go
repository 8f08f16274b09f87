package azure

import (
	"slices"
	"strconv"
	"strings"
)

// Group is a family of rules by identifier: of the Core Rule Set, of Coraza's
// recommended configuration, or of Rules.
type Group struct {
	From, To int      // identifiers, both included
	Short    string   // for configurations and metrics: sqli
	File     string   // the Core Rule Set's, without .conf; empty for others
	Azure    []string // Azure's names of the group, if it has any
	Title    string   // for people
}

// Groups lists all groups by identifier. They do not overlap.
func Groups() []Group { return slices.Clone(groups) }

// GroupOf returns the group that an identifier is in.
func GroupOf(id int) (Group, bool) {
	for _, g := range groups {
		if g.From <= id && id <= g.To {
			return g, true
		}
	}
	return Group{}, false
}

// FindGroup returns the group of a name, whose case does not matter: short
// (sqli), Azure's (SQLI), the file's with or without what is in front
// (REQUEST-942-APPLICATION-ATTACK-SQLI, APPLICATION-ATTACK-SQLI), or the
// first three digits of its identifiers (942).
func FindGroup(name string) (Group, bool) {
	for _, g := range groups {
		if g.named(name) {
			return g, true
		}
	}
	return Group{}, false
}

func (g Group) named(name string) bool {
	if strings.EqualFold(name, g.Short) || g.File != "" && name == strconv.Itoa(g.From/1000) {
		return true
	}
	for _, full := range append([]string{g.File}, g.Azure...) {
		if full != "" && (strings.EqualFold(name, full) || strings.EqualFold(name, unnumbered(full))) {
			return true
		}
	}
	return false
}

// unnumbered takes REQUEST-942- from the front of a file's name.
func unnumbered(file string) string {
	parts := strings.SplitN(file, "-", 3)
	if len(parts) == 3 && (parts[0] == "REQUEST" || parts[0] == "RESPONSE") {
		return parts[2]
	}
	return file
}

var groups = []Group{
	{200000, 200999, "general", "", []string{"General"}, "Bodies that cannot be read"},
	{901000, 901999, "initialization", "REQUEST-901-INITIALIZATION", nil, "Settings of the rule set"},
	{905000, 905999, "exceptions", "REQUEST-905-COMMON-EXCEPTIONS", nil, "Requests that need no judgement"},
	{911000, 911999, "method", "REQUEST-911-METHOD-ENFORCEMENT", []string{"METHOD-ENFORCEMENT"}, "Methods"},
	{913000, 913999, "scanner", "REQUEST-913-SCANNER-DETECTION", nil, "Security scanners"},
	{920000, 920999, "protocol", "REQUEST-920-PROTOCOL-ENFORCEMENT", []string{"PROTOCOL-ENFORCEMENT"}, "Protocol violations and limits"},
	{921000, 921999, "protocol-attack", "REQUEST-921-PROTOCOL-ATTACK", []string{"PROTOCOL-ATTACK"}, "Smuggling, splitting, injected fields"},
	{922000, 922999, "multipart", "REQUEST-922-MULTIPART-ATTACK", nil, "Attacks on multipart readers"},
	{930000, 930999, "lfi", "REQUEST-930-APPLICATION-ATTACK-LFI", []string{"LFI"}, "Local file inclusion, path traversal"},
	{931000, 931999, "rfi", "REQUEST-931-APPLICATION-ATTACK-RFI", []string{"RFI"}, "Remote file inclusion"},
	{932000, 932999, "rce", "REQUEST-932-APPLICATION-ATTACK-RCE", []string{"RCE"}, "Command execution"},
	{933000, 933999, "php", "REQUEST-933-APPLICATION-ATTACK-PHP", []string{"PHP"}, "PHP injection"},
	{934000, 934999, "generic", "REQUEST-934-APPLICATION-ATTACK-GENERIC", []string{"NODEJS", "APPLICATION-ATTACK-NodeJS"}, "Injection into Node.js and templates, forged requests of the server"},
	{941000, 941999, "xss", "REQUEST-941-APPLICATION-ATTACK-XSS", []string{"XSS"}, "Cross-site scripting"},
	{942000, 942999, "sqli", "REQUEST-942-APPLICATION-ATTACK-SQLI", []string{"SQLI"}, "SQL injection"},
	{943000, 943999, "fixation", "REQUEST-943-APPLICATION-ATTACK-" + fixation, []string{"FIX", fixation}, "Fixed login cookies"},
	{944000, 944999, "java", "REQUEST-944-APPLICATION-ATTACK-JAVA", []string{"JAVA", "APPLICATION-ATTACK-SESSION-JAVA", "REQUEST-944-APPLICATION-ATTACK-SESSION-JAVA"}, "Java deserialization, Log4Shell"},
	{949000, 949999, "inbound", "REQUEST-949-BLOCKING-EVALUATION", nil, "Decision on the request by its score"},
	{950000, 950999, "leakage", "RESPONSE-950-DATA-LEAKAGES", nil, "Leaks in responses"},
	{951000, 951999, "leakage-sql", "RESPONSE-951-DATA-LEAKAGES-SQL", nil, "Errors of databases in responses"},
	{952000, 952999, "leakage-java", "RESPONSE-952-DATA-LEAKAGES-JAVA", nil, "Errors of Java in responses"},
	{953000, 953999, "leakage-php", "RESPONSE-953-DATA-LEAKAGES-PHP", nil, "Errors of PHP in responses"},
	{954000, 954999, "leakage-iis", "RESPONSE-954-DATA-LEAKAGES-IIS", nil, "Errors of IIS in responses"},
	{955000, 955999, "web-shell-answer", "RESPONSE-955-WEB-SHELLS", nil, "Pages of web shells"},
	{956000, 956999, "leakage-ruby", "RESPONSE-956-DATA-LEAKAGES-RUBY", nil, "Errors of Ruby in responses"},
	{959000, 959999, "outbound", "RESPONSE-959-BLOCKING-EVALUATION", nil, "Decision on the response by its score"},
	{980000, 980999, "correlation", "RESPONSE-980-CORRELATION", nil, "Summary for the log"},
	{999000, 999999, "exceptions-after", "REQUEST-999-COMMON-EXCEPTIONS-AFTER", nil, "Scores taken back"},
	{99001000, 99001999, "cve", "", []string{"MS-ThreatIntel-CVEs", "Known-CVEs"}, "Virtual patches"},
	{99005000, 99005999, "web-shell", "", []string{"MS-ThreatIntel-WebShells"}, "Clients of web shells"},
	{99030000, 99030999, "evasion", "", []string{"MS-ThreatIntel-AppSec"}, "Evasions of path checks"},
}
