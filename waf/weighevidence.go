package waf

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// evidence is a form that an attack has and a text about code seldom: it
// breaks out of the value that it is in, or it names what only attackers ask
// for.
type evidence struct {
	name string
	must []string // in lower case; one of them is in what the expression matches
	form func() *regexp.Regexp
	of   family
	runs bool // also evidence in programs and data structures, where code is at home
}

// family is what evidence, or a rule, is about. Evidence of a command in a text
// says nothing for a rule about scripts that matches there, and the other way
// round.
type family uint8

const (
	anyFamily family = iota
	ofSQL
	ofScripts
	ofCommands
	families
)

// findings are the first evidence of each family in a text; empty: none.
type findings [families]string

// speakingTo is evidence that counts for rules of a family.
func (f *findings) speakingTo(rules family) string {
	for of, name := range f {
		if name != "" && family(of).speaksTo(rules) {
			return name
		}
	}
	return ""
}

// familyOf is the family of a rule that goes with its own evidence alone.
func familyOf(rule int) family {
	switch rule / 1000 {
	case 941:
		return ofScripts
	case 942:
		return ofSQL
	}
	return anyFamily
}

// speaksTo reports whether evidence counts for rules of a family.
func (f family) speaksTo(rules family) bool {
	return f == anyFamily || rules == anyFamily || f == rules
}

// compiled makes a piece of evidence. Expressions are of lower case. They are
// compiled with the first policy that has a second opinion, since they take
// longer than the rest of a start without one.
func compiled(name, must, form string, runs bool) evidence {
	return evidence{name: name, must: strings.Fields(must), form: sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(form) }), runs: runs}
}

// sqlForm is compiled, for what goes on with a statement of SQL.
func sqlForm(name, must, form string, runs bool) evidence {
	return compiled(name, must, form, runs).in(ofSQL)
}

// scriptForm is compiled, for what a browser runs.
func scriptForm(name, must, form string, runs bool) evidence {
	return compiled(name, must, form, runs).in(ofScripts)
}

// commandForm is compiled, for what a shell runs.
func commandForm(name, must, form string, runs bool) evidence {
	return compiled(name, must, form, runs).in(ofCommands)
}

func (e evidence) in(f family) evidence {
	e.of = f
	return e
}

const (
	// A literal of SQL, its end missing where the application's own quote
	// ends it.
	sqlLiteral = `(?:'[^']{0,40}(?:'|$)|"[^"]{0,40}(?:"|$)|-?\d+(?:\.\d+)?|0x[0-9a-f]+|null\b|true\b|false\b)`
	// What follows a list of columns.
	sqlColumn = `(?:null|-?\d+|0x[0-9a-f]+|'[^']*'|"[^"]*"|@@?\w+|[\w.*]+(?:\([^)]*\))?|\(select)`
	// Commands that show that an injection works, or make use of it.
	shellCommand = `(?:cat|id|whoami|uname|pwd|ls|dir|ps|netstat|ifconfig|ipconfig|hostname|env|printenv|wget|curl|nc|ncat|ping|nslookup|dig|sleep|bash|sh|zsh|python[23]?|perl|ruby|php|powershell(?:\.exe)?|cmd(?:\.exe)?|certutil|telnet|rm|chmod|touch|type|net|systeminfo|tail|head|more|less|nl|tac|sort|echo|base64|xxd|reboot|shutdown|kill|busybox|socat|awk|sed|find|which|cp|mv)`
	shellAlone   = `(?:id|whoami|uname|pwd|ls|dir|ps|netstat|ifconfig|ipconfig|hostname|env|printenv|systeminfo|reboot)`
)

