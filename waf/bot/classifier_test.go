package bot

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
)

const googlebot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

// deaf is a resolver that finds nothing.
type deaf struct{}

func (deaf) LookupAddr(context.Context, string) ([]string, error) { return nil, absent }
func (deaf) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return nil, absent
}

func classifier(t testing.TB, o Options) *Classifier {
	if o.Resolver == nil {
		o.Resolver = deaf{}
	}
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

func TestBrowsersAreNoBots(t *testing.T) {
	browsers := []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
		"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
		"Mozilla/5.0 (X11; U; Linux i686; en-US; rv:1.9.0.10) Gecko/2009042513 Linux Mint/7 (Gloria) Firefox/3.0.10",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [Pinterest/iOS]",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22B83 Snapchat/13.15.0.41 (like Safari/8620.1)",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/22B83 [FBAN/FBIOS;FBAV/490.0.0.50.107;FBBV/663;FBDV/iPhone16,2]",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/22B83 Instagram 355.0.0.23.86 (iPhone16,2; iOS 18_1; de_DE)",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 GSA/340.3.6 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1 DuckDuckGo/7",
		"Mozilla/5.0 (Linux; Android 10; POCO F1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Linux; Android 9; CUBOT_NOTE_20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Linux; Android 9; CUBOT X18) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Linux; Android 14; SM-S921B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0.0.0 Mobile Safari/537.36 DaumApps/6.8.0",
		"Mozilla/5.0 (Linux; U; Android 12; zh-cn) AppleWebKit/537.36 Chrome/109.0 Mobile Safari/537.36 SogouMSE,SogouMobileBrowser/6.8.8",
		"Mozilla/5.0 (Linux; Android 12) AppleWebKit/537.36 Chrome/97.0 Mobile Safari/537.36 T7/13.10 SP-engine/2.48.0 baiduboxapp/13.10.0.10 (Baidu; P1 12)",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 YaBrowser/24.10.0.0 Safari/537.36",
		"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) coc_coc_browser/100.0 Chrome/94.0 Safari/537.36",
		"Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36 Home Assistant/2024.10.3-14543",
		"Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-A546B) AppleWebKit/537.36 SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/538.15 (KHTML, like Gecko) QtWebEngine/5.15.2 Chrome/87.0 Safari/537.36 Falkon/3.1.0",
		"Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; WOW64; Trident/6.0; MSOffice 12)",
		"Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; .NET4.0C; .NET4.0E; rv:11.0) like Gecko",
		"Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18",
		"Lynx/2.9.0dev.12 libwww-FM/2.14 SSL-MM/1.4.1 OpenSSL/3.0.8", "w3m/0.5.3+git20230121",
		"Mozilla/5.0 (PlayStation; PlayStation 5/7.00) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15",
		"Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/538.1 (KHTML, like Gecko) Version/6.0 TV Safari/538.1",
		"MyShop/5.1 (iPhone; iOS 18.1; Scale/3.00)", "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7)", "\xff\xfe\x00",
	}
	c := classifier(t, Options{})
	for _, agent := range browsers {
		if got := c.Classify(agent, netip.MustParseAddr("192.0.2.1")); got != (Verdict{}) {
			t.Errorf("%s\nis %+v", agent, got)
		}
	}
}

func TestProgramsAreToldByWhatTheySay(t *testing.T) {
	tests := []struct{ agent, id, name string }{
		{"", "Bot300100", "unspecified"},
		{"-", "Bot300100", "unspecified"},
		{" \t ", "Bot300100", "unspecified"},
		{"sqlmap/1.8.2#stable (https://sqlmap.org)", "Bot100300", "sqlmap"},
		{"Mozilla/5.00 (Nikto/2.1.6) (Evasions:None) (Test:000001)", "Bot100300", "nikto"},
		{"Nuclei - Open-source project (github.com/projectdiscovery/nuclei)", "Bot100300", "nuclei"},
		{"Mozilla/5.0 zgrab/0.x", "Bot100300", "zgrab"},
		{"Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)", "Bot100300", "nmap scripting engine"},
		{"Mozilla/5.0 (compatible; Googlebot/2.1) sqlmap", "Bot100300", "sqlmap"},
		{"Hello, world", "Bot100300", "hello, world"},
		{"curl/8.5.0", "Bot300300", "curl"},
		{"Wget/1.21.4", "Bot300300", "wget"},
		{"python-requests/2.32.3", "Bot300300", "python-requests"},
		{"Python-urllib/3.12", "Bot300300", "python-urllib"},
		{"Go-http-client/2.0", "Bot300300", "go-http-client"},
		{"Java/21.0.2", "Bot300300", "java"},
		{"Apache-HttpClient/4.5.14 (Java/17.0.9)", "Bot300300", "java"},
		{"axios/1.7.7", "Bot300300", "axios"},
		{"got (https://github.com/sindresorhus/got)", "Bot300300", "got"},
		{"Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041", "Bot300300", "windowspowershell"},
		{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36", "Bot300200", "headlesschrome"},
		{"Scrapy/2.11.2 (+https://scrapy.org)", "Bot300200", "scrapy"},
		{"Screaming Frog SEO Spider/20.1", "Bot300200", "screaming frog"},
		{"GitHub-Hookshot/044aadd", "Bot300400", "github-hookshot"},
		{"git/2.43.0", "Bot300400", "git"},
		{"Mozilla/5.0 (compatible; Let's Encrypt validation server; +https://www.letsencrypt.org)", "Bot300400", "let's encrypt validation server"},
		{"Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", "Bot300500", "uptimerobot"},
		{"kube-probe/1.31", "Bot300500", "kube-probe"},
		{"ExampleBot/1.0", "Bot300700", "unnamed bot"},
		{"some crawler", "Bot300700", "unnamed bot"},
		{"Mozilla/5.0 (compatible; Censys; +https://about.censys.io)", "Bot300700", "unnamed bot"},
		{"Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)", "Bot300700", "GPTBot"},
		{"DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)", "Bot300700", "DuckDuckBot"},
		{"Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Bot300700", "Slackbot"},
		{"WhatsApp/2.24.20 A", "Bot300700", "WhatsApp"},
		{"http.rb/5.1.1 (Mastodon/4.2.10; +https://social.example/)", "Bot300700", "Mastodon"},
		{strings.Repeat("x", maxAgent-5) + " curl/8", "", ""},
	}
	c := classifier(t, Options{})
	for _, tt := range tests {
		t.Run(tt.agent[:min(len(tt.agent), 40)], func(t *testing.T) {
			got := c.Classify(tt.agent, netip.MustParseAddr("192.0.2.1"))
			want := map[byte]Class{'1': Bad, '3': Unknown}
			if got.ID != tt.id || got.Name != tt.name || (tt.id != "" && (got.Class != want[tt.id[3]] || got.Reason == "")) {
				t.Errorf("got %+v, want %s %s", got, tt.id, tt.name)
			}
		})
	}
}

func TestSomeCrawlersAreKnownByTheirNetworks(t *testing.T) {
	tests := []struct{ name, agent, addr, want string }{
		{"Facebook", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "173.252.95.1", social},
		{"Facebook, IPv6", "facebookexternalhit/1.1", "2a03:2880:f800::1", social},
		{"Facebook, IPv4 in IPv6", "facebookexternalhit/1.1", "::ffff:173.252.95.1", social},
		{"a telephone that makes a preview", "Mozilla/5.0 (Macintosh) AppleWebKit/601.2.4 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0", "198.51.100.1", "Bot300700"},
		{"Telegram", "TelegramBot (like TwitterBot)", "149.154.161.1", social},
		{"X", "Twitterbot/1.0", "199.16.157.1", social},
		{"Google has no such", googlebot, "173.252.95.1", "Bot300700"},
	}
	c := classifier(t, Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := c.Classify(tt.agent, netip.MustParseAddr(tt.addr))
			if got.ID != tt.want || (got.Class == Good) != (tt.want == social) || got.Reason == "" {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
		})
	}
	if got := c.Classify(googlebot, netip.Addr{}); got.Class != Unknown || got.Pending {
		t.Errorf("without an address: %+v", got)
	}
}

