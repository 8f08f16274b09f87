package waf

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"

	"gatehouse/config"
	"gatehouse/waf/azure"
	"gatehouse/waf/seclang"
)

// ruleset is the managed rules of a policy.
type ruleset struct {
	name      string // of the policy
	text      string // as Coraza reads them
	settings  *config.RuleSet
	responses bool // those about responses are asked, too
}

// parse takes the rules apart for the index.
func (rs *ruleset) parse() ([]seclang.Item, error) {
	directives, err := seclang.Parse(seclang.File{Name: "policy " + rs.name, Text: rs.text})
	if err != nil {
		return nil, err
	}
	return seclang.Apply(directives)
}

// crsVersion is the version of the Core Rule Set that is built in.
const crsVersion = "4.25.0"

// protocolRules are the rules about messages that could not be read in one
// way; the numbers are those of Coraza's recommended configuration.
const protocolRules = `
SecRule REQBODY_ERROR "!@eq 0" "id:200002,phase:2,t:none,log,deny,status:400,msg:'The request body could not be read',logdata:'%{reqbody_error_msg}',severity:CRITICAL"
SecRule MULTIPART_STRICT_ERROR "!@eq 0" "id:200003,phase:2,t:none,log,deny,status:400,msg:'The multipart body is not strictly valid',logdata:'MULTIPART_DUPLICATE_PART_HEADER=%{MULTIPART_DUPLICATE_PART_HEADER}, MULTIPART_INVALID_QUOTING=%{MULTIPART_INVALID_QUOTING}',severity:CRITICAL"
SecRule ARGUMENTS_LIMIT_REACHED "@eq 1" "id:200004,phase:2,t:none,log,deny,status:400,msg:'More arguments than are read',severity:CRITICAL"
SecRule URI_PARSE_ERROR "@eq 1" "id:200009,phase:1,t:none,log,deny,status:400,msg:'The request target could not be read',severity:CRITICAL"
`

// newRuleset makes the rules of a policy.
func newRuleset(c *config.WAFPolicy) (*ruleset, error) {
	files, err := crsFiles()
	if err != nil {
		return nil, err
	}
	var w ruleWriter
	w.engine(c.Mode)
	w.settings(&c.RuleSet)
	w.text(protocolRules)
	if c.RuleSet.Profile == config.ProfileBalanced {
		w.text(balancedBefore)
	}
	changes := changesOf(&c.RuleSet)
	w.crs(files, changes, &c.RuleSet)
	if c.RuleSet.Profile == config.ProfileBalanced {
		w.text(balancedAfter)
	}
	w.exclusions(&c.RuleSet, changes)
	if c.ResponseBody.Inspect {
		w.text("# with the rules about responses") // other rules are another engine
	}
	if len(w.errs) > 0 {
		return nil, errors.Join(w.errs...)
	}
	return &ruleset{c.Name, w.b.String(), &c.RuleSet, c.ResponseBody.Inspect}, nil
}

// crsFile is a file of the Core Rule Set with its rules.
type crsFile struct {
	name  string
	rules []seclang.Directive
}

// crsFiles are the rules of the Core Rule Set, read once: they are built in
// and do not change.
var crsFiles = sync.OnceValues(func() ([]crsFile, error) {
	names, err := fs.Glob(coreruleset.FS, "@owasp_crs/*.conf")
	if err != nil {
		return nil, err
	}
	var files []crsFile
	for _, n := range names {
		text, err := fs.ReadFile(coreruleset.FS, n)
		if err != nil {
			return nil, err
		}
		list, err := seclang.Parse(seclang.File{Name: path.Base(n), Text: string(text)})
		if err != nil {
			return nil, err
		}
		files = append(files, crsFile{path.Base(n), list})
	}
	return addAzureRules(files)
})

// addAzureRules puts the rules that Azure has and the Core Rule Set has not
// before the decision on the score. The profile balanced has them, too: virtual
// patches of vulnerabilities that are attacked.
func addAzureRules(files []crsFile) ([]crsFile, error) {
	list, err := seclang.Parse(seclang.File{Name: "azure", Text: azure.Rules()})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(files, func(f crsFile) bool { return strings.HasPrefix(f.name, "REQUEST-949") })
	return slices.Insert(files, i, crsFile{"azure", list}), nil
}

// managedRules are the rules that a policy may change: those with a message.
func managedRules() (list []*seclang.Rule) {
	files, err := crsFiles()
	if err != nil {
		return nil
	}
	for _, f := range files {
		for _, d := range f.rules {
			if d.Rule != nil && d.Rule.Msg != "" && levelOf(d.Rule.Tags) > 0 {
				list = append(list, d.Rule)
			}
		}
	}
	return list
}

// crsData is where @pmFromFile reads.
func crsData() (fs.FS, error) { return fs.Sub(coreruleset.FS, "@owasp_crs") }

// ruleWriter writes rules down.
type ruleWriter struct {
	b    strings.Builder
	errs []error
}

func (w *ruleWriter) text(s string) { w.b.WriteString(s + "\n") }

func (w *ruleWriter) linef(format string, args ...any) { fmt.Fprintf(&w.b, format+"\n", args...) }

// engine says how Coraza works: it reads no body itself, and acts only in
// prevention.
func (w *ruleWriter) engine(mode config.WAFMode) {
	w.linef("SecRuleEngine %s", map[config.WAFMode]string{config.WAFPrevention: "On", config.WAFDetection: "DetectionOnly"}[mode])
	w.text("SecRequestBodyAccess Off\nSecResponseBodyAccess Off\nSecAuditEngine Off")
	for phase := 1; phase <= 5; phase++ {
		w.linef(`SecDefaultAction "phase:%d,log,auditlog,pass"`, phase)
	}
}

