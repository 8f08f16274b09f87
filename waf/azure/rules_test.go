package azure

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
)

// request is one line of method and target, fields, and a body after an
// empty line, with line feeds.
type request string

const form = "Content-Type: application/x-www-form-urlencoded\n"

var examples = []struct {
	id     int
	attack []request
	benign []request
}{
	{920220, []request{"GET /?a=%zz", "GET /100%"}, []request{"GET /?a=%20b", "GET /a"}},
	{99001001, []request{"GET /tmui/login.jsp/..;/tmui/locallb/workspace/fileRead.jsp?fileName=/etc/passwd", "GET /tmui/login.jsp/%2e%2e%3B/x", "GET /hsqldb;"},
		[]request{"GET /tmui/login.jsp?next=..;", "GET /hsqldb"}},
	{99001002, []request{"GET /vpn/../vpns/portal/scripts/newbm.pl", "POST /vpns/portal/scripts/newbm.pl\nNSC_USER: ../../../netscaler/portal/templates/x", "GET /vpn/%2e%2e/vpns/cfg/smb.conf"},
		[]request{"GET /vpn/index.html\nNSC_USER: ann", "GET /a?b=/vpn/../"}},
	{99001003, []request{`POST /rest/tinymce/1/macro/preview` + "\nContent-Type: application/json\n\n" + `{"macro":{"name":"widget","params":{"url":"https://v.example/1","_template":"file:///etc/passwd"}}}`,
		`POST /wiki/rest/tinymce/1/macro/preview` + "\nContent-Type: application/json\n\n" + `{"macro":{"params":{"_template":"../web.xml"}}}`},
		[]request{`POST /rest/tinymce/1/macro/preview` + "\nContent-Type: application/json\n\n" + `{"macro":{"params":{"_template":"com/atlassian/confluence/extra/widgetconnector/templates/youtube.vm"}}}`,
			`POST /rest/other` + "\nContent-Type: application/json\n\n" + `{"_template":"file:///x"}`}},
	{99001006, []request{"GET /dana-na/../dana/html5acc/guacamole/../../../../../../etc/passwd?/dana/html5acc/guacamole/"}, []request{"GET /dana-na/auth/url_default/welcome.cgi?x=../dana/html5acc/guacamole/"}},
	{99001008, []request{"GET /remote/fgt_lang?lang=/../../../..//////////dev/cmdb/sslvpn_websession"}, []request{"GET /remote/fgt_lang?lang=en", "GET /x?lang=../a"}},
	{99001009, []request{"POST /upload.action\nContent-Type: %{(#_='multipart/form-data').(#dm=@ognl.OgnlContext@DEFAULT_MEMBER_ACCESS)}", "POST /u\nContent-Type: ${#context}"},
		[]request{"POST /u\n" + form + "\na=%{(#x)}", "POST /u\nContent-Type: multipart/form-data; boundary={(#"}},
	{99001010, []request{"GET /?redirectUri=%25%7B(%23dm%3D%40ognl.OgnlContext%40DEFAULT_MEMBER_ACCESS)%7D", "POST /\n" + form + "\nname=%25%7B%23context%5B1%5D%7D"},
		[]request{"GET /?q=%25%7Bcount%7D+items", "GET /?q=%24%7Bname%7D+%23tag", "GET /?mail=a%40b.example"}},
	{99001011, []request{"POST /console/images/%252E%252E%252Fconsole.portal", "GET /console/css/%252e%252e%252fconsolejndi.portal?x=1"}, []request{"GET /console/console.portal", "GET /console/images/a.gif?r=../x.portal"}},
	{99001012, []request{"POST /Telerik.Web.UI.WebResource.axd?type=rau\nContent-Type: multipart/form-data; boundary=b\n\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.DLL\"\r\n\r\nMZ\r\n--b--\r\n"},
		[]request{"POST /Telerik.Web.UI.WebResource.axd?type=rau\nContent-Type: multipart/form-data; boundary=b\n\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\nx\r\n--b--\r\n"}},
	{99001013, []request{"POST /_layouts/15/Picker.aspx?PickerDialogType=x\n" + form + "\nctl00%24PlaceHolderDialogBodySection%24ctl05%24hiddenSpanData=__bpe82c135009700370047005600d600e200440016004700160"},
		[]request{"POST /_layouts/15/Picker.aspx\n" + form + "\nctl00%24hiddenSpanData=__bk8400", "POST /x\n" + form + "\nhiddenSpanData=35009700370047005600d600e200"}},
	{99001014, []request{"POST /functionRouter\nspring.cloud.function.routing-expression: T(java.lang.Runtime).getRuntime().exec(\"id\")"}, []request{"POST /functionRouter\nspring.cloud.function.routing-expression: headers.target"}},
	{99001015, []request{"POST /\n" + form + "\nclass.module.classLoader.resources.context.parent.pipeline.first.suffix=.jsp", "GET /?user.class%5Bmodule%5D.classLoader.x=1", "GET /?class%5B'module'%5D%5B'classLoader'%5D=1", "GET /?class.protectionDomain=1"},
		[]request{"GET /?class.name=5b&subclass.moduleName=x", "GET /?q=class.module.classLoader"}},
	{99001016, []request{"POST /actuator/gateway/routes/x\nContent-Type: application/json\n\n" + `{"filters":[{"name":"AddResponseHeader","args":{"name":"R","value":"#{new String()}"}}]}`},
		[]request{"POST /actuator/gateway/routes/x\nContent-Type: application/json\n\n" + `{"filters":[{"args":{"value":"1"}}]}`, "POST /x\n" + form + "\na=#{b}"}},
	{99001017, []request{"POST /upload.action?uploadFileName=../../shell.jsp\nContent-Type: multipart/form-data; boundary=b\n\n--b--\r\n",
		"POST /upload.action\nContent-Type: multipart/form-data; boundary=b\n\n--b\r\nContent-Disposition: form-data; name=\"UploadFileName\"\r\n\r\n..\\..\\a.jsp\r\n--b--\r\n"},
		[]request{"POST /upload.action?uploadFileName=report.pdf\nContent-Type: multipart/form-data; boundary=b\n\n--b--\r\n", "GET /?fileName=../a"}},
	{99001018, []request{"POST /\nNext-Action: x\nContent-Type: multipart/form-data; boundary=b\n\n--b\r\nContent-Disposition: form-data; name=\"0\"\r\n\r\n" + `{"then":"$1:__proto__:then","status":"resolved_model"}` + "\r\n--b--\r\n",
		"POST /\nNext-Action: x\n" + form + "\n" + `0={"_formData":{"get":"\u00241:constructor:constructor"}}`},
		[]request{"POST /\nNext-Action: x\n" + form + "\n" + `0=["$K1"]&1=constructor`, "POST /\n" + form + "\nprice=$1:20&name=prototype"}},
	{99005002, []request{"POST /x.php\n" + form + "\nc=@eval(base64_decode($_POST[z0]));&z0=QGluaV9zZXQ", "POST /x.aspx\n" + form + "\nc=Response.Write(\"->|\");", "POST /x\n" + form + "\nc=@ini_set(%22display_errors%22,%220%22);"},
		[]request{"POST /x\n" + form + "\nc=please+evaluate+base64_decode"}},
	{99005003, []request{"POST /x\n" + form + "\nc=<?php @eval($_POST['x']);?>", "GET /?c=%3C?=system($_GET[1])?%3E"}, []request{"POST /x\n" + form + "\nc=<?php echo 1;"}},
	{99005004, []request{"POST /x\n" + form + "\nc=<%25%40 Page Language=\"Jscript\"%25><%25eval(Request.Item[\"p\"],\"unsafe\");%25>", "POST /x\n" + form + "\nc=<%25execute request(\"p\")%25>"},
		[]request{"POST /x\n" + form + "\nc=<%25= request.name %25>"}},
	{99005006, []request{"GET /tomcatwar.jsp?pwd=j&cmd=whoami"}, []request{"GET /login.jsp?pwd=j", "GET /list.jsp?cmd=next", "GET /x?pwd=j&cmd=a"}},
	{99030001, []request{"GET /\nX-File: /a/.././../etc", "GET /\nX-File: %2f..%2f.%2f..%2fetc"}, []request{"GET /\nX-File: /../../etc", "GET /\nReferer: https://a.example/x/.././../y"}},
	{99030002, []request{"POST /\n" + form + "\nf=/a/.././../etc", "POST /\n" + form + "\nf=/..%5c.%5c./..\\"}, []request{"POST /\n" + form + "\nf=/a/./b/../c"}},
	{99030003, []request{"GET /a/%2e%2e/b", "GET /a%5Cb", "GET /a%252fb"}, []request{"GET /a%20b?c=%2e", "GET /a.b", "GET /@scope%2fname"}},
	{99030006, []request{"GET /a%0db", "GET /a|b", "GET /a%3cb"}, []request{"GET /a%20b(1)", "POST /1/indexes/*/queries", "GET /a?b=|"}},
}

