package bot

import "slices"

// Azure's rules for good bots.
const (
	searchEngine   = "Bot200100"
	miscellaneous  = "Bot200200"
	linkChecker    = "Bot200300"
	social         = "Bot200400"
	contentFetcher = "Bot200500"
	feedFetcher    = "Bot200600"
	advertising    = "Bot200700"
)

// crawlers lists crawlers that say their names. Those of an operator with a !
// are strict. Those that others imitate in good faith are not: telephones that
// make a preview of a link say that they are Facebook's and X's. Most say
// nothing by which they could be verified, or publish lists of addresses that
// change too often to be kept here.
func crawlers() (all []signature) {
	known := operators()
	for _, c := range []struct {
		operator, id string
		patterns     []string
	}{
		{"Google!", advertising, []string{"AdsBot-Google", "Mediapartners-Google"}},
		{"Google", feedFetcher, []string{"FeedFetcher-Google"}},
		{"Google", contentFetcher, []string{"Google-Read-Aloud", "GoogleProducer", "Google-Site-Verification", "Google-PageRenderer", "Google Favicon", "GoogleImageProxy"}},
		{"Google!", miscellaneous, []string{"Google-InspectionTool", "GoogleOther", "Google-CloudVertexBot", "Google-Safety"}},
		{"Google!", searchEngine, []string{"Storebot-Google", "Googlebot"}},
		{"Microsoft", contentFetcher, []string{"BingPreview", "MicrosoftPreview"}},
		{"Microsoft!", advertising, []string{"adidxbot"}},
		{"Microsoft!", searchEngine, []string{"bingbot", "msnbot"}},
		{"Apple!", searchEngine, []string{"Applebot"}},
		{"Yahoo!", searchEngine, []string{"Yahoo! Slurp"}},
		{"Yandex", advertising, []string{"YaDirectFetcher", "YandexDirect"}},
		{"Yandex", feedFetcher, []string{"YandexBlogs", "YandexNews"}},
		{"Yandex!", searchEngine, []string{"YandexBot", "YandexImages", "YandexMobileBot", "YandexRenderResourcesBot", "YandexAccessibilityBot", "YandexMetrika", "YandexVideo", "YandexMedia", "YandexWebmaster"}},
		{"Baidu!", searchEngine, []string{"Baiduspider"}},
		{"Seznam!", searchEngine, []string{"SeznamBot"}},
		{"Huawei!", searchEngine, []string{"PetalBot"}},
		{"Sogou", searchEngine, []string{"Sogou web spider", "Sogou inst spider", "Sogou News Spider", "Sogou Pic Spider", "Sogou Orion spider"}},
		{"Qwant", searchEngine, []string{"Qwantbot", "Qwantify"}},
		{"Mail.Ru", searchEngine, []string{"Mail.RU_Bot"}},
		{"Amazon!", miscellaneous, []string{"Amazonbot"}},
		{"Ahrefs!", linkChecker, []string{"AhrefsBot", "AhrefsSiteAudit"}},
		{"Semrush!", linkChecker, []string{"SemrushBot"}},
		{"Common Crawl", contentFetcher, []string{"CCBot"}},
		{"Internet Archive", contentFetcher, []string{"archive.org_bot", "ia_archiver", "special_archiver"}},
		{"Pinterest!", social, []string{"Pinterestbot"}},
		{"Pinterest", social, []string{"Pinterest/0."}},
		{"LinkedIn", social, []string{"LinkedInBot"}},
		{"Meta", social, []string{"facebookexternalhit", "facebookcatalog", "meta-externalagent", "meta-externalfetcher", "meta-webindexer", "Facebot"}},
		{"Telegram", social, []string{"TelegramBot"}}, // "(like TwitterBot)"
		{"X", social, []string{"Twitterbot"}},
		{"", searchEngine, []string{"DuckDuckBot", "DuckAssistBot", "Yeti/", "Daum/", "360Spider", "HaosouSpider", "MojeekBot", "coccocbot", "Exabot", "YisouSpider", "Bravebot", "Kagibot", "OAI-SearchBot", "PerplexityBot", "Claude-SearchBot"}},
		{"", linkChecker, []string{"W3C-checklink", "W3C_Validator", "Validator.nu", "LinkChecker", "Dead Link Checker", "Xenu Link Sleuth", "MJ12bot", "DotBot", "rogerbot", "BLEXBot", "DataForSeoBot", "SiteAuditBot", "serpstatbot"}},
		{"", social, []string{"Slackbot", "Slack-ImgProxy", "Discordbot", "WhatsApp/", "redditbot", "SkypeUriPreview", "vkShare", "Snap URL Preview", "Mastodon/", "Bluesky Cardyb", "Iframely", "Embedly", "Tumblr/", "Bytespider", "TikTokSpider"}},
		{"", contentFetcher, []string{"GPTBot", "ChatGPT-User", "ClaudeBot", "Claude-User", "anthropic-ai", "Perplexity-User", "cohere-ai", "Diffbot", "MistralAI-User", "FlipboardProxy", "PocketParser", "Instapaper", "Wayback", "heritrix/archiveteam", "omgili", "ImagesiftBot", "Timpibot", "YouBot"}},
		{"", feedFetcher, []string{"Feedly", "Feedbin", "Inoreader", "NewsBlur", "FreshRSS", "Miniflux", "Tiny Tiny RSS", "Feedspot", "theoldreader", "BazQux", "Superfeedr", "FeedBurner", "Overcast/", "PodcastAddict", "gPodder", "iTMS"}},
		{"", advertising, []string{"CriteoBot", "ias_crawler", "IAS-Crawler", "GrapeshotCrawler", "Grapeshot", "TTD-Content", "peer39_crawler", "proximic", "AdAuth", "admantx", "Amazon-Advertising-ad-standards-bot", "amazon-adbot"}},
	} {
		name, strict := c.operator, false
		if n := len(name); n > 0 && name[n-1] == '!' {
			name, strict = name[:n-1], true
		}
		at := slices.IndexFunc(known, func(o operator) bool { return o.name == name })
		for _, s := range group(c.id, Good, "", c.patterns...) {
			s.operator, s.strict = at, strict
			all = append(all, s)
		}
	}
	return all
}
