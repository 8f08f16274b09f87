package cli

import "testing"

func TestPurgeSaysWhichFlagsItWants(t *testing.T) {
	const want = "say what to remove with exactly one of --url, --prefix, --host and --all"
	for name, args := range map[string][]string{
		"nothing":        nil,
		"a cache only":   {"--cache", "pages"},
		"two":            {"--all", "--host", "shop.test"},
		"two of a cache": {"--all", "--host", "shop.test", "--cache", "pages"},
	} {
		t.Run(name, func(t *testing.T) {
			appgwIn(t, t.TempDir(), append([]string{"cache", "purge"}, args...)...).expect(t, 1, want)
		})
	}
}
