package waf

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"gatehouse/config"
)

const (
	maxLogged  = 512     // bytes of a text in the log
	maxMatches = 64      // rules logged of one message
	maxDetails = 4 << 10 // bytes of what one rule has found; six times as much where all is escaped
)

// line is a line of the WAF log: one for each rule that matched, and one for
// what became of the message. The names are those of Azure's firewall log
// (ApplicationGatewayFirewallLog); what it does not have is in lower case at
// the end.
type line struct {
	TimeStamp       string       `json:"timeStamp"`
	OperationName   string       `json:"operationName"`
	Category        string       `json:"category"`
	TransactionID   string       `json:"transactionId"`
	ClientIP        string       `json:"clientIp"`
	ClientPort      string       `json:"clientPort,omitempty"`
	Hostname        string       `json:"hostname"`
	RequestURI      string       `json:"requestUri"`
	Method          string       `json:"method"`
	PolicyID        string       `json:"policyId"`
	PolicyMode      string       `json:"policyMode"`
	RuleSetType     string       `json:"ruleSetType,omitempty"`
	RuleSetVersion  string       `json:"ruleSetVersion,omitempty"`
	RuleID          string       `json:"ruleId,omitempty"`
	RuleGroup       string       `json:"ruleGroup,omitempty"`
	Message         string       `json:"message,omitempty"`
	Action          string       `json:"action"`
	Site            string       `json:"site"`
	Details         *lineDetails `json:"details,omitempty"`
	Severity        string       `json:"severity,omitempty"`
	Doubt           string       `json:"doubt,omitempty"` // why the match adds nothing to the score
	AnomalyScore    *int         `json:"anomalyScore,omitempty"`
	Outcome         string       `json:"outcome,omitempty"`
	Response        bool         `json:"response,omitempty"`
	PartialBody     bool         `json:"partialBody,omitempty"`
	EvaluationMicro int64        `json:"evaluationMicroseconds,omitempty"`
}

// lineDetails says what a rule has found.
type lineDetails struct {
	Message string      `json:"message,omitempty"`
	Data    string      `json:"data,omitempty"`
	Matches []lineMatch `json:"matches,omitempty"`
}

type lineMatch struct {
	MatchVariableName  string `json:"matchVariableName"`
	MatchVariableValue string `json:"matchVariableValue"`
}

// AppendLines appends the lines of an event to dst, with what the policy hides
// in the log replaced by asterisks.
func (e *Event) AppendLines(dst []byte, scrub *config.LogScrubbing) []byte {
	s := newScrubber(scrub)
	for i := range e.Hits {
		h := &e.Hits[i]
		l := e.line(s)
		l.RuleID, l.RuleGroup, l.Message, l.Action = h.Rule, "Custom", "custom rule "+h.Rule, customAction(h.Action, e)
		l.Details = &lineDetails{}
		for _, why := range h.Why {
			l.Details.Matches = append(l.Details.Matches, s.hit(why))
		}
		dst = appendLine(dst, l)
	}
	for i := range e.Matches[:min(len(e.Matches), maxMatches)] {
		dst = appendLine(dst, e.matchLine(&e.Matches[i], s))
	}
	l := e.line(s)
	l.Outcome, l.Message, l.Action = e.Outcome.String(), bounded(e.Reason), e.action()
	l.AnomalyScore = &e.Score
	l.PartialBody, l.EvaluationMicro = e.Partial, e.Duration.Microseconds()
	if e.RuleID != 0 {
		l.RuleID = strconv.Itoa(e.RuleID)
	}
	return appendLine(dst, l)
}

// line is what every line of an event says.
func (e *Event) line(s *scrubber) *line {
	r := e.Request
	return &line{
		TimeStamp: e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), OperationName: "ApplicationGatewayFirewall", Category: "ApplicationGatewayFirewallLog",
		TransactionID: e.Trace, ClientIP: s.client(r.Client.Addr().String()), ClientPort: strconv.Itoa(int(r.Client.Port())),
		Hostname: bounded(r.Host), RequestURI: bounded(s.target(r.Target)), Method: bounded(r.Method),
		PolicyID: e.Policy, PolicyMode: modeName(e.Mode), Site: "Global", Response: e.Response,
	}
}

// matchLine is the line of a managed rule that matched.
func (e *Event) matchLine(m *Match, s *scrubber) *line {
	l := e.line(s)
	l.RuleSetType, l.RuleSetVersion = "OWASP CRS", crsVersion
	l.RuleID, l.RuleGroup, l.Message, l.Severity, l.Action = strconv.Itoa(m.RuleID), m.Group, bounded(m.Message), m.Severity, "Matched"
	if m.RuleID == e.RuleID {
		l.Action = e.action()
	}
	l.Details = &lineDetails{}
	hidden, room := false, maxDetails
	for _, v := range m.Values[:min(len(m.Values), 16)] {
		value, hide := s.value(v)
		hidden = hidden || hide
		found := lineMatch{bounded(v.Variable), bounded(value)}
		if room -= len(found.MatchVariableName) + len(found.MatchVariableValue); room >= 0 {
			l.Details.Matches = append(l.Details.Matches, found)
		}
	}
	if !hidden {
		l.Details.Data = bounded(m.Data) // it repeats what was found
	}
	return l
}

// action is the outcome in Azure's words.
func (e *Event) action() string {
	switch e.Outcome {
	case Blocked, RateLimited, Refused:
		if e.Mode == config.WAFDetection {
			return "Detected"
		}
		return "Blocked"
	case Detected:
		return "Detected"
	case Challenged:
		return "JSChallengeIssued"
	case Failed:
		return "Failed"
	case Matched:
		return "Matched"
	}
	return "Allowed"
}

func customAction(action string, e *Event) string {
	if action == "log" {
		return "Matched"
	}
	return e.action()
}

// modeName is a mode in Azure's words.
func modeName(m config.WAFMode) string {
	if m == config.WAFDetection {
		return "Detection"
	}
	return "Prevention"
}

func appendLine(dst []byte, l *line) []byte {
	b := bytes.NewBuffer(dst)
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l); err != nil {
		return dst // it has only texts and numbers
	}
	return b.Bytes()
}

// bounded is the beginning of a text, as UTF-8.
func bounded(text string) string {
	if len(text) > maxLogged {
		text = text[:maxLogged] + "..."
	}
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	return text
}
