package traffic

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
)

// shopper is one client with what is its own: browser, cookies, and what it
// has to say.
type shopper struct {
	*rand.Rand
	host, path string
	agent      string
	words      []string // of the sentence that it is in the middle of
}

func newShopper(number int, host, path string) *shopper {
	s := &shopper{Rand: rand.New(rand.NewPCG(20, uint64(number))), host: host, path: path}
	s.agent = agents[s.IntN(len(agents))]
	return s
}

// agents are browsers; they send the same for years, but for the version.
var agents = [...]string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
}

// search is a page asked for with a query.
func (s *shopper) search() string {
	query := url.Values{
		"q":    {s.phrase(2 + s.IntN(3))},
		"sort": {pick(s, "price", "newest", "rating")},
		"page": {fmt.Sprint(1 + s.IntN(30))},
		"ref":  {s.token(12)},
	}
	return s.head("GET", s.path+"?"+query.Encode(), "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8") + "\r\n"
}

// item is the page of one article asked for.
func (s *shopper) item() string {
	target := fmt.Sprintf("%s?id=%d&from=%s", s.path, 10_000+s.IntN(90_000), s.token(8))
	return s.head("GET", target, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8") + "\r\n"
}

// attack is a search with SQL in it.
func (s *shopper) attack() string {
	text := fmt.Sprintf("%s' UNION SELECT name,%d,password FROM users WHERE id>%d-- -", s.phrase(1), s.IntN(1000), s.IntN(1000))
	query := url.Values{"q": {text}, "sort": {"price"}, "page": {"1"}}
	return s.head("GET", s.path+"?"+query.Encode(), "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8") + "\r\n"
}

// form is a message sent with a form of about that many bytes.
func (s *shopper) form(size int) string {
	name := s.name()
	var b strings.Builder
	fmt.Fprintf(&b, "name=%s&email=%s&phone=%s&order=%d&consent=yes&comment=", url.QueryEscape(name),
		url.QueryEscape(address(name)), url.QueryEscape(s.phone()), 100_000+s.IntN(900_000))
	for b.Len() < size {
		b.WriteString(url.QueryEscape(s.word() + " "))
	}
	return s.post("application/x-www-form-urlencoded", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", b.String())
}

func (s *shopper) api(body string) string {
	return s.post("application/json", "application/json, text/plain, */*", body)
}

func (s *shopper) post(contentType, accept, body string) string {
	return s.head("POST", s.path, accept) +
		fmt.Sprintf("Origin: https://%s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", s.host, contentType, len(body), body)
}

// head is a request's head without its last line.
func (s *shopper) head(method, target, accept string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: %s\r\n"+
		"Accept-Language: en-GB,en;q=0.9,de;q=0.7\r\nAccept-Encoding: gzip, deflate, br\r\nReferer: https://%s/shop/start\r\n"+
		"Cookie: %s\r\nDNT: 1\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n"+
		"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n",
		method, target, s.host, s.agent, accept, s.host, s.cookies())
}

// cookies are those of a shop and of its statistics.
func (s *shopper) cookies() string {
	first := 1_780_000_000 + s.IntN(10_000_000)
	return fmt.Sprintf("sid=%s; theme=%s; lang=en; cart=%d; _visits=GA1.1.%d.%d; consent=necessary%%2Cstatistics",
		s.token(32), pick(s, "light", "dark"), s.IntN(20), 100_000_000+s.IntN(900_000_000), first)
}

// token is random text as servers hand it out.
func (s *shopper) token(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[s.IntN(len(letters))]
	}
	return string(b)
}

func pick[T any](s *shopper, from ...T) T { return from[s.IntN(len(from))] }
