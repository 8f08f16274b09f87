package bot

import "strings"

// signature is a program that says its name. The pattern is one of matcher.
type signature struct {
	pattern  string
	name     string
	id       string
	class    Class
	reason   string
	operator int  // of a crawler, by index; negative: it cannot be verified
	strict   bool // the operator documents host names for all of its addresses: who has none is not it
}

// signatures lists the programs that are known. Where several patterns are in
// a user agent the first in the list counts, so those that say most are first.
func signatures() (all []signature) {
	all = append(group("Bot100300", Bad, "it says that it is a tool for attacks", scanners()...), crawlers()...)
	for _, g := range []struct {
		id       string
		class    Class
		reason   string
		patterns []string
	}{
		{"Bot300500", Unknown, "it says that it watches whether sites work", monitors()},
		{"Bot300400", Unknown, "it says that it acts for a service", agents()},
		{"Bot300200", Unknown, "it says that it is a tool that drives browsers or copies sites", tools()},
		{"Bot300300", Unknown, "it says that it is a program's HTTP library", libraries()},
		{"", None, "", []string{"cubot"}}, // telephones, not bots
	} {
		all = append(all, group(g.id, g.class, g.reason, g.patterns...)...)
	}
	return append(all, unnamed()...)
}

// group gives several programs the same number. A pattern is a name, too.
func group(id string, class Class, reason string, patterns ...string) (all []signature) {
	for _, p := range patterns {
		name := strings.Trim(p, "*$/(:+ ")
		all = append(all, signature{pattern: p, name: name, id: id, class: class, reason: reason, operator: -1})
	}
	return all
}

func scanners() []string {
	return []string{
		"sqlmap", "nikto", "nuclei", "projectdiscovery", "masscan", "zgrab", "nmap scripting engine", "acunetix", "netsparker",
		"invicti", "nessus", "openvas", "w3af", "dirbuster", "gobuster", "dirb$", "dirsearch", "feroxbuster", "wpscan", "joomscan",
		"fuzz faster u fool", "ffuf", "wfuzz", "whatweb", "havij", "arachni", "zmeu", "morfeus", "jorgee", "(hydra)", "commix",
		"sqlninja", "bsqlbf", "bbqsql", "sqlsus", "skipfish", "owasp zap", "burpcollaborator", "burp suite", "l9explore", "l9tcpid",
		"l9scan", "xsser", "dalfox", "jaeles", "webshag", "paros/", "pangolin", "absinthe", "appscan", "webinspect",
		"detectify", "golismero", "grendel-scan", "uniscan", "vega/", "xspider", "webvulnscan", "kxss", "hello, world",
	}
}

func monitors() []string {
	return []string{
		"uptimerobot", "pingdom", "statuscake", "site24x7", "betterstack", "better uptime", "betteruptime", "updown.io",
		"hetrixtools", "freshping", "uptime-kuma", "gatus/", "datadog", "newrelic", "nagios", "check_http",
		"icinga", "zabbix", "checkly", "catchpoint", "gomezagent", "dynatrace", "ruxitsynthetic", "alertsite", "googlehc/",
		"googlestackdrivermonitoring", "elb-healthchecker", "amazon-route53-health-check", "azure traffic manager endpoint monitor",
		"kube-probe", "consul health check", "blackbox exporter", "blackbox-exporter", "prometheus/", "haproxy", "montastic", "nodeping",
		"monitis", "uptimia", "uptime.com", "oh dear", "cloudflare-healthchecks", "cloudflare-traffic-manager", "chrome-lighthouse",
		"gtmetrix", "webpagetest", "ptst/", "appgw-probe",
	}
}

func agents() []string {
	return []string{
		"github-hookshot", "gitlab/", "bitbucket-webhooks", "stripe/", "paypal ipn", "zapier", "ifttt", "shopify-captain-hook",
		"twilioproxy", "sendgrid", "mailgun/", "mandrill", "hubspot", "svix-webhooks", "discourse forum onebox",
		"let's encrypt validation server", "amazon cloudfront", "amazon-cloudfront", "amazon simple notification service",
		"eventgrid", "azurelogic", "azure-logic-apps", "googlecloudscheduler", "google-cloud-scheduler", "google-cloud-tasks", "apis-google",
		"wordpress/", "drupal", "jetpack by", "woocommerce", "microsoft office", "microsoft-webdav-miniredir", "ms-office",
		"gvfs/", "davclnt", "docker/", "containerd/", "git/", "git-lfs", "helm/", "terraform", "apt-http", "debian apt",
		"atlassian httpclient", "jenkins", "argocd",
	}
}

func tools() []string {
	return []string{
		"headlesschrome", "phantomjs", "slimerjs", "selenium", "webdriver", "puppeteer", "playwright", "cypress/",
		"htmlunit", "splash/", "scrapy", "httrack", "webcopier", "webzip", "teleport pro", "offline explorer", "sitesucker",
		"website-mirrorer", "wpull", "heritrix", "nutch", "apache-nutch", "colly", "crawlee", "crawl4ai", "firecrawl", "jmeter", "apachebench",
		"k6/", "gatling", "vegeta", "hey/", "siege/", "bombardier", "h2load", "oha/", "artillery",
		"screaming frog", "mechanize", "node-spider", "jsdom", "zombie.js", "newspaper/",
	}
}

func libraries() []string {
	return []string{
		"curl/", "libcurl", "pycurl", "wget/", "wget2/", "aria2/", "axel/", "httpie/", "xh/", "python-requests", "python-urllib", "python-httpx",
		"urllib3", "aiohttp", "httplib2", "python/", "tornado/", "go-http-client", "go-resty", "fasthttp", "req/", "java/",
		"java-http-client", "apache-httpclient", "apache-httpasyncclient", "jakarta commons-httpclient", "commons-httpclient",
		"jersey/", "okhttp", "reactornetty", "vert.x", "asynchttpclient", "async-http-client", "ahc/", "akka-http", "spray-can", "ktor",
		"unirest", "restsharp", "refit", "winhttp", "wininet", "microsoft url control", "mswinhttp", "powershell", "windowspowershell", "axios",
		"node-fetch", "undici", "superagent", "got (", "node.js", "nodejs", "bun/", "deno/", "libwww-perl", "lwp::", "lwp-",
		"mojolicious", "http::tiny", "php/", "guzzlehttp", "guzzle", "symfony httpclient", "symfony", "pecl::http", "ruby", "faraday", "rest-client",
		"httparty", "http.rb", "typhoeus", "excon", "reqwest", "hyper/", "ureq/", "isahc", "actix", "awc/", "hackney", "httpoison",
		"erlang", "gun/", "dart/", "dart:io", "lua-resty", "luasocket", "postmanruntime", "postman", "insomnia", "bruno-runtime",
		"paw/", "rapidapi", "soapui", "http_request", "httpclient", "libsoup", "neon/", "serf/", "cpp-httplib", "cpprestsdk",
		"boost.beast", "beast/", "qt/", "indy library", "delphi", "clj-http", "snoopy", "zend_http_client", "simplepie",
		"aws-sdk", "aws-cli", "boto3", "botocore", "azsdk", "google-api", "gaxios", "grpc-", "graphql-request",
	}
}

// unnamed lists what bots of any name say.
func unnamed() []signature {
	all := group("Bot300700", Unknown, "it says that it is a bot, and not one of those that are known",
		"*bot$", "*bots$", "*crawler", "*crawling", "*spider", "*scraper", "*+http:", "*+https:")
	for i := range all {
		all[i].name = "unnamed bot"
	}
	return all
}
