package seclang

import (
	"slices"
	"testing"
)

func TestMacroSplitsTextAndVariables(t *testing.T) {
	tests := []struct {
		name, text string
		want       []Piece
	}{
		{"nothing", "", nil},
		{"text", "a % b } {", []Piece{{Text: "a % b } {"}}},
		{"variable", "%{MATCHED_VAR}", []Piece{{Text: "MATCHED_VAR", Variable: "MATCHED_VAR"}}},
		{"key, in any case", "%{Tx.Anomaly_Score}", []Piece{{Text: "Tx.Anomaly_Score", Variable: "TX", Key: "anomaly_score"}}},
		{"several", "+%{tx.a.b}%{rule.id}!", []Piece{
			{Text: "+"}, {Text: "tx.a.b", Variable: "TX", Key: "a.b"}, {Text: "rule.id", Variable: "RULE", Key: "id"}, {Text: "!"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Macro(tt.text)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, error %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestMacroFindsMistakes(t *testing.T) {
	for _, text := range []string{"%{", "a%{tx.a", "%{}", "%{tx.}", "%{tx.a b}", "%{tx%{tx.a}", "%{foo.a}", "%{unknown}"} {
		if pieces, err := Macro(text); err == nil {
			t.Errorf("%q gives %q", text, pieces)
		}
	}
}
