package body

import (
	"slices"
	"testing"

	"gatehouse/waf/variables"
)

func TestLinesOfJSONAreReadLikeAnArray(t *testing.T) {
	const lines = "application/x-ndjson"
	tests := []struct {
		name, text string
		want       []variables.Pair
		err        string
	}{
		{"two lines", "{\"a\":1}\n{\"b\":[2]}\n", []variables.Pair{{Name: "json.0.a", Value: "1"}, {Name: "json.1.b.0", Value: "2"}, {Name: "json.1.b", Value: "1"}, {Name: "json", Value: "2"}}, ""},
		{"scalars and empty lines", "\n1\r\n\n\"x\"", []variables.Pair{{Name: "json.0", Value: "1"}, {Name: "json.1", Value: "x"}, {Name: "json", Value: "2"}}, ""},
		{"record separators", "\x1e1\n\x1e2\n", []variables.Pair{{Name: "json.0", Value: "1"}, {Name: "json.1", Value: "2"}, {Name: "json", Value: "2"}}, ""},
		{"two on a line", "1 2", []variables.Pair{{Name: "json.0", Value: "1"}}, reasonJSONSyntax},
		{"broken in the second", "1\n{", []variables.Pair{{Name: "json.0", Value: "1"}}, reasonJSONSyntax},
		{"only white space", "\n \n", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, _, _ := Parse(variables.JSON, lines, tt.text, Limits{})
			if !slices.Equal(b.ArgsPost, tt.want) || b.Error != tt.err {
				t.Errorf("got %q, %q, want %q, %q", b.ArgsPost, b.Error, tt.want, tt.err)
			}
			_, _, refused := Parse(variables.JSON, lines, tt.text, Limits{Strict: true})
			if (refused != nil) != (tt.err != "") {
				t.Errorf("refused: %v", refused)
			}
		})
	}
}