// settings sets the variables that the rules read.
func (w *ruleWriter) settings(s *config.RuleSet) {
	set := []string{
		"crs_setup_version=4250", "enforce_bodyproc_urlencoded=1",
		"blocking_paranoia_level=" + strconv.Itoa(s.Paranoia), "detection_paranoia_level=" + strconv.Itoa(s.DetectionParanoia),
		"inbound_anomaly_score_threshold=" + strconv.Itoa(s.InboundThreshold), "outbound_anomaly_score_threshold=" + strconv.Itoa(s.OutboundThreshold),
		"early_blocking=" + flagged(s.EarlyBlocking), "crs_validate_utf8_encoding=" + flagged(s.ValidateUTF8),
	}
	for name, n := range map[string]int{"max_num_args": maxArgs(s), "arg_name_length": s.ArgNameLength, "arg_length": s.ArgLength,
		"total_arg_length": s.TotalArgLength, "max_file_size": s.MaxFileSize, "combined_file_sizes": s.CombinedFileSizes} {
		if n > 0 {
			set = append(set, name+"="+strconv.Itoa(n))
		}
	}
	set = append(set, allowances(s)...)
	slices.Sort(set)
	w.b.WriteString(`SecAction "id:900990,phase:1,pass,nolog,t:none`)
	for _, s := range set {
		w.b.WriteString(",setvar:'tx." + s + "'")
	}
	w.text(`"`)
}

// maxArgs is how many arguments a request may have. It is also how many are
// read: what is not looked at must not pass.
func maxArgs(s *config.RuleSet) int {
	switch {
	case s.MaxArgs > 0:
		return s.MaxArgs
	case s.Profile == config.ProfileBalanced:
		return 10_000
	}
	return 255
}

func flagged(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// allowances are the lists of the protocol rules. What neither the policy nor
// its profile says is left to the rule set.
func allowances(s *config.RuleSet) (set []string) {
	list := func(name string, values, balanced []string, before, after string) {
		if len(values) == 0 && s.Profile == config.ProfileBalanced {
			values = balanced
		}
		var parts []string
		for _, v := range values {
			parts = append(parts, before+v+after)
		}
		if len(parts) > 0 {
			set = append(set, name+"="+strings.Join(parts, " "))
		}
	}
	list("allowed_methods", s.AllowedMethods, balancedMethods, "", "")
	list("allowed_request_content_type", s.AllowedContentTypes, balancedContentTypes, "|", "|")
	list("allowed_http_versions", s.AllowedHTTPVersions, nil, "", "")
	list("restricted_extensions", s.RestrictedExtensions, nil, "", "/")
	list("restricted_headers_basic", s.RestrictedHeaders, balancedHeaders, "/", "/")
	return set
}

// crs writes the managed rules, each as the policy has it.
func (w *ruleWriter) crs(files []crsFile, changes ruleChanges, s *config.RuleSet) {
	for _, f := range files {
		if strings.HasPrefix(f.name, "REQUEST-949") {
			w.enabled(changes, s)
		}
		for _, d := range f.rules {
			w.directive(&d, changes, s)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(changes)) {
		if c := changes[id]; c.is(ruleBlocks) && !c.is(ruleOff) {
			w.linef(`SecRuleUpdateActionById %d "deny,status:403"`, id)
		}
	}
}

// directive writes a directive of the rule set.
func (w *ruleWriter) directive(d *seclang.Directive, changes ruleChanges, s *config.RuleSet) {
	switch d.Name {
	case "SecRule", "SecAction":
		if c := changes[d.Rule.ID]; !c.is(ruleOff | ruleEnabled) {
			w.rule(d.Rule, c, s)
		}
	case "SecMarker":
		w.linef("SecMarker %q", d.Text)
	case "SecRuleUpdateTargetById": // the cookies of advertisers, and the like
		if id, err := strconv.Atoi(d.Args[0]); err != nil || !changes[id].is(ruleOff) {
			w.linef("SecRuleUpdateTargetById %s", d.Text)
		}
	case "SecComponentSignature": // for audit logs
	default:
		w.errs = append(w.errs, &seclang.Error{File: d.File, Line: d.Line, Err: fmt.Errorf("%s is not taken over", d.Name)})
	}
}

// rule writes a rule with the links of its chain.
func (w *ruleWriter) rule(r *seclang.Rule, c ruleChange, s *config.RuleSet) {
	edit := func(raw string) string {
		if c.is(ruleLogged) {
			raw = unscored(raw)
		}
		if c.is(ruleEnabled) { // with a score that counts
			raw = levelOfScore.ReplaceAllString(raw, "${1}"+strconv.Itoa(s.Paranoia))
		}
		return raw
	}
	w.text(edit(r.Raw))
	for i := range r.Chain {
		w.text(edit(r.Chain[i].Raw))
	}
}

// scoring are the settings by which a rule adds to a score.
var scoring = regexp.MustCompile(`,\s*setvar:'?tx\.[a-z_]*score[a-z0-9_]*=\+[^',"]*'?`)

// unscored takes the score from a rule.
func unscored(raw string) string { return scoring.ReplaceAllString(raw, "") }

var levelOfScore = regexp.MustCompile(`(tx\.(?:in|out)bound_anomaly_score_pl)[1-4]`)

// enabled writes the rules that are on although they are above the paranoia
// level, behind the rules of all levels.
func (w *ruleWriter) enabled(changes ruleChanges, s *config.RuleSet) {
	for _, r := range managedRules() {
		if c := changes[r.ID]; c.is(ruleEnabled) && !c.is(ruleOff) {
			w.rule(r, c, s)
		}
	}
}
