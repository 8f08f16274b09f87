// Package traffic writes down requests as browsers and programs send them to
// a shop, for firewalls to read: heads with cookies, queries, forms, JSON and
// attacks, and a page of the shop. What differs from one client to the next
// differs here, too; but the same requests come out every time.
package traffic

import (
	"fmt"
	"slices"
	"strings"
)

// Host is who the requests are for, as a rule.
const Host = "bench.test"

// kind is a kind of request.
type kind struct {
	count int // different ones
	write func(*shopper) string
}

// kinds are all of them. What a firewall remembers of values it has seen must
// not suffice for a whole pool: 8192 heads have some 25 000 different values.
func kinds() map[string]kind {
	return map[string]kind{
		"get":      {8192, (*shopper).search},
		"get_same": {1, (*shopper).search},
		"form200":  {8192, func(s *shopper) string { return s.form(200) }},
		"form2k":   {4096, func(s *shopper) string { return s.form(2 << 10) }},
		"json200":  {8192, func(s *shopper) string { return s.api(s.rating()) }},
		"json20k":  {512, func(s *shopper) string { return s.api(s.order(20 << 10)) }},
		"attack":   {4096, (*shopper).attack},
		"page":     {8192, (*shopper).item},
	}
}

// Kinds are the names of the kinds of requests, sorted.
func Kinds() []string {
	var names []string
	for name := range kinds() {
		names = append(names, name)
	}
	return slices.Sorted(slices.Values(names))
}

// Requests returns the requests of a kind: whole messages to host, for the
// given path.
func Requests(name, host, path string) ([][]byte, error) {
	k, ok := kinds()[name]
	if !ok {
		return nil, fmt.Errorf("unknown kind of request %q: want one of %s", name, strings.Join(Kinds(), ", "))
	}
	all := make([][]byte, k.count)
	for i := range all {
		all[i] = []byte(k.write(newShopper(i, host, path)))
	}
	return all, nil
}
