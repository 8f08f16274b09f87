package traffic

import (
	"fmt"
	"strconv"
	"strings"
)

// CatalogueSize is the length of Catalogue.
const CatalogueSize = 10 << 10

// Catalogue is a JSON document of CatalogueSize bytes, as an API answers a
// search with: things with names, prices and texts.
func Catalogue() []byte {
	s := newShopper(1, Host, "/")
	var b strings.Builder
	b.WriteString(`{"items": [`)
	const end = "]}\n"
	for b.Len() < CatalogueSize-600 {
		fmt.Fprintf(&b, `{"id": %d, "key": "%s", "name": %s, "price": %s, "since": %s, "text": %s},`+"\n",
			10_000+s.IntN(90_000), s.token(12), strconv.Quote(s.phrase(3)), s.price(), strconv.Quote(s.date()), strconv.Quote(s.prose(200)))
	}
	b.WriteString(`{"id": 0}`)
	return []byte(b.String() + strings.Repeat(" ", CatalogueSize-b.Len()-len(end)) + end)
}
