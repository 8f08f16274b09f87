package azure

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
)

// levels are the Core Rule Set's rules with their paranoia levels, 0 where
// they have none.
func levels(t *testing.T) map[int]int {
	t.Helper()
	all := map[int]int{}
	names, err := fs.Glob(coreruleset.FS, "@owasp_crs/*.conf")
	if err != nil || len(names) < 20 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(coreruleset.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		id := 0
		for _, m := range regexp.MustCompile(`"id:(\d+)|paranoia-level/(\d)`).FindAllSubmatch(text, -1) {
			if len(m[1]) > 0 {
				id, _ = strconv.Atoi(string(m[1]))
				all[id] = 0
			} else {
				all[id], _ = strconv.Atoi(string(m[2]))
			}
		}
	}
	return all
}

// The numbers of rules are those of Azure's list of available rule sets.
func TestGroupsHaveAllTheirRules(t *testing.T) {
	tests := map[string]string{
		"Microsoft_DefaultRuleSet 2.2": "General 2, METHOD-ENFORCEMENT 1, PROTOCOL-ENFORCEMENT 37, PROTOCOL-ATTACK 10, LFI 4, RFI 4, RCE 12, PHP 12, NODEJS 1, " +
			"XSS 30, SQLI 39, FIX 3, JAVA 8, MS-ThreatIntel-WebShells 5, MS-ThreatIntel-AppSec 6, MS-ThreatIntel-SQLI 6, MS-ThreatIntel-CVEs 18, MS-ThreatIntel-XSS 2",
		"Microsoft_DefaultRuleSet 2.1": "General 2, METHOD-ENFORCEMENT 1, PROTOCOL-ENFORCEMENT 35, PROTOCOL-ATTACK 9, LFI 4, RFI 4, RCE 12, PHP 12, NODEJS 1, " +
			"XSS 30, SQLI 40, FIX 3, JAVA 8, MS-ThreatIntel-WebShells 5, MS-ThreatIntel-AppSec 2, MS-ThreatIntel-SQLI 4, MS-ThreatIntel-CVEs 18",
		"OWASP 3.2": "General 3, Known-CVEs 7, REQUEST-911-METHOD-ENFORCEMENT 1, REQUEST-913-SCANNER-DETECTION 5, REQUEST-920-PROTOCOL-ENFORCEMENT 39, " +
			"REQUEST-921-PROTOCOL-ATTACK 9, REQUEST-930-APPLICATION-ATTACK-LFI 4, REQUEST-931-APPLICATION-ATTACK-RFI 4, REQUEST-932-APPLICATION-ATTACK-RCE 14, " +
			"REQUEST-933-APPLICATION-ATTACK-PHP 16, REQUEST-941-APPLICATION-ATTACK-XSS 28, REQUEST-942-APPLICATION-ATTACK-SQLI 46, " +
			"REQUEST-943-APPLICATION-ATTACK-" + fixation + " 3, REQUEST-944-APPLICATION-ATTACK-JAVA 8",
		"Microsoft_BotManagerRuleSet 1.1": "BadBots 3, GoodBots 7, UnknownBots 7",
		"Microsoft_BotManagerRuleSet 1.0": "BadBots 2, GoodBots 2, UnknownBots 7",
		"Microsoft_HTTPDDoSRuleSet 1.0":   "ExcessiveRequests 2",
	}
	for _, s := range Sets() {
		var names, got []string
		count, seen := map[string]int{}, map[string]bool{}
		for _, r := range s.Rules {
			if count[r.Group]++; count[r.Group] == 1 {
				names = append(names, r.Group)
			}
			if seen[r.ID] {
				t.Errorf("%s %s has %s twice", s.Name, s.Version, r.ID)
			}
			seen[r.ID] = true
		}
		for _, name := range names {
			got = append(got, fmt.Sprint(name, " ", count[name]))
		}
		if want := tests[s.Name+" "+s.Version]; strings.Join(got, ", ") != want {
			t.Errorf("%s %s\n has %s\nwant %s", s.Name, s.Version, strings.Join(got, ", "), want)
		}
	}
}

func TestWhatStandsForARuleExists(t *testing.T) {
	crs := levels(t)
	known := func(id int) bool {
		_, ok := crs[id]
		return ok || id == 200002 || id == 200003 || slices.Contains(RuleIDs(), id)
	}
	for _, s := range Sets() {
		for _, r := range s.Rules {
			ids, note, ok := s.CRS(r.ID)
			if !ok || len(ids) == 0 && note == "" {
				t.Errorf("%s %s: nothing stands for %s, and nothing says why", s.Name, s.Version, r.ID)
			}
			for _, id := range ids {
				if !known(id) {
					t.Errorf("%s %s: %s is translated to %d, which does not exist", s.Name, s.Version, r.ID, id)
				}
			}
			if len(ids) == 1 && note == "" && crs[ids[0]] != 0 && crs[ids[0]] != r.Paranoia {
				t.Errorf("%s %s: %s is of level %d here and of %d there, and no note says so", s.Name, s.Version, r.ID, crs[ids[0]], r.Paranoia)
			}
		}
	}
}

