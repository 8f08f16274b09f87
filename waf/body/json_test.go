package body

import (
	"strings"
	"testing"

	"gatehouse/waf/variables"
)

const jsonType = "application/json"

var jsonSeeds = []string{
	``, ` `, `{}`, `[]`, `[[]]`, `[{}]`, `""`, `"x"`, `1`, `-0.5e+10`, `true`, `false`, `null`, ` null `,
	`{"a":1}`, `{"a":{"b":[1,2,{"c":null}]},"d":"x"}`, `[1,"2",true,false,null,[3,[]],{"a":[]}]`,
	`{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"a":{"b":1},"a.b":2}`, `{"":1,"":{"":2}}`, `{"\u0061":1,"a":2}`,
	`{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"}`, `"\ud83d"`, `"\ude00\ud83d"`, `"\ud83d\u0041"`, `"\ud83dx"`, `"\u0000"`, `{"k\ney":"v"}`,
	"\"\xff\"", "\"\xc3\xa9\"", "\"\xc3\\u00a9\"", "\"a\x01b\"", "\"a\tb\"", "\"\x7f\"",
	` { "a" : [ 1 , 2 ] , "b" : { } } `, "\t[\r\n1]\n", "[1]\f", "\xef\xbb\xbf{}",
	`{"a":1`, `{"a":`, `{"a"`, `{"a":1,}`, `[1,]`, `[,1]`, `[1 2]`, `["a""b"]`, `{"a" 1}`, `{a:1}`, `{'a':1}`, `{"a":1}}`, `{"a":1}{"b":2}`, `[1][2]`,
	`{"a":[1}`, `[{"a":1]`, `[1}`, `{]`, `[NaN]`, `[Infinity]`, `[-]`, `[01]`, `[1.]`, `[.5]`, `[1e]`, `[+1]`, `[0x10]`, `[nul]`, `[tru`, `[truex]`, `nan`, `inf`,
	`// c` + "\n{}", `{"a":1/*c*/}`, `{"a":"x`, `{"a":"\`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, "\"\\u+123\"", `["\\"]`, `["\\\"",1]`, `<a>`, `abc`, `"a"b`,
	strings.Repeat(`[`, 30) + `1` + strings.Repeat(`]`, 30), strings.Repeat(`[`, 1024) + strings.Repeat(`]`, 1024),
	strings.Repeat(`[`, 1025) + strings.Repeat(`]`, 1025), strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100),
	`[` + strings.Repeat(`1,`, 999) + `1]`, `[` + strings.Repeat(`1,`, 1000) + `1]`, `[[` + strings.Repeat(`1,`, 999) + `1],[]]`, `[[` + strings.Repeat(`1,`, 1000) + `1],[2]]`,
	`{"x":[` + strings.Repeat(`1,`, 998) + `1],"y":2,"z":[3]}`, `[` + strings.Repeat(`[{}],`, 1001) + `[1]]`, `[` + strings.Repeat(`[{}],`, 999) + `[1]]`,
	`{"` + strings.Repeat("k", 4000) + `":[1,2,3]}`, `{"` + strings.Repeat("k", 900) + `":[` + strings.Repeat("1,", 300) + `1]}`,
	`[` + strings.Repeat(`1,`, 2000) + `x`, `[` + strings.Repeat(`1,`, 2000) + strings.Repeat(`[`, 2000),
}

func TestJSONIsReadAsCorazaReadsIt(t *testing.T) {
	differAll(t, variables.JSON, jsonType, jsonSeeds)
}

func FuzzJSON(f *testing.F) {
	for _, text := range jsonSeeds {
		f.Add(text)
	}
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "[")+strings.Count(text, "{") > 200 {
			t.Skip("a broken text that nests so deep is not walked to its end")
		}
		differ(t, o, variables.JSON, jsonType, text)
	})
}
