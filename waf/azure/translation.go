package azure

import (
	"fmt"
	"strconv"
)

// translation is what stands for a rule.
type translation struct {
	ids   []int
	note  string
	level int // paranoia level of the rule here, where it may differ
}

// translate finds what stands for a rule of any set. Most rules have the same
// identifier here.
func translate(id string) translation {
	if t, ok := translations[id]; ok {
		return t
	}
	n, err := strconv.Atoi(id)
	if err != nil {
		return translation{}
	}
	return translation{ids: []int{n}}
}

// notice is how a rule differs from what stands for it.
func (t translation) notice(r Rule) string {
	if t.level != 0 && t.level != r.Paranoia {
		return fmt.Sprintf("of paranoia level %d in CRS 4", t.level)
	}
	return t.note
}

const (
	unixCommands    = "rewritten in CRS 4 as several rules by length and evasion; all that search for Unix commands"
	windowsCommands = "rewritten in CRS 4 as rules for Windows commands"
	ownPatch        = "a rule of our own, from what is public about the vulnerability"
	ownShell        = "a rule of our own, from what is public about such shells"
	sameAs          = "our rule for the same vulnerability in the default rule sets: "
	replaced        = "Microsoft's variant of the rule is not published; this is the original"
	insteadOfList   = "removed in CRS 4 as noise; scanners are told by their name in 913100"
	botClass        = "not a rule of text: bots are judged by botRules, as a class"
	floodRule       = "not a rule of text: use custom rules of type rateLimit"
	notPublic       = "none: what is public does not suffice for a rule that would be honest"
	brotli          = "none: a guess at bots from the encodings that a browser accepts"
)