func TestEveryTranslationIsOfARule(t *testing.T) {
	for id := range translations {
		if !slices.ContainsFunc(Sets(), func(s *Set) bool { _, ok := s.Rule(id); return ok }) {
			t.Errorf("%s is translated, and no set has it", id)
		}
	}
}

func TestDefaults(t *testing.T) {
	tests := []struct {
		set, id string
		want    string
	}{
		{"Microsoft_DefaultRuleSet 2.2", "942100", "SQLI 1 true Critical AnomalyScoring"},
		{"Microsoft_DefaultRuleSet 2.2", "920121", "PROTOCOL-ENFORCEMENT 2 false Critical AnomalyScoring"},
		{"Microsoft_DefaultRuleSet 2.2", "99001018", "MS-ThreatIntel-CVEs 1 true Critical AnomalyScoring"},
		{"Microsoft_DefaultRuleSet 2.2", "99001017", "MS-ThreatIntel-CVEs 2 false Critical AnomalyScoring"},
		{"Microsoft_DefaultRuleSet 2.2", "920270", "PROTOCOL-ENFORCEMENT 1 true Critical AnomalyScoring"},
		{"Microsoft_DefaultRuleSet 2.2", "920210", "PROTOCOL-ENFORCEMENT 1 true Warning AnomalyScoring"},
		{"Microsoft_DefaultRuleSet 2.1", "920210", "PROTOCOL-ENFORCEMENT 1 true Critical AnomalyScoring"},
		{"Microsoft_DefaultRuleSet 2.1", "99001017", "MS-ThreatIntel-CVEs 2 true Critical Log"},
		{"Microsoft_DefaultRuleSet 2.1", "942430", "SQLI 2 false Warning AnomalyScoring"},
		{"Microsoft_DefaultRuleSet 2.1", "920270", "PROTOCOL-ENFORCEMENT 1 true Error AnomalyScoring"},
		{"Microsoft_DefaultRuleSet 2.1", "920300", "PROTOCOL-ENFORCEMENT 2 true Notice AnomalyScoring"},
		{"OWASP 3.2", "942432", "REQUEST-942-APPLICATION-ATTACK-SQLI 4 false Warning AnomalyScoring"},
		{"OWASP 3.2", "942430", "REQUEST-942-APPLICATION-ATTACK-SQLI 2 true Warning AnomalyScoring"},
		{"Microsoft_BotManagerRuleSet 1.1", "Bot200300", "GoodBots 0 true  Allow"},
		{"Microsoft_BotManagerRuleSet 1.1", "100100", "BadBots 0 true  Block"},
		{"Microsoft_BotManagerRuleSet 1.0", "300700", "UnknownBots 0 true  Log"},
	}
	for _, tt := range tests {
		name, version, _ := strings.Cut(tt.set, " ")
		s, ok := Find(strings.ToUpper(name), version)
		if !ok {
			t.Fatalf("%s is not found", tt.set)
		}
		r, ok := s.Rule(tt.id)
		if got := fmt.Sprint(r.Group, " ", r.Paranoia, " ", r.Enabled, " ", r.Severity, " ", r.Action); !ok || got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.set, tt.id, got, tt.want)
		}
	}
	if _, ok := Find("OWASP", "2.2.9"); ok {
		t.Error("a set is found that is not there")
	}
}

func TestTranslations(t *testing.T) {
	drs, _ := Find("Microsoft_DefaultRuleSet", "2.2")
	owasp, _ := Find("OWASP", "3.2")
	tests := []struct {
		set  *Set
		id   string
		ids  string
		note string // part of it
	}{
		{drs, "942100", "[942100]", ""},
		{drs, "932110", "[932370 932371]", "rewritten"},
		{drs, "99001004", "[]", "none"},
		{drs, "931100", "[931100]", "level 1"},
		{owasp, "931100", "[931100]", ""},
		{owasp, "200004", "[]", "200003"},
		{owasp, "800111", "[99001014]", "99001014"},
	}
	for _, tt := range tests {
		ids, note, ok := tt.set.CRS(tt.id)
		if !ok || fmt.Sprint(ids) != tt.ids || !strings.Contains(note, tt.note) || tt.note == "" && note != "" {
			t.Errorf("%s: %v %q %v, want %s %q", tt.id, ids, note, ok, tt.ids, tt.note)
		}
	}
	if _, _, ok := drs.CRS("200004"); ok {
		t.Error("a rule is translated that the set does not have")
	}
}