func TestTheTableIsSound(t *testing.T) {
	known, classes := operators(), map[string]Class{}
	seen := map[string]bool{}
	for _, s := range signatures() {
		text := strings.ToLower(strings.Trim(s.pattern, "*$"))
		if len(text) < 3 || s.name == "" || seen[text] {
			t.Errorf("%q: too short, without a name, or there before", s.pattern)
		}
		seen[text] = true
		if c, ok := classes[s.id]; ok && c != s.class {
			t.Errorf("%s is both %v and %v", s.id, c, s.class)
		}
		classes[s.id] = s.class
		if s.strict && (s.operator < 0 || len(known[s.operator].domains) == 0) {
			t.Errorf("%q is strict and cannot be verified", s.pattern)
		}
	}
	used := map[int]bool{}
	for _, c := range crawlers() {
		used[c.operator] = true
	}
	for i, o := range known {
		if !used[i] {
			t.Errorf("%s runs no crawler: is its name the same in both tables?", o.name)
		}
	}
	for id, want := range map[string]Class{"Bot100300": Bad, "Bot200100": Good, "Bot200700": Good, "Bot300200": Unknown, "Bot300700": Unknown} {
		if classes[id] != want {
			t.Errorf("%s is %v, want %v", id, classes[id], want)
		}
	}
}

// FuzzMatcher compares the automaton with a search for each pattern.
func FuzzMatcher(f *testing.F) {
	var patterns []string
	for _, s := range signatures() {
		patterns = append(patterns, s.pattern)
	}
	m := newMatcher(patterns)
	for _, seed := range []string{"", "curl/8", "xcurl/", "a bot", "abots", "botx bot", "CUBOT bot", "Googlebot\xff", "dirbuster dirb", "got (got (", "+http:+https:", "AdsBot-Google-Googlebot"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := -1
		for i, p := range m.patterns {
			if want < 0 && occurs(text, p) {
				want = i
			}
		}
		got, ok := m.find(text)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d %v, want %d", text, got, ok, want)
		}
	})
}

func occurs(text string, p pattern) bool {
	for i := 0; i+len(p.text) <= len(text); i++ {
		end := i + len(p.text)
		if asciiLower(text[i:end]) == p.text &&
			(p.inside || i == 0 || !alnum(text[i-1])) && (!p.ends || end == len(text) || !alnum(text[end])) {
			return true
		}
	}
	return false
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 32
		}
	}
	return string(b)
}

func alnum(c byte) bool {
	return strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", c) >= 0
}

var samples = map[string]string{
	"browser":  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	"library":  "python-requests/2.32.3",
	"verified": googlebot,
}

func BenchmarkClassify(b *testing.B) {
	for name, agent := range samples {
		b.Run(name, func(b *testing.B) {
			c := New(Options{Resolver: google()})
			defer c.Close()
			b.ReportAllocs()
			for b.Loop() {
				c.Classify(agent, googleAddr)
			}
		})
	}
}

func TestClassifyDoesNotAllocate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Resolver: google()})
		defer c.Close()
		for _, agent := range samples {
			c.Classify(agent, googleAddr)
			synctest.Wait()
			if n := testing.AllocsPerRun(100, func() { c.Classify(agent, googleAddr) }); n >= 1 {
				t.Errorf("%s: %.1f allocations", agent, n)
			}
		}
	})
}
