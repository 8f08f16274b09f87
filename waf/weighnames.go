package waf

import (
	"net/url"
	"strings"
	"unicode"

	"gatehouse/waf/variables"
)

// named are the fields of one kind of a request by their folded names, so that
// asking for each of them takes time that grows with their number, and not
// with its square. It is made when it is first asked.
type named map[string][]subject

// fold is a name such that two are equal if, and only if, strings.EqualFold
// says that the names are.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, name)
}

func (n named) add(p place, from []variables.Pair) {
	for i := range from {
		key := fold(from[i].Name)
		n[key] = append(n[key], subject{p, from[i].Name, from[i].Value})
	}
}

// arguments are those of the query and the body that have a name.
func (v *view) arguments(name string) []subject {
	if v.args == nil {
		v.args = named{}
		v.args.add(inQuery, v.req.ArgsGet)
		v.args.add(inBody, v.req.Body.ArgsPost)
	}
	return v.args[fold(name)]
}

// cookiesOf are the cookies of a name, decoded unless they are lists of fields.
func (v *view) cookiesOf(name string) []subject {
	if v.cookies == nil {
		v.cookies = named{}
		v.cookies.add(inHead, v.req.Cookies)
		for _, list := range v.cookies {
			for i := range list {
				if decoded, err := url.PathUnescape(list[i].text); err == nil && !fieldList.MatchString(list[i].text) {
					list[i].text = decoded
				}
			}
		}
	}
	return v.cookies[fold(name)]
}

// fieldsOf are the fields of the head of a name.
func (v *view) fieldsOf(name string) []subject {
	if v.head == nil {
		v.head = named{}
		v.head.add(inHead, v.req.Headers)
	}
	return v.head[fold(name)]
}