func TestReportNamesWhatHasNoEquivalent(t *testing.T) {
	for _, s := range Sets() {
		noted := map[string]bool{}
		for _, n := range s.Report() {
			noted[n.Rule.ID] = true
			if n.Text == "" {
				t.Errorf("%s has an empty note", n.Rule.ID)
			}
		}
		for _, r := range s.Rules {
			ids, _, _ := s.CRS(r.ID)
			if same := len(ids) == 1 && strconv.Itoa(ids[0]) == r.ID; !same && !noted[r.ID] {
				t.Errorf("%s %s: the report lacks %s", s.Name, s.Version, r.ID)
			}
		}
	}
}

func TestSplitKeepsWhatAnotherRuleStillNeeds(t *testing.T) {
	s, _ := Find("Microsoft_DefaultRuleSet", "2.2")
	active, inactive := s.Split(nil)
	for id, want := range map[int]bool{942100: true, 941120: true, 942110: false, 942440: false, 99001018: true, 99001001: false, 920420: false} {
		if got := slices.Contains(active, id); got != want {
			t.Errorf("%d is on: %v, want %v", id, got, want)
		}
		if slices.Contains(active, id) && slices.Contains(inactive, id) {
			t.Errorf("%d is both on and off", id)
		}
	}
	for _, id := range []int{944150, 955100} { // Azure's rules for these are off; those of CRS need not be
		if slices.Contains(inactive, id) {
			t.Errorf("%d is off", id)
		}
	}
	// 941120 is on for 99032001 only, which takes its place.
	active, inactive = s.Split(func(r Rule) bool { return r.Enabled && r.ID != "99032001" })
	if slices.Contains(active, 941120) || !slices.Contains(inactive, 941120) {
		t.Error("941120 is on for nothing")
	}
}

func TestGroupsGoByManyNames(t *testing.T) {
	drs, _ := Find("Microsoft_DefaultRuleSet", "2.1")
	owasp, _ := Find("OWASP", "3.2")
	for _, tt := range []struct {
		set   *Set
		names string
		rules int
	}{
		{drs, "sqli SQLI REQUEST-942-APPLICATION-ATTACK-SQLI APPLICATION-ATTACK-SQLI 942", 40},
		{owasp, "sqli SQLI REQUEST-942-APPLICATION-ATTACK-SQLI APPLICATION-ATTACK-SQLI 942", 46},
		{owasp, "java JAVA 944 request-944-application-attack-java", 8},
		{owasp, "cve Known-CVEs KNOWN-CVES ms-threatintel-cves", 7},
		{drs, "cve Known-CVEs MS-ThreatIntel-CVEs", 18},
		{drs, "MS-ThreatIntel-SQLI", 4},
		{drs, "nodejs 934 generic", 1},
		{drs, "fixation FIX 943 " + fixation, 3},
	} {
		for name := range strings.FieldsSeq(tt.names) {
			if list, ok := tt.set.Group(name); !ok || len(list) != tt.rules {
				t.Errorf("%s %s: group %s has %d rules, want %d", tt.set.Name, tt.set.Version, name, len(list), tt.rules)
			}
		}
	}
	if ids, ok := drs.IDs("MS-ThreatIntel-SQLI"); !ok || !slices.Contains(ids, 942440) || !slices.IsSorted(ids) {
		t.Errorf("identifiers %v", ids)
	}
	if ids, _ := drs.IDs("rce"); len(ids) == 0 || !slices.Equal(ids, slices.Compact(slices.Clone(ids))) {
		t.Errorf("identifiers %v, want each once", ids)
	}
	for _, name := range []string{"", "9", "94", "nosuch", "scanner"} {
		if _, ok := drs.IDs(name); ok {
			t.Errorf("a group is found for %q", name)
		}
	}
}

func TestEveryRuleIsInOneGroup(t *testing.T) {
	last := 0
	shorts := map[string]bool{}
	for _, g := range Groups() {
		if g.From <= last || g.To < g.From || shorts[g.Short] || g.Title == "" {
			t.Errorf("group %+v overlaps, or has no name of its own", g)
		}
		last, shorts[g.Short] = g.To, true
		if found, ok := FindGroup(g.Short); !ok || found.From != g.From {
			t.Errorf("group %s is not found by its name", g.Short)
		}
	}
	crs := levels(t)
	ids := RuleIDs()
	for id := range crs {
		ids = append(ids, id)
	}
	for _, id := range ids {
		if g, ok := GroupOf(id); !ok || g.File != "" && !strings.Contains(g.File, strconv.Itoa(id/1000)) {
			t.Errorf("%d is in group %q", id, g.Short)
		}
	}
	if g, ok := GroupOf(1); ok {
		t.Errorf("1 is in group %s", g.Short)
	}
}

func TestFilesOfGroupsExist(t *testing.T) {
	for _, g := range Groups() {
		if g.File == "" {
			continue
		}
		if _, err := fs.Stat(coreruleset.FS, "@owasp_crs/"+g.File+".conf"); err != nil {
			t.Error(err)
		}
	}
}
