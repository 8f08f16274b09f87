package bot

import (
	"net/netip"
	"slices"
	"strings"
)

// operator is who runs crawlers, and how its addresses are known.
type operator struct {
	name     string
	domains  []string       // its addresses have host names below one of these, which have these addresses
	networks []netip.Prefix // published as its own; there may be others
}

// holds reports whether an address is in a published network.
func (o *operator) holds(a netip.Addr) bool {
	return slices.ContainsFunc(o.networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// named reports whether a host name, absolute and in lower case, is below a
// domain of the operator.
func (o *operator) named(host string) bool {
	return slices.ContainsFunc(o.domains, func(d string) bool { return strings.HasSuffix(host, "."+d+".") })
}

// operators lists those whose crawlers can be verified. The domains are those
// that the operators document for the purpose, and of those that document
// none the ones their crawlers have had for years. Clouds that anybody can
// rent an address of are not in it: bc.googleusercontent.com is not Google.
func operators() []operator {
	return []operator{
		{name: "Google", domains: []string{"googlebot.com", "google.com"}},
		{name: "Microsoft", domains: []string{"search.msn.com"}},
		{name: "Apple", domains: []string{"applebot.apple.com"}},
		{name: "Yahoo", domains: []string{"crawl.yahoo.net"}},
		{name: "Yandex", domains: []string{"yandex.ru", "yandex.net", "yandex.com"}},
		{name: "Baidu", domains: []string{"baidu.com", "baidu.jp"}},
		{name: "Seznam", domains: []string{"seznam.cz"}},
		{name: "Huawei", domains: []string{"petalsearch.com"}},
		{name: "Sogou", domains: []string{"crawl.sogou.com"}},
		{name: "Qwant", domains: []string{"qwant.com"}},
		{name: "Mail.Ru", domains: []string{"mail.ru"}},
		{name: "Amazon", domains: []string{"crawl.amazonbot.amazon"}},
		{name: "Ahrefs", domains: []string{"ahrefs.com", "ahrefs.net"}},
		{name: "Semrush", domains: []string{"bot.semrush.com"}},
		{name: "Common Crawl", domains: []string{"crawl.commoncrawl.org"}},
		{name: "Internet Archive", domains: []string{"archive.org"}},
		{name: "Pinterest", domains: []string{"pinterest.com", "pinterestcrawler.com"}},
		{name: "LinkedIn", domains: []string{"fwd.linkedin.com"}},
		{name: "X", domains: []string{"twttr.com"}, networks: prefixes("199.16.156.0/22 199.59.148.0/22")},
		{name: "Meta", networks: prefixes("31.13.24.0/21 31.13.64.0/18 66.220.144.0/20 69.63.176.0/20 69.171.224.0/19 " +
			"129.134.0.0/16 157.240.0.0/16 173.252.64.0/18 2620:0:1c00::/40 2a03:2880::/32")},
		{name: "Telegram", networks: prefixes("91.108.4.0/22 91.108.8.0/22 91.108.12.0/22 91.108.16.0/22 91.108.56.0/22 " +
			"149.154.160.0/20 2001:67c:4e8::/48 2001:b28:f23d::/48 2001:b28:f23f::/48")},
	}
}

func prefixes(list string) (all []netip.Prefix) {
	for _, text := range strings.Fields(list) {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}
