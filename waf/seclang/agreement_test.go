package seclang

import (
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Texts that both understand, and alike.
func TestRulesAreUnderstoodAsByCoraza(t *testing.T) {
	for _, tt := range understoodTexts() {
		t.Run(tt.name, func(t *testing.T) {
			want, err := corazaRules(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, mustApply(t, File{"t", tt.text}), want)
		})
	}
}

type namedText struct{ name, text string }

func understoodTexts() []namedText {
	return []namedText{
		{"operator without a name", `SecRule ARGS "a b" "id:1"`},
		{"negated operator without a name", `SecRule ARGS "!a b" "id:1"`},
		{"nothing but a negation", `SecRule ARGS "!" "id:1"`},
		{"empty operator", `SecRule ARGS "" "id:1"`},
		{"escaped quotes", `SecRule ARGS "@rx a\"b\\\"c\\" "id:1"`},
		{"blanks everywhere", `SecRule   ARGS   "  @rx  a "   "id:1 , phase : 1 ,msg: 'a, b' , t:none"  `},
		{"operator with blanks before it is an expression", `SecRule ARGS " @streq a" "id:1"`},
		{"names in any case", "secRULE args|Request_Headers:Host \"@streq A\" \"ID:1,PHASE:1,T:LowerCase,Tag:X\""},
		{"continued lines, comments and empty lines between", "SecRule ARGS \\\n # not this\n\n  \"@rx a\" \\\n\t\"id:1,\\\n  deny\"\n"},
		{"CR LF", "SecRule ARGS \"@rx a\" \\\r\n \"id:1,deny\"\r\nSecMarker A\r\n"},
		{"keys", `SecRule ARGS:Id|!ARGS:Other|REQUEST_HEADERS:Host|!REQUEST_HEADERS:X-Y|&TX:A "@eq 0" "id:1"`},
		{"expressions as keys", `SecRule ARGS:/^A|\/b/|!ARGS:'/C\D|d/'|REQUEST_HEADERS:'/^X/'|!REQUEST_COOKIES:/Y\W/ "@rx a" "id:1"`},
		{"expression that ends in a backslash", `SecRule ARGS:/a\\/|ARGS:/b\\\/c/ "@rx a" "id:1"`},
		{"negation reaches back only", `SecRule ARGS|!ARGS:a|ARGS_NAMES|ARGS|!ARGS:/b/ "@rx a" "id:1"`},
		{"negation of all", `SecRule REQUEST_HEADERS|!REQUEST_HEADERS "@rx a" "id:1"`},
		{"paths", `SecRule XML:/*|XML://@*|xml|JSON:a.b "@rx a" "id:1"`},
		{"chain", "SecRule ARGS \"@rx a\" \"id:1,chain,deny,msg:'m'\"\nSecRule ARGS:b \"@rx b\" \"t:lowercase,chain,setvar:tx.a=1\"\nSecRule ARGS:c \"@rx c\"\nSecMarker B"},
		{"chain whose links have numbers and phases", "SecAction \"id:1,phase:1,chain\"\nSecRule ARGS \"@rx b\" \"id:7,phase:3,capture\""},
		{"last disruptive action counts", `SecAction "id:1,deny,nolog,redirect:http://a/,log,pass,status:302"`},
		{"metadata", `SecAction "id:1,rev:'2',ver:'CRS/4',maturity:1,accuracy:9,severity:CRITICAL,tag:a,tag:'b',logdata:'%{MATCHED_VAR}'"`},
		{"quotes within quotes", `SecAction "id:1,msg:'it\'s',tag:'a:b,c',logdata:a'b,c'd"`},
		{"t:none in the middle", `SecAction "id:1,t:lowercase,t:none,t:urlDecode,multiMatch,skip:2,initcol:ip=1,setenv:a=%{tx.b},exec,expirevar:a"`},
		{"ctl", `SecAction "id:1,ctl:ruleEngine=Off,ctl:ruleRemoveById=1-5,ctl:ruleRemoveTargetById=9;ARGS:Foo,ctl:ruleRemoveTargetByTag=a b;ARGS:/^x/,ctl:requestBodyAccess=off"`},
		{"default actions", "SecAction \"id:1,block\"\nSecDefaultAction \"phase:2,deny,status:499,nolog,setvar:tx.a=1\"\nSecAction \"id:2,block,log\"\nSecAction \"id:3,pass\"\nSecAction \"id:4,phase:1,block\"\nSecDefaultAction phase:1,drop,log\nSecAction \"id:5,phase:1\"\nSecAction \"id:6,phase:logging,status:500\""},
		{"default actions in a chain", "SecDefaultAction \"phase:1,deny,capture\"\nSecAction \"id:1,phase:1,chain,block\"\nSecRule ARGS \"@rx a\" \"phase:1,t:none,chain\"\nSecRule ARGS \"@rx a\" \"t:none\""},
		{"removed by number", "SecAction \"id:1\"\nSecAction \"id:2\"\nSecMarker M\nSecAction \"id:3\"\nSecAction \"id:4\"\nSecRuleRemoveById 1 3-9 77\nSecAction \"id:3\""},
		{"removed by tag", "SecAction \"id:1,tag:'a b',tag:c\"\nSecAction \"id:2,tag:a\"\nSecMarker M\nSecRuleRemoveByTag \"a b\"\nSecAction \"id:3,tag:'a b'\""},
		{"targets by number", "SecRule ARGS|ARGS_NAMES \"@rx a\" \"id:1\"\nSecRule ARGS \"@rx a\" \"id:2\"\nSecRuleUpdateTargetById 1-2 \"!ARGS:/^a/|!ARGS_NAMES:b\"\nSecRuleUpdateTargetById 2 REQUEST_URI\nSecRuleUpdateTargetById 8-9 ARGS"},
		{"targets of a chain", "SecRule ARGS \"@rx a\" \"id:1,chain\"\nSecRule ARGS \"@rx a\"\nSecRuleUpdateTargetById 1 !ARGS:a"},
		{"targets by tag", "SecRule ARGS \"@rx a\" \"id:1,tag:x\"\nSecRule ARGS \"@rx a\" \"id:2\"\nSecRuleUpdateTargetByTag \"x\" \"!ARGS:a\""},
		{"actions by number", "SecAction \"id:1,deny,status:403,t:lowercase\"\nSecAction \"id:2,deny,tag:a\"\nSecRuleUpdateActionById 1 \"pass,t:none,log,status:400,tag:b\"\nSecRuleUpdateActionById 1-2 \"nolog,phase:1\"\nSecRuleUpdateActionById 2 block"},
		{"dataset", "SecDataset d `\n a b \n# no\n\nc\\\n`\nSecAction \"id:1\""},
		{"marker in quotes", "SecAction \"id:1,skipAfter:'END A'\"\nSecMarker \"END A\""},
	}
}

// What we refuse although Coraza does not is misread or passed over by it.
func TestMistakesAreFound(t *testing.T) {
	tests := []struct {
		name, text, want string
		stricter         bool // than Coraza
	}{
		{"unknown directive", "SecRulez ARGS", `directive "SecRulez" is not known`, false},
		{"tab after the name", "SecMarker\tA", "is not known", false},
		{"no operator", `SecRule ARGS`, "want VARIABLES", false},
		{"operator without quotes", `SecRule ARGS @rx "id:1"`, "operator must be in double quotes", false},
		{"open operator", `SecRule ARGS "a\" "id:1"`, "actions must be in double quotes", false},
		{"open actions", `SecRule ARGS "a" "id:1`, "actions must be in double quotes", false},
		{"unknown operator", `SecRule ARGS "@foo a" "id:1"`, `operator "@foo" is not known`, false},
		{"operator without its capitals", `SecRule ARGS "@beginswith a" "id:1"`, "with their capitals", false},
		{"operator without an argument", `SecRule ARGS "@streq" "id:1"`, "an argument is missing", false},
		{"macro in an operator", `SecRule ARGS "@streq %{tx.}" "id:1"`, "want %{VARIABLE}", false},
		{"unknown variable", `SecRule ARGZ "a" "id:1"`, `variable "ARGZ" is not known`, false},
		{"no variable after a bar", `SecRule ARGS| "a" "id:1"`, `variable "" is not known`, true},
		{"key of a single value", `SecRule REQUEST_URI:a "a" "id:1"`, "nothing can be selected", false},
		{"expression for a single value", `SecRule REQUEST_URI:/a/ "a" "id:1"`, "nothing can be selected", true},
		{"colon without a key", `SecRule ARGS: "a" "id:1"`, "colon without a key", false},
		{"count and negation", `SecRule ARGS|!&ARGS:a "a" "id:1"`, "exclude each other", true},
		{"open expression", `SecRule ARGS:/abc "a" "id:1"`, "no second slash", true},
		{"open quote of an expression", `SecRule ARGS:'/abc/ "a" "id:1"`, "not closed", false},
		{"text after an expression", `SecRule ARGS:/a/xARGS "a" "id:1"`, "follows the key", true},
		{"slash in a key", `SecRule ARGS:a/b "a" "id:1"`, "a slash begins an expression", true},
		{"quoted key", `SecRule ARGS:'ab' "a" "id:1"`, "slashes and quotes", true},
		{"path that ends in a slash", `SecRule XML:/a/ "a" "id:1"`, "slashes and quotes", true},
		{"bad expression as a key", `SecRule ARGS:/(/ "a" "id:1"`, "missing closing", false},
		{"unknown action", `SecAction "id:1,denyy"`, `action "denyy" is not known`, false},
		{"empty action", `SecAction "id:1,"`, `action "" is not known`, false},
		{"action without its value", `SecAction "id:1,msg"`, "action msg needs a value", false},
		{"action with a value", `SecAction "id:1,deny:403"`, "action deny takes no value", false},
		{"open single quote", `SecAction "id:1,msg:'a,deny"`, "single quote in the actions is not closed", true},
		{"no id", `SecAction "deny"`, "needs an id", true},
		{"bad id", `SecAction "id:0"`, "not a positive number", false},
		{"bad phase", `SecAction "id:1,phase:6"`, "want 1 to 5", false},
		{"bad severity", `SecAction "id:1,severity:8"`, "want 0 to 7", false},
		{"bad status", `SecAction "id:1,status:0"`, "not a status", true},
		{"bad transformation", `SecAction "id:1,t:foo"`, `transformation "foo" is not known`, false},
		{"bad macro", `SecAction "id:1,msg:'%{foo'"`, "no closing brace", false},
		{"macro of an unknown variable", `SecAction "id:1,logdata:'%{foo}'"`, `variable "foo" is not known`, false},
		{"bad allow", `SecAction "id:1,allow:all"`, "want nothing, phase or request", false},
		{"bad skip", `SecAction "id:1,skip:0"`, "not a positive number", false},
		{"bad maturity", `SecAction "id:1,maturity:10"`, "want 1 to 9", false},
		{"bad setenv", `SecAction "id:1,setenv:a"`, "want name=value", false},
		{"bad initcol", `SecAction "id:1,initcol:a"`, "want name=value", false},
		{"setvar of another collection", `SecAction "id:1,setvar:ip.a=1"`, "want TX.name=value", false},
		{"setvar that removes", `SecAction "id:1,setvar:!tx.a"`, "cannot be removed", true},
		{"setvar that removes and sets", `SecAction "id:1,setvar:!tx.a=1"`, "cannot be removed", true},
		{"setvar without a value", `SecAction "id:1,setvar:tx.a"`, "want TX.name=value", true},
		{"setvar with nothing", `SecAction "id:1,setvar:tx.a="`, "an argument is missing", false},
		{"unknown ctl", `SecAction "id:1,ctl:foo=1"`, "is not known", false},
		{"ctl with a bad range", `SecAction "id:1,ctl:ruleRemoveById=9-3"`, "range 9-3 is empty", true},
		{"ctl with a bad switch", `SecAction "id:1,ctl:requestBodyAccess=yes"`, "want On or Off", true},
		{"ctl without its variable", `SecAction "id:1,ctl:ruleRemoveTargetById=9"`, "a variable follows a semicolon", true},
		{"ctl with an unknown variable", `SecAction "id:1,ctl:ruleRemoveTargetById=9;ARGZ"`, `variable "ARGZ" is not known`, true},
		{"ctl with an empty expression", `SecAction "id:1,ctl:ruleRemoveTargetById=9;ARGS://"`, "expression of ARGS is empty", false},
		{"chain without an end", `SecAction "id:1,chain"`, "says that another rule follows", true},
		{"chain interrupted", "SecAction \"id:1,chain\"\nSecMarker A\n", "says that another rule follows", true},
		{"chain interrupted before a link", "SecAction \"id:1,chain\"\nSecMarker A\nSecAction id:2", "says that another rule follows", true},
		{"disruptive link", "SecAction \"id:1,chain\"\nSecAction deny", "only the first rule of a chain", false},
		{"line that is never ended", "SecAction id:1,\\\n", "ends in a backslash", true},
		{"backticks that are never closed", "SecDataset a `\nb\n", "backtick that ends this", false},
		{"backticks elsewhere", "SecAction id:1,msg:`\n`", "only SecDataset", true},
		{"line too long", "SecAction id:1,msg:'" + strings.Repeat("a", maxLine) + "'", "more than 65535 bytes", true},
		{"default action without a phase", "SecDefaultAction pass\nSecAction id:1", "want a phase", false},
		{"default action that decides nothing", "SecDefaultAction phase:1,log\nSecAction id:1", "a disruptive action", false},
		{"default action with metadata", "SecDefaultAction phase:1,pass,tag:a\nSecAction id:1", "belongs to one rule", false},
		{"default action twice", "SecDefaultAction phase:1,pass\nSecDefaultAction phase:1,pass\nSecAction id:1", "phase 1 has one already", false},
		{"marker without a name", "SecMarker", "a marker needs a name", false},
		{"same number twice", "SecAction id:1\nSecAction id:1", "there is a rule 1 already", false},
		{"removal of nothing", "SecRuleRemoveById", "nothing follows", false},
		{"removal of what is no number", "SecRuleRemoveById a", "not a positive number", false},
		{"removal of markers", "SecMarker A\nSecRuleRemoveById 0-5", "not a positive number", true},
		{"removal of an empty range", "SecRuleRemoveById 5-3", "range 5-3 is empty", false},
		{"update of a rule that is not there", "SecRuleUpdateTargetById 1 ARGS", "no rule 1 before this", false},
		{"update of the first number only", "SecAction id:1\nSecAction id:2\nSecRuleUpdateTargetById 1 2 ARGS", "only rule 1 would be changed", true},
		{"update without variables", "SecRuleUpdateTargetById 1", "want numbers of rules and VARIABLES", false},
		{"update by tag with blanks", `SecRuleUpdateTargetByTag "a b" ARGS`, "both without blanks", false},
		{"update that renumbers", "SecAction id:1\nSecRuleUpdateActionById 1 id:2", "cannot be changed", true},
		{"update with a bad action", "SecAction id:1\nSecRuleUpdateActionById 1 foo", "is not known", false},
		{"update that is ignored", "SecRuleUpdateTargetByMsg a ARGS", "not supported", true},
		{"inclusion", "Include /nowhere.conf", "not followed", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := Parse(File{"t.conf", tt.text})
			if err == nil {
				_, err = Apply(list)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if _, err := corazaRules(tt.text); (err == nil) != tt.stricter {
				t.Errorf("Coraza: %v, and we should be stricter: %t", err, tt.stricter)
			}
		})
	}
}

// Rules put together from pieces that could be taken for something else.
func TestRandomRulesAreUnderstoodAsByCoraza(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 25))
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	word := func() string {
		return pick("a", "B", `\`, `\\`, "'", `\'`, `\"`, "/", "|", ":", ",", "%{tx.a}", "%", "&", "!", "@", "x y", "é", "-1")
	}
	several := func(f func() string, sep string) string {
		list := []string{f()}
		for range random.IntN(3) {
			list = append(list, f())
		}
		return strings.Join(list, sep)
	}
	variable := func() string {
		return pick("", "", "!", "&") + pick("ARGS", "args", "REQUEST_HEADERS", "XML", "REQUEST_URI", "TX") +
			pick("", ":a", ":/A/", ":'/a|b/'", ":/*", ":/a\\/", ":"+word()+word())
	}
	action := func() string {
		return pick("id:1", "id:'2'", "phase:1", "deny", "block", "pass", "log", "t:none", "t:lowercase", "capture", "nolog", "status:403",
			"setvar:'tx.a=%{tx.b}'", "msg:'"+word()+word()+"'", "tag:"+word(), "logdata:"+word()+word(), " "+word(), "allow:phase", "chain")
	}
	accepted := 0
	for range 3000 {
		text := "SecRule " + several(variable, "|") + ` "` + pick("", "@rx ", "!@streq ", "@contains", "!") + several(word, "") + `" "` +
			several(action, ",") + ",id:" + pick("1", "2") + "\"\n" + pick("", "SecRule ARGS \"@rx a\"\n", "SecAction id:3\nSecRuleRemoveById 1\n",
			"SecRuleUpdateTargetById 1 \"!"+variable()+"\"\n", "SecRuleUpdateActionById 1 \""+action()+"\"\n")
		if agree(t, text) {
			accepted++
		}
	}
	if accepted < 200 {
		t.Errorf("only %d of the texts are rules: they show little", accepted)
	}
}

