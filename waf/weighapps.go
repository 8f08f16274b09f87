package waf

import (
	"cmp"
	"regexp"
	"strings"
)

// codeField is where a well-known application or protocol is sent code, logs
// or names of files as its purpose. An application that is not it either has
// nothing at the path or does not look at the field.
type codeField struct {
	path   *regexp.Regexp // nil: any, the field's name is of the protocol alone
	field  *regexp.Regexp
	reason string
	// takes is a further condition, where the path or the field is one that
	// other applications have, too; nil: none.
	takes func(rule int, text string) bool
}

// nameOfFile: names of files in a repository are relative and climb no
// further than one step to a file that nobody knows.
// Who is told of them gives them to a shell or opens them.
func nameOfFile(_ int, text string) bool {
	return !strings.HasPrefix(text, "/") && (!strings.Contains(text, "..") || strings.Count(text, "..") == 1 && !sensitive.MatchString(text)) && !oddInName.MatchString(text)
}

var oddInName = regexp.MustCompile("[;|&`<>\"'\\\\\\x00-\\x1f]|\\$[({]")

// plainInReport: browsers encode what ends a string or begins an element.
func plainInReport(_ int, text string) bool { return !strings.ContainsAny(text, " \t\r\n\"'<>`\\") }

// intoPages: elements of a page's head, whole and with nothing between them.
// Other fields for administrators have such names, too: tracking is that of a
// parcel. SQL is made of none.
func intoPages(rule int, text string) bool { return rule/1000 != 942 && headElements.MatchString(text) }

var headElements = regexp.MustCompile(`(?is)^(?:\s|<!--.*?-->|<script\b[^>]*>.*?</script\s*>|<style\b[^>]*>.*?</style\s*>|<noscript\b[^>]*>.*?</noscript\s*>|<(?:meta|link)\b[^<>]*>)+$`)

func jsonAlone(_ int, text string) bool { return isData(text) }

// inSite is a path of an application that lies at the root of a site or in one
// directory: not behind a script, which would take all that follows.
const inSite = `^/(?:[\w-]+/)?`

