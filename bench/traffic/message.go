package traffic

import (
	"encoding/json"
	"fmt"
)

// rating is a small JSON body of some 200 bytes.
func (s *shopper) rating() string {
	return encode(map[string]any{
		"article": 10_000 + s.IntN(90_000), "stars": 1 + s.IntN(5), "name": s.name(), "anonymous": false, "text": s.prose(108),
	})
}

// line is an article of an order.
type line struct {
	SKU      string  `json:"sku"`
	Title    string  `json:"title"`
	Quantity int     `json:"quantity"`
	Price    float64 `json:"price"`
	Note     string  `json:"note"`
}

// order is a JSON body of about that many bytes, with at most 40 articles:
// more than 255 values are refused by firewalls.
func (s *shopper) order(size int) string {
	const articles = 40
	name := s.name()
	lines := make([]line, articles)
	for i := range lines {
		lines[i] = line{
			SKU: fmt.Sprintf("SK-%06d", s.IntN(1_000_000)), Title: s.phrase(3), Quantity: 1 + s.IntN(9),
			Price: float64(300+s.IntN(20_000)) / 100, Note: s.prose(size/articles - 106),
		}
	}
	return encode(map[string]any{
		"customer": map[string]any{"name": name, "email": address(name), "phone": s.phone(), "newsletter": false},
		"delivery": map[string]any{"town": pick(s, towns[:]...), "zip": fmt.Sprint(10_000 + s.IntN(80_000)), "date": s.date()},
		"lines":    lines,
		"comment":  s.prose(160),
	})
}

// encode is JSON as browsers write it. The values are ours: it cannot fail.
func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}
