package custom

import "strings"

// endsWith is EndsWith.
type endsWith []string

func (list endsWith) holds(value string) bool {
	for _, v := range list {
		if strings.HasSuffix(value, v) {
			return true
		}
	}
	return false
}