// attackForms is all evidence.
var attackForms = []evidence{
	// SQL
	sqlForm("a union of selects", "union", `\bunion\b(?:\s+(?:all|distinct))?[\s(]+select\b\s*\(?\s*(?:(?:all|distinct)\s+)?`+sqlColumn+`\s*(?:,|\bfrom\b|\binto\b|--|#|;|\)|$)`, true),
	sqlForm("a select of another's rows", "except intersect", `\b(?:except|intersect)\s+(?:all\s+)?select\b`, false),
	sqlForm("a condition that is always true", "or and | & having xor where", `(?:\b(?:or|and|xor|having|where)\b|\|\||&&)\s*\(*\s*(?:not\s+)?`+sqlLiteral+`\s*(?:=|<>|!=|<=>|<|>|\blike\b|\brlike\b|\bregexp\b|\bis\b|\bin\b|\b(?:not\s+)?between\b|\bglob\b|\bmatch\b)\s*\(?\s*`+sqlLiteral, true),
	sqlForm("a function in a condition", "or and | & having xor where", `(?:\b(?:or|and|xor|having|where)\b|\|\||&&)\s*\(*\s*(?:not\s+)?[a-z_]\w{1,24}\s*\([^;]{0,120}?\)\s*(?:=|<|>|!=|\b(?:not\s+)?(?:between|like|in|is|rlike|regexp|glob)\b)\s*\(?\s*`+sqlLiteral, false),
	sqlForm("a column in a condition", "'", `'\s*\)*\s*(?:\b(?:or|and|xor)\b|\|\||&&)\s*\(*\s*(?:not\s+)?[\w.]+\s*(?:=|<|>|!=|\br?like\s*['"(]|\br?like\s+char|\bregexp\b|\bis\s+(?:not\s+)?null)`, false),
	sqlForm("a string compared", "'", `^[\w@. ]{0,32}'\s*(?:=|-|\^|&|\*|\+|%|div\b|mod\b|r?like\b|regexp\b)\s*['"\d(]`, false),
	sqlForm("a string ended for a truth", "' \"", `['"]\s*\)*\s*(?:\b(?:or|and|xor)\b|\|\||&&)\s*\(*\s*(?:not\s+)?(?:true|false|null|\d+)\s*\)*\s*(?:--|#|/\*|;|$)|\w['"]\s*(?:[-+*/^&]|\|\||div|mod)\s*['"]\s*$|['"]\s*(?:[-+*/]|\|\|)\s*\(\s*select\b`, false),
	sqlForm("a string ended for a condition", "' \"", `^[^\s'"]{0,32}['"]\)*\s*(?:or|and|xor|having|\|\||&&)\b?.{0,200}(?:=|<|>|\blike\b|\(|--|#|\bis\b|\bin\b|\bbetween\b)`, false),
	sqlForm("a string ended for an operator", "|| &&", `^[^\s'"]{0,32}['"]\)*\s*(?:\|\||&&)\s*[\w'"(]`, false),
	sqlForm("a string ended for a comment", "-- # /*", `^[^\s'"]{0,32}['"]\)*\s*;?\s*(?:--|#|/\*)|\w'\)*\s*;?\s*(?:--[\s+-]*|#)$`, false),
	sqlForm("a string ended for a union", "union order group", `^[^\s'"]{0,32}['"]\)*\s*(?:union|order\s+by|group\s+by|procedure|limit)\b`, false),
	sqlForm("a number of columns tried", "order group", `\b(?:order|group)\s+by\s+\d+(?:\s*,\s*\d+)*\s*(?:--|#|/\*|$)`, false),
	sqlForm("a second statement", ";", `;\s*(?:(?:drop|truncate|alter|create)\s+(?:table|database|schema|view|index|user|login|procedure|function|role)\b|insert\s+into\s|delete\s+from\s|update\s+\S+\s+set\s|exec(?:ute)?\s*\(?\s*(?:xp_|sp_|master|@|')|declare\s+@|waitfor\s|shutdown\b\s*(?:;|--|$)|select\s+(?:pg_sleep|sleep|benchmark|load_file|version|current_|user|database|\*|\d|'|@@|case|if)|copy\s+\S+\s+(?:from|to)\b|begin\s+(?:dbms|declare)|call\s+\w+\()`, false),
	sqlForm("a statement that waits", "sleep benchmark waitfor dbms_ randomblob receive_message", `(?:['"()=,;\d|&]|\b(?:and|or|select|when|then|else|if|xor|by)\b)\s*\(*\s*(?:sleep\s*\(\s*(?:\d|0x|\()|pg_sleep\s*\(|benchmark\s*\(\s*\d|waitfor\s+(?:delay|time)\b|dbms_(?:pipe|lock|session)\.|randomblob\s*\()`, true),
	sqlForm("an error that tells", "extractvalue updatexml exp( xmltype gtid_ json_keys geometrycollection st_latfrom floor(rand convert( cast( ctxsys utl_", `(?:extractvalue|updatexml|gtid_subset|gtid_subtract|json_keys|geometrycollection|multipoint|st_latfromgeohash)\s*\(|exp\(~|xmltype\(|floor\(rand\(|(?:convert|cast)\s*\(.{0,20}\(?\s*select\b|ctxsys\.|utl_(?:http|inaddr)\.`, true),
	sqlForm("tables of tables", "information_schema sysobjects sqlite_master pg_catalog sys. mysql. all_tables pg_shadow msysobjects", `(?:from|join|,)\s*\(?[\s"\x60\[]*(?:information_schema|sysobjects|sqlite_(?:master|schema)|pg_(?:catalog|shadow|user|tables)|sys\.\w+|master\.\.|mysql\.user|all_tables|msysobjects|syscat\.)`, false),
	sqlForm("a select inside a condition", "select", `(?:[=<>,('"|]|\b(?:and|or|not|exists|in|when|then|if|by|select)\b)\s*\(\s*select\b\s*[^\s.)]`, false),
	sqlForm("a function made", "create", `^\s*create\s+(?:or\s+replace\s+)?(?:function|procedure)\s+\w+\s*\(`, false),
	sqlForm("a choice as value", "case iif( elt( make_set(", `\bcase\s+when\b.{1,200}\bthen\b|\b(?:iif|elt|make_set)\s*\(.{1,80}=`, false),
	sqlForm("files of the database", "load_file outfile dumpfile xp_ sp_ lo_import pg_read", `\bload_file\s*\(|\binto\s+(?:outfile|dumpfile)\b|\bxp_(?:cmdshell|dirtree|regread|fileexist)\b|\bsp_(?:oacreate|executesql|password|configure)\b|\blo_import\(|\bpg_(?:read_file|ls_dir)\(`, true),
	// scripts
	scriptForm("a script", "<script", `<script\b(?:[^>]*\b(?:src|href)\s*=|[^>]*>\s*\S|/)`, false),
	scriptForm("a handler of events", "on", `<[a-z!/][^<>]{0,400}?[\s/"'\x60\x00\x0c]on[a-z]{3,24}\s*=\s*["']?\s*[^\s"']|['"\x60]\s*/?\s*on(?:error|load|click|focus\w*|blur|mouse\w+|key\w+|toggle|begin|animation\w+|pointer\w+|start|scroll\w*|submit|change|input)\s*=\s*(?:[^\s"'>]|["']\s*[^\s"'])`, false),
	scriptForm("a handler behind an attribute", "on", `<[a-z][^<>]*(?:"[^"]*"|'[^']*')[^<>]*[\s"'/]on(?:error|load|click|focus\w*|blur|mouse\w+|key\w+|toggle|begin|animation\w+|pointer\w+|start|scroll\w*|submit|change|input)\s*=\s*(?:[^\s"'>]|["']\s*[^\s"'])`, false),
	scriptForm("a scheme that runs", "script:", `(?:j\s*a\s*v\s*a|vb|live)\s*script\s*:(?:[^\s;v]|v[^o]|\s+[^\n]{0,80}[(=\x60]|;\s*[^\s"'>]|void\s*\(?\s*[^0\s(])`, false),
	scriptForm("a document as data", "data:", `(?:^|[^(]["']|[^("'])data:\s*(?:text/html|text/xml|application/xhtml|image/svg\+xml)[^,]{0,60},\s*(?:<|%3c|phn|pd)|data:text/html`, false),
	scriptForm("an element that runs", "<object <embed <base <applet <meta <svg <math srcdoc <link xlink <frame <form", `<(?:object\s|embed|applet|base|frameset)\b|<form\b[^>]{0,80}\baction\s*=\s*["']?\s*(?:https?:)?//|<meta\b[^>]{0,80}http-equiv\s*=\s*["']?\s*(?:refresh|set-cookie)|\bsrcdoc\s*=|<(?:animate|set)\b[^>]{0,200}attributename|xlink:href\s*=\s*["']?\s*(?:data|javascript)`, false),
	scriptForm("a style that runs", "expression( -moz-binding behavior @import", `<style[^>]*>\s*@import\b|:\s*expression\s*\(|-moz-binding|behaviou?r\s*:\s*url`, false),
	scriptForm("a string of a script ended", "alert confirm prompt eval fetch document", `^[^\s'"<>]{0,32}['"\x60\\]?[)}\]]*\s*[-+;*^|&,?]+\s*(?:alert|confirm|prompt|eval|fetch|document|window|top|self)\b|^(?:alert|confirm|prompt|eval)\s*[(\x60]`, false),
	// commands
	commandForm("a command after a separator", "; | & ` $( ${", `(?:[;|\n]|\|\||&&|[^&]&|^&)\s*(?:/\S*/)?`+shellCommand+`(?:\.exe)?\s+(?:-\S+\s+)*(?:\S*(?:/etc/|/proc/|\.\./|passwd|/tmp/|https?://|ftp://|/dev/tcp|c:\\|/bin/)|-[ceinp]+\s|\d{1,3}\.\d)`, false),
	commandForm("a command alone after a separator", "; | & `", `(?:^|[\w'"\d.)>]|\s)\s*(?:[;|&\n]|\|\||&&)\s*(?:/\S*/)?`+shellAlone+`(?:\s+-\w+)*(?:\s+[/~.][\w/.-]*)?\s*(?:$|[;|&#<}\x60])`, false),
	commandForm("a command without blanks", "${ifs $ifs $(<", `[;|&]\s*\w+\$\{?ifs|\$\(\s*<\s*/`, true),
	commandForm("a program after a separator", "/bin/ /sbin/", `(?:[;|&\n]|\$\(|\x60)\s*/(?:usr/)?(?:local/)?s?bin/\w+`, false),
	commandForm("a command's output", "$( `", `\$\(\s*(?:/\S*/)?`+shellCommand+`\b[^)]{0,200}\)|\x60\s*(?:/\S*/)?`+shellCommand+`(?:\s[^\x60]{0,200})?\x60`, false),
	commandForm("a shell connected", "/dev/tcp /dev/udp -e -i spawn mkfifo nc", `/dev/(?:tcp|udp)/|\bn(?:c|cat)(?:\.\w+)?\s+(?:-\w+\s+)*-e\b|\bbash\s+-i\b|\bpty\.spawn\(|\|\s*/bin/(?:ba|da|z)?sh\s+-i\b|\|\s*n(?:c|cat)\s+\d{1,3}(?:\.\d{1,3}){3}\s`, true),
	commandForm("a script piped to a shell", "base64 curl wget", `^\S{0,24}\s*[;|&]\s*.{0,200}\|\s*(?:ba|z|da)?sh\b|base64\s+-d\s*\|`, false),
	commandForm("Shellshock", "() {", `\(\)\s*\{`+`[^}]{0,40};\s*\}\s*;`, true),
	// files
	compiled("a path that climbs", "../ ..\\ ..;/", `^\s*\S{0,64}?(?:\.\.;?[/\\]+){2,}|(?:\.\.;?[/\\]+)+(?:etc|proc|windows|winnt|boot\.ini|root|home|var/log|wp-config|web\.config|\.env)`, true),
	compiled("a file of the system alone", "/etc/ /proc/ win.ini boot.ini file: c:", `^\s*(?:file:/*)?/*(?:[a-z]:[/\\]+)?/*(?:etc/(?:passwd|shadow|group|hosts|issue)|proc/self|proc/\d|windows/(?:win\.ini|system32)|windows\\(?:win\.ini|system32)|boot\.ini)\S*\s*$`, true),
	compiled("a wrapper of streams", "://", `^\s*(?:php|expect|phar|zip|zlib|glob|ogg|gopher|dict|jar|netdoc|ldap|file)://`, true),
	// objects, templates, languages
	compiled("a lookup of Log4j", "${ $%7b", `\$\{[^}]{0,60}(?:jndi|\$\{|lower:|upper:|env:|sys:|::-|date:|base64:)`, true),
	compiled("an expression worked out", "{{ ${ #{ <% @( *{ [[", `(?:\{\{|\$\{|#\{|<%=|@\(|\*\{|\[\[)\s*['"]?\d+['"]?\s*[*+]\s*['"]?\d+['"]?\s*(?:\}|%>|\)|\])`, true),
	compiled("inner parts of a template engine", "__ _self getclass freemarker popen lipsum cycler constructor forname", `__(?:class|mro|subclasses|globals|builtins|import|init|base|bases)__|\{\{[^}]{0,80}(?:_self|lipsum|cycler|joiner|config\.|popen|constructor)|\.getclass\(\)|freemarker\.template|class\.forname\(`, false),
	compiled("a runtime asked for", "runtime processbuilder memberaccess scriptengine", `getruntime\s*\(|new\s+(?:java\.lang\.)?processbuilder|#?_memberaccess|t\(java\.lang|scriptenginemanager|java\.lang\.runtime`, false),
	compiled("class loader", "classloader", `\bclass\.(?:module\.)?classloader`, true),
	compiled("PHP that runs commands", "system exec passthru popen eval assert", `(?:<\?.{0,200}|^\S{0,24})\b(?:system|exec|shell_exec|passthru|popen|proc_open|eval|assert)\s*\(\s*(?:\$_|['"]|base64|gzinflate|str_rot13)|<\?(?:php|=).{0,200}(?:\$_(?:get|post|request|cookie|server)\b.{0,40}\(|(?:system|exec|passthru|phpinfo|shell_exec|eval)\s*\()`, false),
	compiled("a function that the request names", "$_", `\$\w+\s*\(\s*\$_(?:get|post|request|cookie)\b`, false),
	compiled("a page of Java or .NET", "<%", `^\s*<%@\s*(?:page|import|webhandler|language)\b|<%[^%]{0,400}(?:getruntime|processbuilder|\beval\s*\(|request(?:\.item)?\s*[\[(])`, true),
	compiled("PHP from the start", "<?", `^\s*<\?(?:php\b|=|xml\s+:)`, false),
	compiled("modules of Node", "child_process _$$nd process.", `require\s*\(\s*['"]child_process|_\$\$nd_func|process\.(?:binding|mainmodule)`, false),
	compiled("serialized objects", "o:", `(?:^|[;{\s"])[oc]:\d+:"[^"]{1,80}":\d+:`, true),
	compiled("serialized Java", "ro0ab aced0005 \ufffd", `^\s*(?:ro0ab|aced0005)|^\x{fffd}{2}\x{5}`, true),
	compiled("prototypes", "__proto__ prototype", `__proto__|constructor[.\[]+["']?prototype`, true),
	compiled("operators of MongoDB", "$", `["'\[]\$(?:ne|where|regex|nin|exists|not|or|func|expr|function|eq)["'\]]\s*[:=]?|["']\$(?:gt|gte|lt|lte)["']\s*:\s*["'{\[n]`, true),
	compiled("directory filters ended", ")(", `\*\)\s*\(\s*[|&!]?\s*\(?\w+=|\)\(\|?\(?(?:uid|cn|objectclass|userpassword)=`, false),
	compiled("entities from elsewhere", "<!entity <!doctype", `<!entity\s|<!doctype\s+\w+\s*(?:\[|\w+\s+["'](?:file|ftp|http)s?:)`, true),
	scriptForm("a script's element ended", "</script", `(?:^|[:\[,]\s*")[^<>"]{0,80}</script\s*>`, true),
	compiled("a request split", "http/1.", `^\S{0,200} http/1\.[01]\r?\n`, true),
	compiled("a header added", "\n \r", `^(?:[^\s-]\S{0,39})?[\r\n]+\s*(?:set-cookie|location|content-(?:type|length)|http/1)\b`, true),
	compiled("metadata of a cloud", "169.254 metadata", `//(?:169\.254\.169\.254|metadata\.google|100\.100\.100\.200|\[?fd00:ec2)`, true),
}

