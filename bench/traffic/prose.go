package traffic

import (
	"fmt"
	"strconv"
	"strings"
)

var (
	givenNames = [...]string{"Anna", "Benedikt", "Charlotte", "Daniel", "Emily", "Farid", "Greta", "Hanna", "Ivan", "José", "Katharina", "Liam", "Maria", "Noah", "Olga", "Pierre", "Renée", "Sofia", "Thomas", "Ursula", "Yusuf", "Zoë"}
	surnames   = [...]string{"Ahmed", "Baker", "Carter", "Dubois", "Evans", "Fischer", "García", "Hughes", "Ivanova", "Jansen", "Kowalski", "Larsson", "Müller", "Novak", "O'Brien", "Petersen", "Rossi", "Schmidt", "Taylor", "Weber"}
	articles   = [...]string{"desk lamp", "garden chair", "rain jacket", "coffee grinder", "bicycle light", "oak shelf", "wool blanket", "travel bag", "bread knife", "running shoes", "alarm clock", "photo frame", "water bottle", "cutting board", "wall mirror", "reading chair", "linen shirt", "tea pot", "camping stove", "picture book"}
	qualities  = [...]string{"small", "blue", "second-hand", "waterproof", "folding", "light", "heavy", "green", "classic", "large", "red", "quiet", "solid", "white", "handmade", "warm"}
	towns      = [...]string{"Leeds", "Bremen", "Lyon", "Porto", "Uppsala", "Graz", "Gdansk", "Cork", "Utrecht", "Verona"}
)

// sentences are what people write to shops; %a is an article, %q a quality, %n
// a number, %p a price, %t a town and %d a date.
var sentences = [...]string{
	"I ordered the %q %a on %d and it arrived in %t only today.",
	"The parcel was fine, but one of the %n screws is missing.",
	"Could you please tell me whether the %a is also available in %q?",
	"My neighbour in %t paid %p for the same one, which is %n euros less.",
	"It's a bit smaller than I thought; still, we're happy with it.",
	"We have had the %q one for %n years and it works as on the first day.",
	"Please send the invoice to my new address in %t (second floor, on the left).",
	"The colour isn't quite what the picture shows: it is more %q than that.",
	"Delivery took %n days, and the driver was very friendly.",
	"I would like to exchange it for the %q %a, if that is possible.",
	"After about %n minutes the light goes out and I have to wait.",
	"For %p you will hardly find a better %a anywhere.",
	"Would you let me know when the %a is back in stock, e.g. by e-mail?",
	"The instructions are easy to follow: we needed less than %n minutes.",
	"On %d I sent it back, and the money was there %n days later. Thank you!",
	"My daughter uses it every day on her way to school and likes it a lot.",
	"There is a scratch of about %n mm at the lower edge, see the photograph.",
	"All in all: good quality, fair price (%p), and quick help by telephone.",
	"The box was too large for what was in it - more paper than %a.",
	"Is the shop in %t open on Saturday afternoon, and can I pick it up there?",
}

// word is the next word of what the shopper has to say.
func (s *shopper) word() string {
	if len(s.words) == 0 {
		s.words = strings.Fields(s.sentence())
	}
	w := s.words[0]
	s.words = s.words[1:]
	return w
}

func (s *shopper) sentence() string {
	var b strings.Builder
	before, rest, more := strings.Cut(pick(s, sentences[:]...), "%")
	for b.WriteString(before); more; b.WriteString(before) {
		b.WriteString(s.detail(rest[0]))
		before, rest, more = strings.Cut(rest[1:], "%")
	}
	return b.String()
}

// detail is what a letter behind % stands for in sentences.
func (s *shopper) detail(letter byte) string {
	switch letter {
	case 'a':
		return pick(s, articles[:]...)
	case 'q':
		return pick(s, qualities[:]...)
	case 't':
		return pick(s, towns[:]...)
	case 'n':
		return strconv.Itoa(2 + s.IntN(28))
	case 'p':
		return s.price()
	default:
		return s.date()
	}
}

// prose is text of at least n bytes that ends with a word.
func (s *shopper) prose(n int) string {
	var b strings.Builder
	for b.Len() < n {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s.word())
	}
	return b.String()
}

// phrase is what is typed into a field of search.
func (s *shopper) phrase(words int) string {
	list := strings.Fields(pick(s, qualities[:]...) + " " + pick(s, articles[:]...) + " " + pick(s, towns[:]...) + " " + fmt.Sprint(s.IntN(1000)))
	return strings.Join(list[:words], " ")
}

func (s *shopper) name() string { return pick(s, givenNames[:]...) + " " + pick(s, surnames[:]...) }

// address is the mail address of a name.
func address(name string) string {
	plain := func(r rune) rune {
		switch {
		case r == ' ':
			return '.'
		case r >= 'a' && r <= 'z':
			return r
		}
		return -1
	}
	return strings.Map(plain, strings.ToLower(name)) + "@mail.example"
}

func (s *shopper) phone() string {
	return fmt.Sprintf("+44 %d %06d", 20+s.IntN(80), s.IntN(1_000_000))
}

func (s *shopper) price() string { return fmt.Sprintf("%d.%02d", 3+s.IntN(200), s.IntN(100)) }

func (s *shopper) date() string {
	return fmt.Sprintf("%d %s", 1+s.IntN(28), pick(s, "January", "March", "May", "August", "October"))
}