// agree compares what we and Coraza make of a text, and reports whether it
// could be compared.
func agree(t *testing.T, text string) bool {
	t.Helper()
	list, err := Parse(File{"t", text})
	if err != nil {
		return false
	}
	items, err := Apply(list)
	if err != nil || !slices.ContainsFunc(items, func(i Item) bool { return i.Rule != nil }) || !canCompare(list) {
		return false
	}
	want, err := corazaRules(text)
	if err != nil {
		t.Errorf("we accept %q, Coraza does not: %v", text, err)
		return false
	}
	compare(t, items, want)
	return true
}

// canCompare tells texts about which Coraza's word counts: those that set
// nothing, and whose operators have arguments that it can accept.
func canCompare(list []Directive) bool {
	harmless := []string{"SecRule", "SecAction", "SecMarker", "SecDefaultAction", "SecRuleRemoveById", "SecRuleRemoveByTag",
		"SecRuleUpdateTargetById", "SecRuleUpdateTargetByTag", "SecRuleUpdateActionById"}
	for _, d := range list {
		if !slices.Contains(harmless, d.Name) || d.Rule != nil && !compiles(d.Rule) {
			return false
		}
	}
	return true
}

func compiles(r *Rule) bool {
	for _, link := range append(slices.Clip(r.Chain), *r) {
		switch link.Operator.Name {
		case "rx":
			if _, err := regexp.Compile("(?sm)" + link.Operator.Argument); err != nil || link.Operator.Argument == "" {
				return false
			}
		case "", "detectsqli", "detectxss", "nomatch", "unconditionalmatch", "validateurlencoding", "validateutf8encoding",
			"beginswith", "contains", "endswith", "eq", "ge", "gt", "le", "lt", "streq", "strmatch", "within":
		default:
			return false
		}
	}
	return true
}

