package traffic

import (
	"fmt"
	"html"
	"strings"
)

// PageSize is the length of Page.
const PageSize = 10 << 10

// Page is an HTML page of PageSize bytes: the article, what people say of it,
// and what else there is.
func Page() []byte {
	s := newShopper(0, Host, "/")
	var b strings.Builder
	title := html.EscapeString(s.phrase(3))
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>%s - The Shop</title>\n"+
		"<link rel=\"stylesheet\" href=\"/static/shop.css?v=%s\">\n<script src=\"/static/shop.js?v=%s\" defer></script>\n</head>\n<body>\n"+
		"<header><a class=\"logo\" href=\"/\">The Shop</a><form action=\"/shop/search\"><input name=\"q\" type=\"search\"></form></header>\n"+
		"<main>\n<h1>%s</h1>\n<p class=\"price\">&euro; %s</p>\n", title, s.token(8), s.token(8), title, s.price())
	for i := 1; b.Len() < PageSize*2/3; i++ {
		fmt.Fprintf(&b, "<article class=\"review\" id=\"review-%d\">\n<h2>%s, %s</h2>\n<p>%s</p>\n</article>\n", i,
			html.EscapeString(s.name()), s.date(), html.EscapeString(s.prose(300)))
	}
	b.WriteString("</main>\n<aside>\n<ul>\n")
	const end = "</ul>\n</aside>\n</body>\n</html>\n"
	for b.Len() < PageSize-400 {
		fmt.Fprintf(&b, "<li><a href=\"/shop/item?id=%d\"><img src=\"/images/%s.webp\" alt=\"\" width=\"120\" height=\"90\"> %s</a></li>\n",
			10_000+s.IntN(90_000), s.token(10), html.EscapeString(s.phrase(3)))
	}
	b.WriteString("<!-- " + strings.Repeat("=", PageSize-b.Len()-len(end)-len("<!--  -->\n")) + " -->\n" + end)
	return []byte(b.String())
}