const defaults = "SecDefaultAction \"phase:1,log,auditlog,pass\"\nSecDefaultAction \"phase:2,log,auditlog,pass\"\n"

func engine(t *testing.T, rules string) coraza.WAF {
	t.Helper()
	w, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(`
SecRuleEngine On
SecRequestBodyAccess On
SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
` + rules))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// matched lists the rules that match a request.
func matched(t *testing.T, w coraza.WAF, r request) (ids []int) {
	t.Helper()
	head, body, hasBody := strings.Cut(string(r), "\n\n")
	lines := strings.Split(head, "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	tx := w.NewTransaction()
	defer tx.Close()
	tx.ProcessConnection("192.0.2.1", 1, "192.0.2.2", 80)
	tx.ProcessURI(target, method, "HTTP/1.1")
	tx.AddRequestHeader("Host", "a.example")
	for _, line := range lines[1:] {
		if name, value, ok := strings.Cut(line, ": "); ok {
			tx.AddRequestHeader(name, value)
		}
	}
	if hasBody {
		tx.AddRequestHeader("Content-Length", fmt.Sprint(len(body)))
	}
	tx.ProcessRequestHeaders()
	if _, _, err := tx.WriteRequestBody([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ProcessRequestBody(); err != nil {
		t.Fatal(err)
	}
	for _, m := range tx.MatchedRules() {
		ids = append(ids, m.Rule().ID())
	}
	return ids
}

func TestRulesMatchAttacksAndNothingElse(t *testing.T) {
	w := engine(t, defaults+Rules())
	for _, e := range examples {
		t.Run(fmt.Sprint(e.id), func(t *testing.T) {
			for _, r := range e.attack {
				if got := matched(t, w, r); !slices.Contains(got, e.id) {
					t.Errorf("%q is matched by %v", r, got)
				}
			}
			for _, r := range e.benign {
				if got := matched(t, w, r); slices.Contains(got, e.id) {
					t.Errorf("%q is matched", r)
				}
			}
		})
	}
}

func TestEveryRuleHasExamples(t *testing.T) {
	var with []int
	for _, e := range examples {
		if len(e.attack) == 0 || len(e.benign) == 0 {
			t.Errorf("%d lacks an example", e.id)
		}
		with = append(with, e.id)
	}
	slices.Sort(with)
	if got := RuleIDs(); !slices.Equal(got, with) {
		t.Errorf("rules %v, examples for %v", got, with)
	}
}

func TestRulesTakeNoIdentifierOfTheCoreRuleSet(t *testing.T) {
	crs := levels(t)
	for _, id := range RuleIDs() {
		if _, taken := crs[id]; taken {
			t.Errorf("%d is taken", id)
		}
	}
}

func TestRulesSayWhatTheyAre(t *testing.T) {
	for part := range strings.SplitSeq(Rules(), "\n\n") {
		if !strings.Contains(part, `"id:`) {
			continue
		}
		for _, want := range []string{"\n    block,\\\n", "msg:'", "logdata:'", "tag:'attack-", "severity:'", "setvar:"} {
			if strings.Count(part, want) != 1 {
				t.Errorf("not one %s in\n%s", want, part)
			}
		}
		// In a chain only the last part may score: the others match without the whole.
		if last := part[strings.LastIndex(strings.TrimSpace(part), "\n")+1:]; !strings.Contains(last, "setvar:'tx.inbound_anomaly_score_pl1=+%{tx.") {
			t.Errorf("the end does not score\n%s", part)
		}
	}
}

func TestPatchesSayWhatIsPresent(t *testing.T) {
	var absent []int
	for _, p := range Patches() {
		if !p.Present {
			absent = append(absent, p.ID)
		}
		text, _, _ := strings.Cut(Rules()[strings.Index(Rules()+fmt.Sprint("id:", p.ID), fmt.Sprint("id:", p.ID)):], "severity")
		if p.Present && p.CVE != "" && !strings.Contains(text, "tag:'"+p.CVE+"'") {
			t.Errorf("%d lacks the tag %s", p.ID, p.CVE)
		}
	}
	if want := []int{99001004, 99001005, 99001007, 99005005, 99030004, 99030005}; !slices.Equal(absent, want) {
		t.Errorf("absent: %v, want %v", absent, want)
	}
}

// The rules must add to the score that the Core Rule Set decides by.
func TestRulesCountTowardsTheDecision(t *testing.T) {
	w := engine(t, "Include @crs-setup.conf.example\nInclude @owasp_crs/REQUEST-901-INITIALIZATION.conf\n"+Rules()+"\nInclude @owasp_crs/REQUEST-949-BLOCKING-EVALUATION.conf\n")
	for _, tt := range []struct {
		r    request
		want bool
	}{
		{"GET /remote/fgt_lang?lang=/../../../..//////////dev/cmdb/sslvpn_websession", true},
		{"GET /actuator/gateway/routes", false}, // the first part of a chain alone
		{"GET /100%", false},                    // a warning
		{"GET /", false},
	} {
		if got := slices.Contains(matched(t, w, tt.r), 949110); got != tt.want {
			t.Errorf("%q is refused: %v, want %v", tt.r, got, tt.want)
		}
	}
}

func BenchmarkRulesOnACleanRequest(b *testing.B) {
	w, err := coraza.NewWAF(coraza.NewWAFConfig().WithDirectives("SecRuleEngine On\nSecRequestBodyAccess On\n" + Rules()))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		tx := w.NewTransaction()
		tx.ProcessURI("/shop/cart?item=7", "GET", "HTTP/1.1")
		tx.AddRequestHeader("Host", "a.example")
		tx.ProcessRequestHeaders()
		if _, err := tx.ProcessRequestBody(); err != nil {
			b.Fatal(err)
		}
		tx.Close()
	}
}
