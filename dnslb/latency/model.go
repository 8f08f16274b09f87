package latency

import (
	_ "embed" // for the matrix
	"encoding/csv"
	"math"
	"strconv"
	"strings"
	"sync"

	"gatehouse/dnslb/geo"
)

// azure is Microsoft's matrix; DATA.md says where it is from.
//
//go:embed azure.csv
var azure string

// matrix has the round-trip times between regions in milliseconds, 0 where
// there is none.
type matrix [len(sites)][len(sites)]float64

// measured is the matrix as Microsoft gives it, each cell being the mean of the
// two directions where both are given.
var measured = sync.OnceValue(func() *matrix {
	records, err := csv.NewReader(strings.NewReader(azure)).ReadAll()
	if err != nil {
		panic("latency: the embedded matrix: " + err.Error()) // see its test
	}
	column := map[string]int{}
	for i, s := range sites {
		column[s.code] = i
	}
	var m, both matrix
	for _, record := range records[1:] {
		for i := 1; i < len(record); i++ {
			from, ok1 := column[record[0]]
			to, ok2 := column[records[0][i]]
			if v, err := strconv.ParseFloat(record[i], 64); err == nil && ok1 && ok2 {
				m[from][to] = v
			}
		}
	}
	for i := range m {
		for j := range m[i] {
			if both[i][j] = max(m[i][j], m[j][i]); m[i][j] > 0 && m[j][i] > 0 {
				both[i][j] = (m[i][j] + m[j][i]) / 2
			}
		}
	}
	return &both
})

// line is a round-trip time by distance: base milliseconds, and k more for each
// kilometre.
type line struct{ base, k float64 }

// Light in fibre needs 0.01 ms for a kilometre and back. No line is faster or
// more than three times slower.
const (
	leastK, mostK = 0.01, 0.03
	// fewest cells make a line of their own.
	fewest = 12
	// near is how far, in kilometres, a place may be from a region whose row
	// of the matrix it gets.
	near = 1200
)

// model tells round-trip times between places of which there are none.
type model struct {
	m     *matrix
	skip  int // a region of which it must not know; -1: none
	all   line
	pairs map[[2]string]line // by the groups of countries of the ends, both orders
}

var fitted = sync.OnceValue(func() *model { return newModel(measured(), -1) })

// newModel fits the lines to a matrix without the row and column of skip.
func newModel(m *matrix, skip int) *model {
	cells := map[[2]string][][2]float64{}
	var all [][2]float64
	for i := range m {
		for j := range m[i] {
			if m[i][j] == 0 || i == skip || j == skip {
				continue
			}
			c := [2]float64{distance(sites[i].point(), sites[j].point()), m[i][j]}
			all = append(all, c)
			pair := [2]string{geo.ParentRegion(sites[i].country), geo.ParentRegion(sites[j].country)}
			cells[pair] = append(cells[pair], c)
		}
	}
	model := &model{m: m, skip: skip, all: fit(all), pairs: map[[2]string]line{}}
	for pair, c := range cells {
		if len(c) >= fewest {
			model.pairs[pair] = fit(c)
		}
	}
	return model
}

// fit is by least squares, within the bounds of k. The conversions keep
// machines from joining a product and a sum, which would round otherwise.
func fit(cells [][2]float64) line {
	var n, sx, sy, sxx, sxy float64
	for _, c := range cells {
		n++
		sx += c[0]
		sy += c[1]
		sxx += float64(c[0] * c[0])
		sxy += float64(c[0] * c[1])
	}
	k := leastK
	if d := float64(n*sxx) - float64(sx*sx); d > 0 {
		k = min(max((float64(n*sxy)-float64(sx*sy))/d, leastK), mostK)
	}
	return line{base: max((sy-float64(k*sx))/n, 2), k: k}
}

func (s site) point() point { return point{s.lat, s.lon} }

// between is the round-trip time in milliseconds from a place in a country to
// a region.
func (f *model) between(from point, country string, to Region) float64 {
	site := sites[to]
	d := distance(from, site.point())
	a, away := f.nearest(from)
	if away <= near && a != int(to) && f.m[a][to] > 0 {
		return max(f.m[a][to]+float64(leastK*away), float64(leastK*d))
	}
	if away > near {
		// One line for all: those of pairs are about other places of the groups,
		// and would call a far region nearer than one on the way to it.
		return f.all.base + float64(f.all.k*d)
	}
	l, ok := f.pairs[[2]string{geo.ParentRegion(country), geo.ParentRegion(site.country)}]
	if !ok {
		l = f.all
	}
	if d <= near {
		l = line{base: min(l.base, 4), k: max(l.k, 0.015)}
	}
	return l.base + float64(l.k*d)
}

// nearest is the region of the matrix next to a place, and how far it is in
// kilometres.
func (f *model) nearest(from point) (region int, away float64) {
	away = math.Inf(1)
	for i, s := range sites {
		if d := distance(from, s.point()); s.code != "" && i != f.skip && d < away && f.rich(i) {
			region, away = i, d
		}
	}
	return region, away
}

// rich tells whether the matrix has most of a region's row.
func (f *model) rich(i int) bool {
	n := 0
	for _, v := range f.m[i] {
		if v > 0 {
			n++
		}
	}
	return n > len(sites)/2
}

// distance is the great circle's in kilometres.
func distance(a, b point) float64 {
	const rad, earth = math.Pi / 180, 6371
	s, t := math.Sin((b.lat-a.lat)*rad/2), math.Sin((b.lon-a.lon)*rad/2)
	h := float64(s*s) + float64(float64(math.Cos(a.lat*rad)*math.Cos(b.lat*rad))*float64(t*t))
	return 2 * earth * math.Asin(math.Sqrt(min(h, 1)))
}
