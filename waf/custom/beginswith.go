package custom

import "strings"

// beginsWith is BeginsWith.
type beginsWith []string

func (list beginsWith) holds(value string) bool {
	for _, v := range list {
		if strings.HasPrefix(value, v) {
			return true
		}
	}
	return false
}
