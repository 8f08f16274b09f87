package config

import (
	"slices"
	"strings"
)

// didYouMean suggests the nearest known name, or lists them all.
func didYouMean(got string, known []string) string {
	if best, ok := nearest(got, known); ok {
		return "did you mean " + best + "?"
	}
	return "known keys: " + strings.Join(known, ", ")
}

// nearest is the known name with the fewest typing errors, if there are few.
func nearest(got string, known []string) (string, bool) {
	if len(got) > 64 {
		return "", false // no typing error makes a name that long
	}
	best, least := "", max(2, len(got)/3)+1
	for _, k := range known {
		if d := distance(strings.ToLower(got), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best, best != ""
}

// distance is Levenshtein's: insertions, deletions and substitutions.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// maxSuggested bounds the names that all suggestions of one file look
// through: a thousand wrong references to thirty thousand names would take
// minutes.
const maxSuggested = 50_000

// suggest is listNames behind a semicolon, and nothing once it has looked
// through too many names.
func (r *report) suggest(got string, names []string) string {
	if r.suggested > maxSuggested {
		return ""
	}
	r.suggested += len(names)
	return "; " + listNames(got, names)
}

// listNames lists what a reference may name: all of a few, the nearest of many.
//
// A name may be one that was refused itself: it is shown as other values are.
func listNames(got string, names []string) string {
	if len(names) == 0 {
		return "none is defined"
	}
	const most = 10
	names = slices.Clone(names)
	for i, n := range names {
		if !wellNamed(n, 128) {
			names[i] = quote(n)
		}
	}
	if len(names) <= most {
		sorted := slices.Sorted(slices.Values(names))
		return "known: " + strings.Join(sorted, ", ")
	}
	if best, ok := nearest(got, names); ok {
		return "did you mean " + best + "?"
	}
	return "known: " + strings.Join(slices.Sorted(slices.Values(names))[:most], ", ") + ", ..."
}
