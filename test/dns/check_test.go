package dns

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// check says what those who check zones would, of a zone that can be served
// all the same, and nothing of one that is as it should be.
func TestCheckAdvises(t *testing.T) {
	for _, tt := range []struct {
		file string
		want []string
	}{
		{head, nil},
		{"@ SOA ns1 host@lab.test. 7 7200 7200 86400 172800\n@ NS ns1\n@ MX 10 mail\nns1 CNAME elsewhere.test.\n", []string{
			"it has one name server", "ns1.lab.test, a name server of lab.test, is an alias", "mail.lab.test, the mail server of lab.test, has no address", "host@lab.test is who is responsible",
			"refresh of its SOA record is 7200 seconds", "retry of its SOA record, 7200 seconds, is not less", "expire of its SOA record is 86400", "minimum of its SOA record is 172800"}},
	} {
		text := fmt.Sprintf("zones: [{name: lab.test, file: %q}]\n", testkit.Config(t, tt.file))
		out := run(t, 0, "check", "-c", testkit.Config(t, text))
		if n := strings.Count(out, `warning: zone "lab.test": `); n != len(tt.want) {
			t.Errorf("%d warnings, want %d:\n%s", n, len(tt.want), out)
		}
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
	}
}
