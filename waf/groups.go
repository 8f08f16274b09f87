package waf

import (
	"fmt"
	"strings"
)

// group is a family of managed rules.
type group struct {
	name   string   // as metrics and logs have it
	prefix int      // of the rules' numbers: 942 is 942000 to 942999
	others []string // other names of it
}

// groups are the families of the Core Rule Set.
var groups = []group{
	{"general", 200, []string{"General"}},
	{"method-enforcement", 911, []string{"METHOD-ENFORCEMENT", "REQUEST-911-METHOD-ENFORCEMENT"}},
	{"scanner-detection", 913, []string{"REQUEST-913-SCANNER-DETECTION"}},
	{"protocol-enforcement", 920, []string{"PROTOCOL-ENFORCEMENT", "REQUEST-920-PROTOCOL-ENFORCEMENT"}},
	{"protocol-attack", 921, []string{"PROTOCOL-ATTACK", "REQUEST-921-PROTOCOL-ATTACK"}},
	{"multipart-attack", 922, []string{"REQUEST-922-MULTIPART-ATTACK"}},
	{"lfi", 930, []string{"REQUEST-930-APPLICATION-ATTACK-LFI"}},
	{"rfi", 931, []string{"REQUEST-931-APPLICATION-ATTACK-RFI"}},
	{"rce", 932, []string{"REQUEST-932-APPLICATION-ATTACK-RCE"}},
	{"php", 933, []string{"REQUEST-933-APPLICATION-ATTACK-PHP"}},
	{"generic", 934, []string{"NODEJS", "REQUEST-934-APPLICATION-ATTACK-GENERIC", "REQUEST-934-APPLICATION-ATTACK-NODEJS"}},
	{"xss", 941, []string{"REQUEST-941-APPLICATION-ATTACK-XSS"}},
	{"sqli", 942, []string{"REQUEST-942-APPLICATION-ATTACK-SQLI"}},
	{"session-fixation", 943, []string{"SESSION-FIXATION", "FIX", "REQUEST-943-APPLICATION-ATTACK-SESSION-FIXATION"}},
	{"java", 944, []string{"SESSION-JAVA", "REQUEST-944-APPLICATION-ATTACK-JAVA", "REQUEST-944-APPLICATION-ATTACK-SESSION-JAVA"}},
	{"data-leakages", 950, nil},
	{"data-leakages-sql", 951, nil},
	{"data-leakages-java", 952, nil},
	{"data-leakages-php", 953, nil},
	{"data-leakages-iis", 954, nil},
	{"web-shells", 955, nil},
	{"data-leakages-ruby", 956, nil},
}

// groupOf is the name of a rule's group.
func groupOf(id int) string {
	for i := range groups {
		if groups[i].prefix == id/1000 {
			return groups[i].name
		}
	}
	return "other"
}

// findGroup finds a group by one of its names; nil for none.
func findGroup(name string) *group {
	for i := range groups {
		g := &groups[i]
		if strings.EqualFold(g.name, name) || fmt.Sprint(g.prefix) == name {
			return g
		}
		for _, other := range g.others {
			if strings.EqualFold(other, name) {
				return g
			}
		}
	}
	return nil
}

// rangeOfGroup is a group as a range of numbers; empty when there is no such
// group.
func rangeOfGroup(name string) string {
	if g := findGroup(name); g != nil {
		return fmt.Sprintf("%d000-%d999", g.prefix, g.prefix)
	}
	return ""
}

// rulesOfGroup are the rules of a group.
func rulesOfGroup(name string) (ids []int) {
	g := findGroup(name)
	files, err := crsFiles()
	if g == nil || err != nil {
		return nil
	}
	for _, f := range files {
		for _, d := range f.rules {
			if d.Rule != nil && d.Rule.ID/1000 == g.prefix {
				ids = append(ids, d.Rule.ID)
			}
		}
	}
	return ids
}
