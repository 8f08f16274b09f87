package dns

import (
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// octets are those of hexadecimal digits with blanks.
func octets(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	labTest = "03 6c6162 04 74657374 00" // lab.test.
	soa     = labTest + "0006 0001"
	opt     = "00 0029 1000 00000000 0000"
)

// Every message that can be answered is, if only to say what is wrong with it
// (RFC 8906 3.1, 3.2; RFC 6891 6.1.1, 7; RFC 1035 4.1; RFC 8945 5.2.1).
func TestMessagesThatAreOdd(t *testing.T) {
	_, doors := startDoors(t, zoned(t, head))
	const good = "NOERROR aa | lab.test. 900 SOA"
	longest := strings.Repeat("3f"+strings.Repeat("61", 63), 3) + "3d" + strings.Repeat("61", 61) + "00" // 255 octets
	tooLong := strings.Repeat("3f"+strings.Repeat("61", 63), 3) + "3e" + strings.Repeat("61", 62) + "00"
	rows := []row{
		{"a query", octets(t, "1267 0000 0001 0000 0000 0000"+soa), good},
		{"what dig sends", octets(t, "1267 0120 0001 0000 0000 0001"+soa+"00 0029 04d0 00008000 000c 000a 0008 0102030405060708"), strings.Replace(good, "aa", "aa rd", 1) + " | EDNS0 cookie=0102030405060708+16 do"},
		{"no question", octets(t, "1267 0000 0000 0000 0000 0000"), "FORMERR"},
		{"a count without a question", octets(t, "1267 0000 0001 0000 0000 0000"), "FORMERR"},
		{"two questions", octets(t, "1267 0000 0002 0000 0000 0000"+soa+soa), "FORMERR"},
		{"a question that ends early", octets(t, "1267 0000 0001 0000 0000 0000 03 6c6162 04 7465"), "FORMERR"},
		{"a name of 255 octets", octets(t, "1267 0000 0001 0000 0000 0000"+longest+"0006 0001"), "REFUSED"},
		{"a name of 256 octets", octets(t, "1267 0000 0001 0000 0000 0000"+tooLong+"0006 0001"), "FORMERR"},
		{"a label of 64 octets", octets(t, "1267 0000 0001 0000 0000 0000 40"+strings.Repeat("61", 64)+"00 0006 0001"), "FORMERR"},
		{"a name that points to itself", octets(t, "1267 0000 0001 0000 0000 0000 c00c 0006 0001"), "FORMERR"},
		{"two OPT records", octets(t, "1267 0000 0001 0000 0000 0002"+soa+opt+opt), "FORMERR"},
		{"an OPT record with a name", octets(t, "1267 0000 0001 0000 0000 0001"+soa+labTest+opt[2:]), "FORMERR"},
		{"an OPT record that ends early", octets(t, "1267 0000 0001 0000 0000 0001"+soa+"00 0029 1000 00000000 0004 0003"), "FORMERR"},
		{"an option longer than its record", octets(t, "1267 0000 0001 0000 0000 0001"+soa+"00 0029 1000 00000000 0004 0003 0001"), "FORMERR | EDNS0"},
		{"a cookie alone", octets(t, "1267 0000 0000 0000 0000 0001 00 0029 1000 00000000 000c 000a 0008 0102030405060708"), "NOERROR | EDNS0 cookie=0102030405060708+16"},
		{"a record in the authority section", octets(t, "1267 0000 0001 0000 0001 0000"+soa+labTest+"0002 0001 00000000 0002 c00c"), good},
		{"a key that nobody knows", octets(t, "1267 0000 0001 0000 0000 0001"+soa+"00 00fa 00ff 00000000 003d 0b 686d61632d736861323536 00 000065000000 012c 0020"+strings.Repeat("00", 32)+"1267 0000 0000"), "NOTAUTH | additional: TSIG BADKEY"},
	}
	for opcode := 1; opcode < 16; opcode++ {
		rows = append(rows, row{fmt.Sprintf("opcode %d", opcode), octets(t, fmt.Sprintf("1267 %02x00 0001 0000 0000 0000", opcode<<3)+soa), "NOTIMP"})
	}
	through(t, doors, rows)
}

// A response is not answered, nor what has no header: a server that does can
// be set against another, or itself.
func TestResponsesAreNotAnswered(t *testing.T) {
	p := start(t, zoned(t, head))
	c, err := net.Dial("udp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, msg := range []string{
		"1268 8400 0001 0000 0000 0000" + soa,
		"1268 8000 0000 0000 0000 0000",
		"1268 f800 0001 0000 0000 0000" + soa,
		"1268", "1268 0000 0001", "",
		"1267 0000 0001 0000 0000 0000" + soa, // the only one to be answered
	} {
		if _, err := c.Write(octets(t, msg)); err != nil {
			t.Fatal(err)
		}
	}
	c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 512)
	n, err := c.Read(b)
	m := new(dns.Msg)
	if err != nil || m.Unpack(b[:n]) != nil || m.Id != 0x1267 || len(m.Answer) != 1 {
		t.Errorf("%x %v", b[:n], err)
	}
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := c.Read(b); err == nil {
		t.Errorf("another response: %x", b[:n])
	}
}