func FuzzParse(f *testing.F) {
	for _, tt := range understoodTexts() {
		f.Add(tt.text)
	}
	f.Add("SecRule ARGS|!ARGS:/a/ \"!@streq a\" \"id:1,chain,msg:'a'\"\nSecRule &TX:a \"@eq 0\"\nSecMarker A\n")
	f.Add("SecDataset a `\nb\n`\nSecDefaultAction \"phase:1,deny\"\nSecAction \"id:5,ctl:ruleRemoveTargetById=1-3;ARGS:x\"\nSecRuleRemoveById 5")
	f.Add("SecAction id:1,tag:a\nSecRuleUpdateActionById 1 pass,t:none\nSecRuleUpdateTargetByTag a !ARGS\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Parse(File{"fuzz", text})
		if err != nil {
			if list != nil {
				t.Error("directives and an error")
			}
			return
		}
		for _, d := range list {
			if d.Rule != nil {
				parseAgain(t, d.Rule)
			}
		}
		agree(t, text)
	})
}

// parseAgain reads the statements of a rule, as they were printed, again: the
// same rule must come of it.
func parseAgain(t *testing.T, want *Rule) {
	t.Helper()
	text := want.Raw
	for _, link := range want.Chain {
		text += "\n" + link.Raw
	}
	list, err := Parse(File{want.File, text})
	if err != nil || len(list) != 1 {
		t.Fatalf("%d directives, error %v from %q", len(list), err, text)
	}
	got := list[0].Rule
	got.Line = want.Line
	for i := range min(len(got.Chain), len(want.Chain)) {
		got.Chain[i].Line = want.Chain[i].Line
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v\nfrom %q", got, want, text)
	}
}
