package sni

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

func TestClientsAreUnderstoodAsServersDo(t *testing.T) {
	all := clients(t)
	for name, want := range map[string]string{
		"usual": "www.example", "TLS 1.2": "old.example", "ALPN": "shop.example", "small": "a",
		"no name": "", "ECH": "public.example", "ten ALPN": "x.y.z.example",
	} {
		t.Run(name, func(t *testing.T) {
			b := all[name]
			got, state := Parse(b)
			if got != want || (state == Found) != (want != "") || state == NeedMore {
				t.Fatalf("%q, %v; want %q", got, state, want)
			}
			if server, ok := seen(b); !ok || strings.ToLower(server) != want {
				t.Errorf("crypto/tls sees %q, %v; want %q", server, ok, want)
			}
			if more, after := Parse(append(bytes.Clone(b), "whatever"...)); more != got || after != state {
				t.Errorf("with more behind it: %q, %v", more, after)
			}
		})
	}
}

// The hello may come in any two pieces: two reads, or two records, which are
// read in two pieces again.
func TestEveryPairOfPieces(t *testing.T) {
	for name, b := range clients(t) {
		t.Run(name, func(t *testing.T) {
			want, wantState := Parse(b)
			for i := range b {
				if got, state := Parse(b[:i]); got != "" || state != NeedMore {
					t.Fatalf("first %d of %d bytes: %q, %v", i, len(b), got, state)
				}
				if server, ok := seen(b[:i], b[i:]); !ok || strings.ToLower(server) != want {
					t.Fatalf("crypto/tls sees %q, %v in pieces of %d and %d", server, ok, i, len(b)-i)
				}
			}
			for i := 1; i < len(b)-recordHead; i++ {
				two := reframed(b, i)
				if got, state := Parse(two); got != want || state != wantState {
					t.Fatalf("records of %d and the rest: %q, %v; want %q", i, got, state, want)
				}
				if server, ok := seen(two); !ok || strings.ToLower(server) != want {
					t.Fatalf("crypto/tls sees %q, %v in records of %d and the rest", server, ok, i)
				}
				checkPrefixes(t, two, i)
			}
		})
	}
}

// checkPrefixes looks at what there is around the border of two records.
func checkPrefixes(t *testing.T, b []byte, first int) {
	t.Helper()
	for _, n := range []int{first, recordHead + first, recordHead + first + 1, 2*recordHead + first, len(b) - 1} {
		if got, state := Parse(b[:n]); got != "" || state != NeedMore {
			t.Fatalf("first %d of %d bytes: %q, %v", n, len(b), got, state)
		}
	}
}

func TestParseCopiesNothingButTheName(t *testing.T) {
	b := clients(t)["usual"]
	if n := testing.AllocsPerRun(100, func() { Parse(b) }); n != 1 {
		t.Errorf("%v allocations, want that of the name", n)
	}
	cut := reframed(b, 100, 200)
	if n := testing.AllocsPerRun(100, func() { Parse(cut[:len(cut)-1]) }); n != 0 {
		t.Errorf("%v allocations while bytes are missing", n)
	}
}

// hello is a ClientHello put together by hand; the zero one is the least.
type hello struct {
	id, suites, compressions string
	extensions               []string // nil: no list of them at all
	rest                     string   // behind the extensions
}

func (h hello) record() string {
	if h.suites == "" {
		h.suites = with16("\x13\x01")
	}
	if h.compressions == "" {
		h.compressions = with8("\x00")
	}
	if h.id == "" {
		h.id = with8("")
	}
	body := "\x03\x03" + strings.Repeat("r", 32) + h.id + h.suites + h.compressions
	if h.extensions != nil {
		body += with16(strings.Join(h.extensions, ""))
	}
	return inRecord(message24(1, body+h.rest))
}

func message24(kind byte, body string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(kind)<<24|uint32(len(body)))) + body
}

func inRecord(s string) string { return "\x16\x03\x01" + with16(s) }

func extension(kind uint16, data string) string {
	return string(binary.BigEndian.AppendUint16(nil, kind)) + with16(data)
}

// names is the extension server_name with host names.
func names(list ...string) string {
	all := ""
	for _, n := range list {
		all += "\x00" + with16(n)
	}
	return extension(0, with16(all))
}