// quotedIn reports whether a form of SQL is only quoted in a text: prose
// stands before and behind it. An injection begins with the value, or takes
// over its rest.
func (e *evidence) quotedIn(text string) bool {
	if e.of != ofSQL {
		return false
	}
	for _, at := range e.form().FindAllStringIndex(text, 8) {
		if at[0] < longDocument || !isProse(text[at[1]:]) {
			return false
		}
	}
	return true
}

// tells reports whether a form is evidence in a kind of writing at all. SQL in
// a program is code, but where one line begins with something else it goes on
// with another's statement.
func (e *evidence) tells(text string, k writing) bool {
	switch {
	case e.runs:
		return true
	case k == program:
		return e.of == ofSQL && !statement.MatchString(text) && !strings.Contains(text, "\n")
	}
	return k != data
}

// hostileIn says what evidence of an attack is in a text, in any of its
// readings.
func hostileIn(text string, k writing) (found findings) {
	for _, reading := range readings(text, k != markup) {
		for i := range attackForms {
			e := &attackForms[i]
			if found[e.of] != "" || !e.tells(text, k) || !containsOne(reading, e.must) {
				continue
			}
			if e.form().MatchString(reading) && (k != prose && k != markup || !e.quotedIn(reading)) {
				found[e.of] = e.name
			}
		}
	}
	return found
}

