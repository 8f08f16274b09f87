package waf

import "regexp"

// knownForms are forms of values that programs write, whole and with nothing beside
// them. A value that has one is no attack to the families of rules named: what
// runs, ends or separates has no place in the form. The reason is for the log.
var knownForms = []struct {
	families []int          // rule / 1000
	name     *regexp.Regexp // of the field; nil: any
	form     *regexp.Regexp
	reason   string
}{
	// A frame of a stack, of Java or Kotlin: com.acme.Shop.buy(Shop.java:12).
	{[]int{930, 932, 933, 934, 942, 944}, nil, regexp.MustCompile(`^\s*(?:at\s+)?(?:[\w.@-]+/)*[\w$.<>/-]+\((?:[\w$.-]+\.(?:java|kt|kts|scala|groovy|clj)(?::\d+)?|Native Method|Unknown Source|<generated>)\)\s*$`), "a frame of a stack"},
	// A file somewhere on the web; only the local ones are of interest.
	{[]int{930}, nil, regexp.MustCompile(`^https?://[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?/(?:[\w~@!$&+,=:%-]+(?:\.[\w~@!$&+,=:%-]+)*/)*(?:[\w~@!$&+,=:%-]+(?:\.[\w~@!$&+,=:%-]+)*)?(?:\?[\w.~@!$&+,=:%/-]*)?$`), "an address of the web"},
	// Requirements of packages of Python (PEP 508).
	{[]int{932}, nil, regexp.MustCompile(`^[A-Za-z0-9][\w.-]*(?:\[[\w,. -]+\])?\s*(?:\([\s\d.,<>=!~*a-z]+\)|[\s\d.,<>=!~*a-z]*)\s*;\s*(?:\(?(?:python_version|python_full_version|extra|platform_system|platform_machine|platform_python_implementation|sys_platform|os_name|implementation_name)\s*(?:[<>=!~]=?|not in|in)\s*["'][\w.+ -]*["']\)?\s*(?:and\s*|or\s*|$))+$`), "a requirement of a package"},
	// The fields that a client wants: id,title,images{url,w}.
	{[]int{932}, regexp.MustCompile(`(?i)(?:^|[._\[-])(?:fields|select|include|expand|projection|with|embed)\]?$`), regexp.MustCompile(`^(?:\w[\w.]*(?:[{(][\w.,]*(?:[{(][\w.,]*[)}],?)*[\w.,]*[)}])?(?:,|$))+$`), "a list of fields"},
	// What a search is narrowed to: year:"[1990 TO 2010]", format:"Book".
	{[]int{942}, nil, regexp.MustCompile(`^~?[A-Za-z_][\w.]*:(?:"?[\[{][\w*:.-]+ TO [\w*:.-]+[\]}]"?|"[^"'\\;<>#]*")$`), "what a search is narrowed to"},
	// What Struts keeps against forms that are sent twice.
	{[]int{944}, nil, regexp.MustCompile(`^org\.apache\.struts\.taglib\.html\.(?:TOKEN|CANCEL)$`), "a field of Struts"},
	// Columns of a report, and what is made of them: sum(price) as total.
	{[]int{942}, nil, regexp.MustCompile(`(?i)^(?:sum|count|avg|min|max|median|stddev|date_trunc|date_part|extract|round|coalesce|nullif|year|quarter|month|day|week|hour)\((?:distinct\s+)?(?:'[\w ]{1,16}'\s*,\s*)?[\w.*]+(?:\s*,\s*[\w.]+)*\)(?:\s+(?:as\s+\w+|asc|desc))?$`), "a column of a report"},
}

// hasKnownForm says which known form a value has, if a rule has to do with it.
func hasKnownForm(rule int, s subject) string {
	if len(s.text) > 2048 {
		return ""
	}
	for i := range knownForms {
		k := &knownForms[i]
		for _, f := range k.families {
			if f == rule/1000 && (k.name == nil || k.name.MatchString(s.name)) && k.form.MatchString(s.text) && !sensitive.MatchString(s.text) {
				return k.reason
			}
		}
	}
	return ""
}

var (
	// templatePlace is where a template or a configuration has a value put in:
	// a name, a part of a thing with a name, or whether it is another.
	templatePlace = regexp.MustCompile(`\$\{\s*[A-Za-z][\w-]*(?:\.[A-Za-z]\w*)*(?:\s*(?:[!=<>]=|[<>])\s*(?:\w+|'[\w ]*'|"[\w ]*")(?:\s*(?:&&|\|\|)\s*[A-Za-z][\w.]*\s*(?:[!=<>]=|[<>])\s*(?:\w+|'[\w ]*'|"[\w ]*"))*)?\s*\}|\{\{-?\s*[$.]?[A-Za-z][\w-]*(?:\.[A-Za-z]\w*)*(?:\s*\|\s*[a-z_]+)*\s*-?\}\}`)
	// shellVariable are names that shells fill, by which commands are hidden.
	shellVariable = regexp.MustCompile(`\$\{\s*(?:(?i:ifs)|PATH|HOME|SHELL|PWD|OLDPWD|ENV|PS[1-4]|BASH\w*|USER|HOSTNAME|RANDOM)\b`)
	// shellSign is what else a shell does something with.
	shellSign = regexp.MustCompile("[;|&`<>\\\\]|\\$[({]|\\{\\{|\\]\\s*\\[")
)

// templateOfNames: what templates and configurations put names of values in.
// An attack calls something, or works something out.
func templateOfNames(s subject) string {
	rest := templatePlace.ReplaceAllString(s.text, "x")
	if rest == s.text || rest == "x" && s.place != inBody || shellVariable.MatchString(s.text) || shellSign.MatchString(rest) || sensitive.MatchString(s.text) {
		return ""
	}
	return "a template with names"
}
