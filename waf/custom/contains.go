package custom

import "strings"

// contains is Contains. It costs the length of the value, for each of its own.
type contains []string

func (list contains) holds(value string) bool {
	for _, v := range list {
		if strings.Contains(value, v) {
			return true
		}
	}
	return false
}