// translations are the rules that have another identifier here, or none, or
// the same with a difference.
var translations = map[string]translation{
	"200004": {note: "none of its own: multipart bodies are read strictly, and one with an unmatched boundary is refused by 200003"},

	"800100": {ids: []int{944150, 944151, 944152}, note: "Log4Shell by the rules of CRS 4, of levels 1, 2 and 4"},
	"800110": {ids: []int{99005006}, note: sameAs + "99005006"},
	"800111": {ids: []int{99001014}, note: sameAs + "99001014"},
	"800112": {ids: []int{99001015, 944260}, note: sameAs + "99001015; also 944260 (level 2)"},
	"800113": {ids: []int{99001016}, note: sameAs + "99001016"},
	"800114": {ids: []int{99001017}, note: sameAs + "99001017"},
	"800115": {ids: []int{99001018}, note: sameAs + "99001018"},

	"913101": {note: insteadOfList},
	"913102": {note: insteadOfList},
	"913110": {note: insteadOfList},
	"913120": {note: insteadOfList},
	"920220": {ids: []int{920220}, note: "removed in CRS 4; a rule of our own"},
	"920341": {ids: []int{920340}, note: "merged into 920340 in CRS 4"},
	"920300": {ids: []int{920300}, level: 3},
	"920240": {ids: []int{920240}, level: 2},
	"920420": {ids: []int{920420}, level: 1},
	"920250": {ids: []int{920250}, note: "only where UTF-8 is validated (validateUTF8)"},
	"931100": {ids: []int{931100}, level: 1},
	"932100": {ids: []int{932230, 932235, 932231, 932236}, note: unixCommands},
	"932105": {ids: []int{932230, 932235, 932231, 932236}, note: unixCommands},
	"932106": {ids: []int{932232, 932237, 932238}, note: unixCommands},
	"932150": {ids: []int{932250, 932260, 932239}, note: unixCommands},
	"932110": {ids: []int{932370, 932371}, note: windowsCommands},
	"932115": {ids: []int{932370, 932380, 932371}, note: windowsCommands},
	"941120": {ids: []int{941120}, level: 1},
	"942110": {ids: []int{942330, 942370, 942490}, note: "removed in CRS 4: single quotes are ordinary; these search for probes, at levels 2 and 3"},
	"944240": {ids: []int{944240}, note: "without Log4Shell, which has rules of its own in CRS 4 (944150 to 944152)"},

	"99001001": {ids: []int{99001001}, note: ownPatch},
	"99001002": {ids: []int{99001002}, note: ownPatch},
	"99001003": {ids: []int{99001003}, note: ownPatch},
	"99001004": {note: notPublic},
	"99001005": {note: notPublic},
	"99001006": {ids: []int{99001006}, note: ownPatch},
	"99001007": {note: notPublic},
	"99001008": {ids: []int{99001008}, note: ownPatch},
	"99001009": {ids: []int{99001009}, note: ownPatch},
	"99001010": {ids: []int{99001010}, note: ownPatch},
	"99001011": {ids: []int{99001011}, note: ownPatch},
	"99001012": {ids: []int{99001012}, note: ownPatch + "; the type that is deserialized is encrypted, so it judges the upload before it"},
	"99001013": {ids: []int{99001013}, note: ownPatch},
	"99001014": {ids: []int{99001014}, note: ownPatch},
	"99001015": {ids: []int{99001015, 944260}, note: ownPatch + "; also 944260 (level 2)"},
	"99001016": {ids: []int{99001016}, note: ownPatch},
	"99001017": {ids: []int{99001017}, note: ownPatch},
	"99001018": {ids: []int{99001018}, note: ownPatch},

	"99005002": {ids: []int{99005002}, note: ownShell},
	"99005003": {ids: []int{99005003}, note: ownShell + "; contents of uploaded files are not seen"},
	"99005004": {ids: []int{99005004}, note: ownShell + "; contents of uploaded files are not seen"},
	"99005005": {note: "none for requests; the answers of known shells are told by 955100 to 955400, where responses are inspected"},
	"99005006": {ids: []int{99005006}, note: ownShell},

	"99030001": {ids: []int{99030001, 930110}, note: "a rule of our own, beside those of CRS"},
	"99030002": {ids: []int{99030002, 930110}, note: "a rule of our own, beside those of CRS"},
	"99030003": {ids: []int{99030003}, note: "a rule of our own, after the title: dots and backslashes encoded in the path, and what is encoded twice"},
	"99030004": {note: brotli},
	"99030005": {note: brotli},
	"99030006": {ids: []int{99030006}, note: "a rule of our own, after the title: characters that no file name has"},

	"99031001": {ids: []int{942330, 942370, 942490}, note: "variant of 942110, which CRS 4 has no more; these search for probes, at levels 2 and 3"},
	"99031002": {ids: []int{942440}, note: replaced},
	"99031003": {ids: []int{942150, 942151}, note: replaced},
	"99031004": {ids: []int{942260}, note: replaced},
	"99031005": {ids: []int{942430}, note: replaced},
	"99031006": {ids: []int{942340}, note: replaced},
	"99032001": {ids: []int{941120}, note: replaced},
	"99032002": {ids: []int{931130}, note: replaced},

	"Bot100100": {note: "none: needs a feed of addresses; use a custom rule with ipMatch"},
	"Bot100200": {note: botClass},
	"Bot100300": {note: "none: needs a feed of addresses; use a custom rule with ipMatch"},
	"Bot200100": {note: botClass},
	"Bot200200": {note: botClass},
	"Bot200300": {note: botClass},
	"Bot200400": {note: botClass},
	"Bot200500": {note: botClass},
	"Bot200600": {note: botClass},
	"Bot200700": {note: botClass},
	"Bot300100": {note: botClass},
	"Bot300200": {note: botClass},
	"Bot300300": {note: botClass},
	"Bot300400": {note: botClass},
	"Bot300500": {note: botClass},
	"Bot300600": {note: "none: needs a feed of addresses; use a custom rule with ipMatch"},
	"Bot300700": {note: botClass},

	"500100": {note: floodRule},
	"501100": {note: floodRule},
}