func TestParse(t *testing.T) {
	good := names("a.example")
	long := strings.Repeat("a.", 126) + "a"
	for _, tt := range []struct {
		name, in, want string
		state          State
	}{
		{"nothing", "", "", NeedMore},
		{"found", hello{extensions: []string{good}}.record(), "a.example", Found},
		{"GREASE", hello{suites: with16("\x1a\x1a\x13\x01"), extensions: []string{extension(0x0a0a, ""), good, extension(0xfafa, "\x00")}}.record(), "a.example", Found},
		{"longest id", hello{id: with8(strings.Repeat("i", 32)), extensions: []string{good}}.record(), "a.example", Found},
		{"longest name", hello{extensions: []string{names(long)}}.record(), long, Found},
		{"underscore", hello{extensions: []string{names("_a.b_-c.x1")}}.record(), "_a.b_-c.x1", Found},
		{"other types of names", hello{extensions: []string{extension(0, with16("\x01"+with16("x")+"\x00"+with16("a.example")))}}.record(), "a.example", Found},
		{"another message behind", inRecord(hello{extensions: []string{good}}.record()[recordHead:] + "more"), "a.example", Found},
		{"and in the second record", string(reframed([]byte(inRecord(hello{extensions: []string{good}}.record()[recordHead:]+"more")), 9)), "a.example", Found},

		{"no extensions", hello{}.record(), "", None},
		{"empty list of extensions", hello{extensions: []string{}}.record(), "", None},
		{"no such extension", hello{extensions: []string{extension(10, "x")}}.record(), "", None},
		{"only other types", hello{extensions: []string{extension(0, with16("\x01"+with16("x")))}}.record(), "", None},
		{"IPv4 address", hello{extensions: []string{names("192.0.2.1")}}.record(), "", None},
		{"IPv6 address", hello{extensions: []string{names("2001:DB8::1")}}.record(), "", None},

		{"HTTP", "GET / HTTP/1.1\r\n", "", NotTLS},
		{"one byte", "S", "", NotTLS},
		{"alert", "\x15\x03\x01\x00\x02\x01\x00", "", NotTLS},
		{"SSL 2", "\x80\x2e\x01\x03\x01", "", NotTLS},
		{"other version of records", "\x16\x02", "", NotTLS},

		{"empty record", "\x16\x03\x01\x00\x00", "", Malformed},
		{"record too long", "\x16\x03\x01\x40\x01", "", Malformed},
		{"other message", inRecord(message24(2, "x")), "", Malformed},
		{"other message, first byte", inRecord(message24(2, "x"))[:6], "", Malformed},
		{"message too long", inRecord("\x01\x00\x3f\xfd")[:9], "", Malformed},
		{"another record in between", reframedString(hello{extensions: []string{good}}.record(), 20, "\x15\x03\x01\x00\x02\x01\x00"), "", Malformed},
		{"id too long", hello{id: with8(strings.Repeat("i", 33)), extensions: []string{good}}.record(), "", Malformed},
		{"no suites", hello{suites: with16(""), extensions: []string{good}}.record(), "", Malformed},
		{"half a suite", hello{suites: with16("abc"), extensions: []string{good}}.record(), "", Malformed},
		{"no compression", hello{compressions: with8("") + "", extensions: []string{good}}.record(), "", Malformed},
		{"ends in the random", inRecord(message24(1, "\x03\x03rrr")), "", Malformed},
		{"ends behind the suites", inRecord(message24(1, "\x03\x03"+strings.Repeat("r", 32)+"\x00"+with16("\x13\x01"))), "", Malformed},
		{"behind the extensions", hello{extensions: []string{good}, rest: "x"}.record(), "", Malformed},
		{"half a length of extensions", hello{rest: "\x00"}.record(), "", Malformed},
		{"extension too long", hello{extensions: []string{good, "\x00\x0a\x00\x02x"}}.record(), "", Malformed},
		{"half an extension", hello{extensions: []string{good, "\x00"}}.record(), "", Malformed},
		{"two extensions", hello{extensions: []string{good, good}}.record(), "", Malformed},
		{"two names", hello{extensions: []string{names("a.example", "b.example")}}.record(), "", Malformed},
		{"empty extension", hello{extensions: []string{extension(0, "")}}.record(), "", Malformed},
		{"empty list", hello{extensions: []string{names()}}.record(), "", Malformed},
		{"empty name", hello{extensions: []string{names("")}}.record(), "", Malformed},
		{"name too long for its list", hello{extensions: []string{extension(0, with16("\x00\x00\x05abc"))}}.record(), "", Malformed},
		{"behind the list", hello{extensions: []string{extension(0, with16("\x00"+with16("a"))+"x")}}.record(), "", Malformed},
		{"dot at the end", hello{extensions: []string{names("a.example.")}}.record(), "", Malformed},
		{"empty label", hello{extensions: []string{names("a..example")}}.record(), "", Malformed},
		{"label too long", hello{extensions: []string{names(strings.Repeat("a", 64) + ".example")}}.record(), "", Malformed},
		{"name too long", hello{extensions: []string{names(long + "a")}}.record(), "", Malformed},
		{"hyphen in front", hello{extensions: []string{names("-a.example")}}.record(), "", Malformed},
		{"hyphen at the end", hello{extensions: []string{names("a-.example")}}.record(), "", Malformed},
		{"not ASCII", hello{extensions: []string{names("b\xc3\xbccher.example")}}.record(), "", Malformed},
		{"zero byte", hello{extensions: []string{names("a.example\x00.b")}}.record(), "", Malformed},
		{"wildcard", hello{extensions: []string{names("*.example")}}.record(), "", Malformed},
		{"last label is a number", hello{extensions: []string{names("a.1")}}.record(), "", Malformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, state := Parse([]byte(tt.in)); got != tt.want || state != tt.state {
				t.Errorf("%q, %v; want %q, %v", got, state, tt.want, tt.state)
			}
		})
	}
}

