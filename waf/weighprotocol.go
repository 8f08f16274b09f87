package waf

import (
	"mime"
	"regexp"
	"slices"
	"strings"

	"gatehouse/waf/variables"
)

// protocolDoubt judges the rules about the form of requests; known is set
// where there is nothing more to ask.
func (v *view) protocolDoubt(m *Match) (reason string, known bool) {
	switch m.RuleID {
	case 920120:
		return v.fileNames(), true
	case 922120, 922130:
		return v.partHeaders(m.RuleID), true
	case 920340, 920640:
		return v.noMediaType(), true
	case 920420:
		return v.mediaType(), true
	case 920450:
		return v.methodOverride(), true
	case 920470:
		return v.mediaTypeParameters(), true
	case 920480:
		return v.charset(), true
	case 930130, 920440:
		return v.storedPath(), true
	}
	return "", m.RuleID/1000 == 920
}

// mediaTypeForm is a media type of one of the registered kinds.
var mediaTypeForm = regexp.MustCompile(`^(?:application|text|image|audio|video|font|model|multipart|message|chemical)/[a-z0-9][a-z0-9.+_-]{0,126}$`)

// mediaType: a list of media types is never complete, and bodies of kinds that
// are not known are read for what they are.
func (v *view) mediaType() string {
	contentType, _ := v.req.Header("content-type")
	if !v.weigher.anyType || !mediaTypeForm.MatchString(mediaTypeOf(contentType)) {
		return ""
	}
	return "a media type that is well-formed"
}

// noMediaType: programs that send documents to programs say nothing of them. A
// form without its media type may be an attempt to have it read by nobody here.
func (v *view) noMediaType() string {
	if !v.weigher.anyType || v.req.Body.Processor != variables.None || v.req.Body.Raw == "" {
		return ""
	}
	if _, said := v.req.Header("content-type"); said || !isData(v.req.Body.Raw) && !strings.HasPrefix(v.req.Body.Raw, "<?xml ") {
		return ""
	}
	return "a document of JSON or XML"
}

// methodOverride: clients of REST say PUT, PATCH or DELETE in a field where
// they can only POST, or say there what they do. The profile allows these
// methods anyway.
func (v *view) methodOverride() string {
	if !v.weigher.anyOverride {
		return ""
	}
	for _, h := range v.req.Headers {
		name := lower(h.Name)
		if name == "x-http-method-override" || name == "x-method-override" || name == "x-http-method" {
			if h.Value != v.req.Method && (v.req.Method != "POST" || h.Value != "PUT" && h.Value != "PATCH" && h.Value != "DELETE" && h.Value != "MERGE") {
				return ""
			}
		} else if listed(balancedHeaders, name) {
			return ""
		}
	}
	return "a method that is allowed, in a field"
}

// oddFileName has what no file is called and what ends the field it is in, or a
// name that some servers take for one that ends before the semicolon.
var oddFileName = regexp.MustCompile("[\"<>|=\\x00-\\x1f\\x7f`$]|\\.\\.|\\.\\w{1,10}\\s*;|'[^'\\pL\\pN]*$")

func (v *view) hasOddFileName() bool {
	return slices.ContainsFunc(v.req.Body.Files, func(f string) bool { return strings.Count(f, "'") > 2 || oddFileName.MatchString(f) })
}

// fileNames: people's names have apostrophes, and some programs send the whole
// path of a file.
func (v *view) fileNames() string {
	if len(v.req.Body.Files) == 0 || v.hasOddFileName() {
		return ""
	}
	return "a file name with an apostrophe, a path or letters of any language"
}

// partHeader is a field of a part, its name first. Encodings that change
// nothing may be said: programs on phones do.
var partHeader = regexp.MustCompile(`(?i)^(?:content-(?:disposition|type|id|length|description|language|location)|x-[\w-]+|content-transfer-encoding:\s*(?:binary|8bit|7bit)\s*$)(?:$|:[^\x00-\x1f]*$)`)

// partHeaders: names of fields have colons (q118:5_answer), and 922130 takes
// what is before them for the name of a header.
func (v *view) partHeaders(rule int) string {
	for _, h := range v.req.Body.PartHeaders {
		if !partHeader.MatchString(h.Value) {
			return ""
		}
	}
	if rule == 922130 && v.hasOddFileName() {
		return ""
	}
	return "well-known fields of parts"
}

// plainParameter is a value that can mean only one thing.
var plainParameter = regexp.MustCompile(`^[\w.:/+ -]{0,80}$`)

// mediaTypeParameters: what RFC 9110 lets a media type have, each parameter
// once and with a plain value.
func (v *view) mediaTypeParameters() string {
	contentType, _ := v.req.Header("content-type")
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || strings.HasPrefix(kind, "multipart/") || strings.Count(strings.ToLower(contentType), "charset") > 1 {
		return ""
	}
	for _, p := range params {
		if !plainParameter.MatchString(p) {
			return ""
		}
	}
	return "a media type with parameters of its own"
}

// charsets are older encodings in which every byte of ASCII, after a byte
// that is not, may be part of a letter, but no attack can be written without
// ASCII: unlike UTF-7, UTF-16 and EBCDIC.
var charsets = regexp.MustCompile(`(?i)^(shift_jis|sjis|windows-31j|euc-jp|euc-kr|ks_c_5601-1987|gb2312|gbk|gb18030|big5|windows-125\d|windows-874|koi8-[ru]|iso-8859-\d+|us-ascii|tis-620)$`)

// charset: forms in the older encodings of Asia and Europe.
func (v *view) charset() string {
	contentType, _ := v.req.Header("content-type")
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || !charsets.MatchString(params["charset"]) {
		return ""
	}
	return "an older encoding that keeps ASCII"
}

var (
	// repository is a Git repository by its name, not the directory of one.
	repository = regexp.MustCompile(`^/(?:[\w.~-]+/)*[\w.-]*\w\.git/(?:info/(?:refs|lfs)|git-(?:upload|receive)-pack|HEAD$|objects/)`)
	// browsed is a file in the pages or the API of a forge or an object
	// store: below the name of a project and a word for showing it.
	browsed = regexp.MustCompile(`^/(?:[^/]+/){2,}(?:-/)?(?:blob|raw|blame|tree|contents|commits|edit)/`)
)

// secretSegment is a directory that no forge has files from, and a hidden file
// or one of a repository behind a part that is blank.
var secretSegment = regexp.MustCompile(`(?i)/\.(?:git|svn|hg|aws|ssh|gnupg|kube)/|/\s+/|\s[^/]*/\.`)

// storedName is a file that no server runs.
var storedName = regexp.MustCompile(`(?i)[^/.]\.(?:sh|sql|bak|backup|log|ini|conf|cfg|old|db|dat|key|pem|csv|inc|yml|yaml)(?:\.(?:gz|bz2|xz|zst|zip))?$`)

// runFrom are directories of programs, and hidden files, which servers take for
// their configuration (.user.ini).
var runFrom = regexp.MustCompile(`(?i)/\.|/cgi(?:-bin|-sys)?/`)

// storedPath: a forge serves names of files that must not lie open on a web
// server.
func (v *view) storedPath() string {
	switch path := v.req.Path; {
	case strings.Contains(path, ".."), secretSegment.MatchString(path):
		return ""
	case v.req.Method == "PUT" && storedName.MatchString(path) && !runFrom.MatchString(path):
		return "a file that is stored"
	case repository.MatchString(path):
		return "a Git repository by its name"
	case browsed.MatchString(path):
		return "a file in a forge"
	case strings.Contains(path, " "):
		return "a path with spaces, of an object store"
	}
	return ""
}
