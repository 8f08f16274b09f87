package seclang

import (
	"errors"
	"reflect"
	"slices"
	"testing"
)

func TestRuleHasWhatItsActionsSay(t *testing.T) {
	text := `SecRule &ARGS:Id|!ARGS:/x/ "!@pmf a.data" "id:7,phase:response,t:none,t:urlDecodeUni,t:LOWERCASE,capture,multiMatch,` +
		`msg:'a, %{tx.b}',logdata:'d',severity:'WARNING',tag:'x y',tag:z,setvar:'tx.Score=+%{tx.five}',ctl:ruleRemoveTargetById=1-3;ARGS:Foo,` +
		`skipAfter:END,skip:2,redirect:'http://a/?b,c',status:307,nolog,auditlog"`
	list, err := Parse(File{"a.conf", "\n# a rule\n" + text})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	got := *list[0].Rule
	want := got // for the expression, the text and the actions
	want.ID, want.Phase, want.Line, want.File = 7, 4, 3, "a.conf"
	want.Variables = []Variable{{Name: "ARGS", Key: "Id", Count: true}, {Name: "ARGS", Regex: got.Variables[1].Regex, Negate: true}}
	want.Operator = Operator{Name: "pmfromfile", Argument: "a.data", Negate: true}
	want.Transformations, want.Capture, want.MultiMatch = []string{"urldecodeuni", "lowercase"}, true, true
	want.Msg, want.LogData, want.Severity, want.Tags = "a, %{tx.b}", "d", "warning", []string{"x y", "z"}
	want.SetVars = []SetVar{{Name: "Score", Value: "+%{tx.five}"}}
	want.Ctls = []Ctl{{Name: "ruleRemoveTargetById", Value: "1-3", Target: Variable{Name: "ARGS", Key: "foo"}}}
	want.SkipAfter, want.Skip, want.Disruptive, want.Redirect, want.Status = "END", 2, "redirect", "http://a/?b,c", 307
	want.Log, want.Audit = new(false), new(true)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got.Raw != text || got.Variables[1].Regex.String() != "x" {
		t.Errorf("got %s, expression %s", got.Raw, got.Variables[1].Regex)
	}
	if a := got.Actions[len(got.Actions)-2]; a != (Action{Name: "nolog"}) {
		t.Errorf("last action but one is %v", a)
	}
}

func TestDirectivesHaveTheirWords(t *testing.T) {
	tests := []struct {
		name, text string
		want       Directive
	}{
		{"one word", "secRULEengine  On ", Directive{Name: "SecRuleEngine", Text: " On", Args: []string{"On"}}},
		{"in quotes", `SecComponentSignature "a b"`, Directive{Name: "SecComponentSignature", Text: "a b", Args: []string{"a b"}}},
		{"some in quotes", `SecRuleUpdateTargetById 1-2 "!ARGS:a"`,
			Directive{Name: "SecRuleUpdateTargetById", Text: `1-2 "!ARGS:a"`, Args: []string{"1-2", "!ARGS:a"}}},
		{"none", "SecResponseBodyMimeTypesClear", Directive{Name: "SecResponseBodyMimeTypesClear"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := Parse(File{"f", tt.text})
			tt.want.File, tt.want.Line = "f", 1
			if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0], tt.want) {
				t.Errorf("got %+v, error %v, want %+v", list, err, tt.want)
			}
		})
	}
}

func TestAllMistakesAreToldWithTheirPlaces(t *testing.T) {
	_, err := Parse(
		File{"a.conf", "SecFoo\n\nSecRule ARGZ \\\n \"@foo\" \"id:1,bar,chain\"\nSecRule ARGS \"@rx a\" \"t:b\"\n"},
		File{"b.conf", "SecAction id:2\nSecRule ARGS \"@rx a\" \"id:3,msg\"\nSecRuleRemoveById x"})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("got %v", err)
	}
	var got []string
	for _, e := range joined.Unwrap() {
		var place *Error
		if !errors.As(e, &place) {
			t.Fatalf("%v is not an *Error", e)
		}
		got = append(got, place.Error())
	}
	want := []string{
		`a.conf:1: directive "SecFoo" is not known`,
		"a.conf:3: SecRule 1: action \"bar\" is not known\nvariable \"ARGZ\" is not known\noperator \"@foo\" is not known; names are written with their capitals",
		`a.conf:5: SecRule: action t: transformation "b" is not known`,
		`b.conf:2: SecRule 3: action msg needs a value`,
		`b.conf:3: SecRuleRemoveById: "x" is not a positive number`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestChainGoesOnInTheNextFile(t *testing.T) {
	list, err := Parse(File{"a", "SecAction id:1,phase:3,chain"}, File{"b", "\nSecRule ARGS \"@rx a\""})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if chain := list[0].Rule.Chain; len(chain) != 1 || chain[0].File != "b" || chain[0].Line != 2 || chain[0].Phase != 3 {
		t.Errorf("got %+v", chain)
	}
}

func TestApplyLeavesTheDirectivesAsTheyAre(t *testing.T) {
	text := "SecDefaultAction phase:1,deny\nSecAction id:1,phase:1,block,tag:a\nSecRule ARGS \"@rx a\" \"id:2,chain\"\nSecRule ARGS \"@rx a\" \"t:none\"\n" +
		"SecRuleUpdateTargetById 2 !ARGS:a\nSecRuleUpdateActionById 1 nolog,tag:b\n"
	text = text[:len(text)-1]
	list, err := Parse(File{"a", text})
	if err != nil {
		t.Fatal(err)
	}
	first, err := Apply(list)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := Parse(File{"a", text})
	if !reflect.DeepEqual(list, again) {
		t.Errorf("got %+v, want %+v", list, again)
	}
	if second, err := Apply(list); err != nil || !reflect.DeepEqual(first, second) {
		t.Errorf("applied again: %+v, error %v, want %+v", second, err, first)
	}
	if r := first[0].Rule; r.Disruptive != "deny" || !slices.Equal(r.Tags, []string{"a", "b"}) {
		t.Errorf("got %+v", r)
	}
}

// Coraza panics on SecRuleRemoveByMsg where a rule has no message.
func TestRulesAreRemovedByMessage(t *testing.T) {
	items := mustApply(t, File{"a", "SecAction id:1,msg:'a b'\nSecAction id:2\nSecMarker M\nSecRuleRemoveByMsg \"a b\""})
	if len(items) != 2 || items[0].Rule == nil || items[0].Rule.ID != 2 || items[1].Marker != "M" {
		t.Errorf("got %+v", items)
	}
}
