package transform

import "testing"

func TestClassHasTheBytesOfItsText(t *testing.T) {
	text := "\x00?@Az\x7f\x80\xbf\xc0\xff"
	c := ClassOf(text)
	for b := range 256 {
		want := false
		for i := range len(text) {
			want = want || text[i] == byte(b)
		}
		if got := c.Contains(byte(b)); got != want {
			t.Errorf("Contains(%#x) = %v, want %v", b, got, want)
		}
	}
	if (ClassOf("") != Class{}) {
		t.Error("the empty text has bytes")
	}
}

func TestClassesMeetWhereTheyShareAByte(t *testing.T) {
	tests := []struct {
		name string
		a, b string
		want bool
	}{
		{"first word", "\x00a", "\x00b", true},
		{"second word", "@x", "@y", true},
		{"third word", "\x80", "\x80", true},
		{"fourth word", "\xff", "\xff", true},
		{"same bit of another word", "\x01A", "\x81\xc1", false},
		{"empty", "", "abc", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := ClassOf(tt.a), ClassOf(tt.b)
			if got := a.Intersects(b); got != tt.want {
				t.Errorf("Intersects = %v, want %v", got, tt.want)
			}
			if a.Union(b) != ClassOf(tt.a+tt.b) {
				t.Error("the union is not the class of both texts")
			}
		})
	}
}