func containsOne(text string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(text, p) {
			return true
		}
	}
	return len(parts) == 0
}

var (
	sqlVersioned = regexp.MustCompile(`/\*!\d{0,6}|\*/`)
	sqlComment   = regexp.MustCompile(`/\*[^!][^*]{0,200}\*/|/\*\*/`)
	shellSpace   = regexp.MustCompile(`\$\{?ifs\}?(?:\$\d)?|\$@|\\|\^`)
	splitWord    = regexp.MustCompile(`\w(?:'\w*'|"\w*")\w`)
	manySpaces   = regexp.MustCompile(`[\s\x0b\xa0]+`)
)

var insideTag = regexp.MustCompile(`<[a-z][^<>]*>`)

// readings are what different readers could take a text for: as it is,
// decoded again, with comments of SQL as spaces, with the ways of shells to
// split words undone. What is escaped in HTML is undone too, unless the text
// is HTML itself, where it is what the writer shows.
func readings(text string, unescape bool) []string {
	first := lower(strings.ReplaceAll(text, "\x00", ""))
	list := []string{first}
	add := func(s string) {
		for _, have := range list {
			if have == s {
				return
			}
		}
		list = append(list, s)
	}
	decoded := first
	if strings.Contains(decoded, "%") {
		if s, err := url.QueryUnescape(strings.ReplaceAll(decoded, "+", "%2B")); err == nil {
			decoded = lower(s)
		}
	}
	if unescape {
		decoded = lower(html.UnescapeString(decoded))
	} else { // attributes are undone by browsers, too
		decoded = insideTag.ReplaceAllStringFunc(decoded, func(tag string) string { return lower(html.UnescapeString(tag)) })
	}
	add(decoded)
	if strings.Contains(decoded, "/*") {
		add(manySpaces.ReplaceAllString(sqlVersioned.ReplaceAllString(sqlComment.ReplaceAllString(decoded, " "), " "), " "))
	}
	if strings.ContainsAny(decoded, ";|&") && splitWord.MatchString(decoded) {
		add(strings.NewReplacer("'", "", `"`, "").Replace(decoded))
	}
	if strings.ContainsAny(decoded, `\^$`) {
		add(shellSpace.ReplaceAllStringFunc(decoded, func(s string) string {
			if strings.Contains(s, "ifs") {
				return " "
			}
			return ""
		}))
	}
	return list
}