var codeFields = []codeField{
	// Protocols.
	{nil, regexp.MustCompile(`^json\.resource(?:Spans|Logs|Metrics)\.\d+\.(?:resource|scope(?:Spans|Logs|Metrics))\.`), "OpenTelemetry", nil},
	{regexp.MustCompile(`/loki/api/v1/push$`), regexp.MustCompile(`^json\.streams\.\d+\.(?:values\.\d+\.\d+|stream\.\w+)$`), "Loki", nil},
	{regexp.MustCompile(`^/api/\d+/envelope/$`), regexp.MustCompile(`^(?:json\..*)?$`), "Sentry", nil},
	{regexp.MustCompile(`^/api/\d+/store/$`), regexp.MustCompile(`^json\.(?:message|logentry|exception|breadcrumbs|extra|contexts|stacktrace|threads|request)\b`), "Sentry", nil},
	{regexp.MustCompile(`^/services/collector(?:/event|/raw)?(?:/1\.0)?$`), regexp.MustCompile(`^(?:json\.(?:event|fields)\b.*)?$`), "Splunk's collector", nil},
	{regexp.MustCompile(`^(?:/[\w.-]+)?/_bulk$`), regexp.MustCompile(`^(?:json\.\d+\..*)?$`), "Elasticsearch", nil},
	{nil, regexp.MustCompile(`^json\.(?:csp-report\.(?:script-sample|original-policy)|\d+\.body\.(?:originalPolicy|sample))$`), "reports of browsers", nil},
	{nil, regexp.MustCompile(`^json\.(?:csp-report\.[\w-]+|\d+\.body\.(?:blockedURL|documentURL|sourceFile|referrer|originalPolicy|sample))$`), "reports of browsers", plainInReport},
	{nil, regexp.MustCompile(`^json\.(?:commits\.\d+|head_commit)\.(?:added|modified|removed)\.\d+$`), "names of files in a commit", nameOfFile},
	{regexp.MustCompile(`^/(?:api|apis)/(?:v1|[\w.]+/v\d\w*)/`), regexp.MustCompile(`^json\.spec\.(?:[\w.]+\.)?(?:initContainers|containers)\.\d+\.`), "Kubernetes", nil},
	{regexp.MustCompile(`^(?:/v1\.\d+)?/(?:containers|services|exec)/`), regexp.MustCompile(`^json\.(?:Cmd|Entrypoint|Env|Healthcheck\.Test)\.\d+$`), "the engine of containers", nil},
	// Applications.
	{regexp.MustCompile(inSite + `(?:wp-)?admin/`), regexp.MustCompile(`(?i)(?:^|[._\[-])(?:hf_)?(?:head|header|foot|footer|tracking|analytics|embed)(?:_(?:html|snippet|code|scripts?))?\]?$`), "what an administrator puts into every page", intoPages},
	{regexp.MustCompile(inSite + `wp-json/wp/v2/(?:posts|pages|blocks|templates|template-parts|widgets)(?:/|$)`), regexp.MustCompile(`^json\.(?:content|excerpt|title)(?:\.raw)?$|^json\.instance\.raw\.content$`), "the editor of WordPress", nil},
	{regexp.MustCompile(inSite + `wp-admin/(?:post|customize|theme-editor|plugin-editor)\.php$`), regexp.MustCompile(`^(?:content|excerpt|post_content|newcontent|customized)$`), "the editor of WordPress", nil},
	{regexp.MustCompile(inSite + `wp-admin/admin-ajax\.php$`), regexp.MustCompile(`^(?:customized|data\[wp_autosave\]\[content\])$`), "the editor of WordPress", nil},
	{regexp.MustCompile(inSite + `wp-admin/admin-ajax\.php$`), regexp.MustCompile(`^actions$`), "the editor of WordPress", jsonAlone},
	{regexp.MustCompile(inSite + `ghost/api/admin/(?:posts|pages|settings|snippets)/`), regexp.MustCompile(`^json\.(?:posts|pages|settings|snippets)\.\d+\.(?:html|lexical|mobiledoc|codeinjection_\w+|value)$`), "the editor of Ghost", nil},
	{regexp.MustCompile(`^/admin/(?:api/[\w-]+/)?themes/\d+/assets\.json$`), regexp.MustCompile(`^json\.asset\.value$`), "a theme of Shopify", nil},
	{regexp.MustCompile(`^/(?:user/[\w.@-]+/)?api/contents/`), regexp.MustCompile(`^json\.content(?:\.cells\.\d+\..+)?$`), "a notebook of Jupyter", nil},
	{regexp.MustCompile(`^/(?:job/[^/]+/)+configSubmit$`), regexp.MustCompile(`^(?:json|script|_\.script|command|_\.command)$`), "a job of Jenkins", nil},
	{regexp.MustCompile(`^/rest/workflows(?:/|$)|^/api/v1/workflows(?:/|$)`), regexp.MustCompile(`^json\.nodes\.\d+\.parameters\.`), "a workflow of n8n", nil},
	{regexp.MustCompile(inSite + `api/(?:dashboards/db|ds/query|datasources/proxy|annotations|ruler|v1/provisioning)`), regexp.MustCompile(`^json\.(?:dashboard\.(?:panels|templating|annotations)\.|queries\.\d+\.|data\.\d+\.model\.)`), "a dashboard of Grafana", nil},
	{regexp.MustCompile(`^/api/v4/projects/[^/]+/repository/commits`), regexp.MustCompile(`^json\.actions\.\d+\.(?:file_path|previous_path)$`), "names of files in a commit", nameOfFile},
	{regexp.MustCompile(`^/api/v4/projects/[^/]+/snippets`), regexp.MustCompile(`^json\.files\.\d+\.file_path$`), "names of files in a snippet", nameOfFile},
	{regexp.MustCompile(`^/api/v4/projects/[^/]+/(?:repository/(?:files|commits)|snippets)`), regexp.MustCompile(`^json\.(?:content|actions\.\d+\.content|files\.\d+\.content)$`), "a file of GitLab", nil},
	{regexp.MustCompile(`^/api/v4/jobs/\d+/trace$`), regexp.MustCompile(`^$`), "the log of a job of GitLab", nil},
	{regexp.MustCompile(`^/repos/[^/]+/[^/]+/contents/|^/api/v1/repos/[^/]+/[^/]+/contents|^/gists(?:/|$)`), regexp.MustCompile(`^json\.(?:content|files\.[^.]*\.?[^.]*\.content)$`), "a file of a forge", nil},
}

// ofCodeField says what application's field for code a subject is; empty where
// it is none. Lookups of Log4j are made of logs, too.
func (v *view) ofCodeField(rule int, s subject) string {
	if s.place != inBody || rule/1000 == 943 || rule/1000 == 944 && strings.Contains(s.text, "${") {
		return ""
	}
	path := cmp.Or(v.req.Sent, v.req.Path)
	for i := range codeFields {
		f := &codeFields[i]
		if (f.path == nil || f.path.MatchString(path)) && f.field.MatchString(s.name) && (f.takes == nil || f.takes(rule, s.text)) {
			return "in a field for code or logs: " + f.reason
		}
	}
	return ""
}