// reframedString puts something between two records.
func reframedString(record string, cut int, between string) string {
	two := string(reframed([]byte(record), cut))
	return two[:recordHead+cut] + between + two[recordHead+cut:]
}

func TestParseIsBounded(t *testing.T) {
	// The largest hello that is read, in as many records as may be.
	least := len(hello{extensions: []string{names("a.example"), extension(21, "")}}.record()) - recordHead
	large := hello{extensions: []string{names("a.example"), extension(21, strings.Repeat("p", maxHello-least))}}.record()
	var cuts []int
	for i := range maxRecords - 1 {
		cuts = append(cuts, 1+i)
	}
	many := reframed([]byte(large), cuts...)
	if name, state := Parse(many); name != "a.example" || state != Found || len(many) != MaxBytes {
		t.Errorf("%q, %v, %d bytes of %d", name, state, len(many), MaxBytes)
	}
	if _, state := Parse(many[:len(many)-1]); state != NeedMore {
		t.Errorf("one byte missing: %v", state)
	}
	over := reframed([]byte(large), append(cuts, maxRecords)...)
	if _, state := Parse(over); state != Malformed {
		t.Errorf("one record more: %v", state)
	}
	over = []byte(hello{extensions: []string{names("a.example"), extension(21, strings.Repeat("p", maxHello-least+1))}}.record())
	if _, state := Parse(reframed(over, 100)); state != Malformed {
		t.Errorf("one byte more: %v", state)
	}
}

// Whatever comes: what Parse finds is what a server sees, the answer is there
// after MaxBytes, and once it is there it stays. Handshakes take random ways,
// which the search for smaller inputs does not see through: run it with
// -fuzzminimizetime 10x.
func FuzzParse(f *testing.F) {
	for _, b := range clients(f) {
		f.Add(b, uint16(100))
		f.Add(reframed(b, 3, 50), uint16(7))
	}
	f.Add([]byte(hello{extensions: []string{extension(0x0a0a, ""), names("a.example")}}.record()), uint16(60))
	f.Add([]byte(hello{extensions: []string{names("192.0.2.1")}}.record()), uint16(5))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16) {
		name, state := Parse(b)
		if (name != "") != (state == Found) || state == Found && !isName(name) {
			t.Fatalf("%q, %v", name, state)
		}
		if state == NeedMore && len(b) >= MaxBytes {
			t.Fatalf("more than %d bytes needed", len(b))
		}
		if early, at := Parse(b[:min(int(cut), len(b))]); at != NeedMore && (early != name || at != state) {
			t.Fatalf("first %d bytes: %q, %v; all: %q, %v", cut, early, at, name, state)
		}
		server, called := seen(b)
		if !called || state == Malformed || state == NotTLS {
			return // refused by one of them
		}
		same := state == Found && strings.EqualFold(server, name)
		if !same && !(state == None && (server == "" || isAddress(server))) {
			t.Fatalf("%q, %v; crypto/tls sees %q", name, state, server)
		}
	})
}
