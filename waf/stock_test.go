package waf

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v4"

	"gatehouse/config"
	"gatehouse/internal/testkit"
	"gatehouse/waf/body"
	"gatehouse/waf/index"
)

// stockRuns is how often stock Coraza judges an input: what it says may depend
// on the order in which it walks maps.
const stockRuns = 3

// stockLevels are the paranoia levels that are compared.
var stockLevels = [...]int{1, 4}

// differenceCause is one reason why we judge otherwise than stock Coraza, and
// all differences that it makes.
type differenceCause struct {
	Cause string `yaml:"cause"`
	// Remedy makes the differences vanish, which shows that this is their
	// cause.
	Remedy remedy `yaml:"remedy"`
	// NoRemedy says how the cause is known where there is no remedy.
	NoRemedy    string   `yaml:"noRemedy"`
	Differences []string `yaml:"differences"`
}

// remedy is what is done otherwise.
type remedy struct {
	Tags       string   `yaml:"tags"`       // build tags of stock Coraza
	Directives string   `yaml:"directives"` // more of them for stock Coraza
	Target     []string `yaml:"target"`     // in the request target, the first text becomes the second for both
	Lenient    bool     `yaml:"lenient"`    // we do not refuse bodies that parsers read differently
}

func (r *remedy) is() bool {
	return r.Tags != "" || r.Directives != "" || len(r.Target) == 2 || r.Lenient
}

func differenceCauses(t *testing.T) (list []differenceCause) {
	data, err := os.ReadFile("testdata/stock.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestStockCorazaJudgesTheSame judges every input of the Core Rule Set's tests
// as the connector does and with Coraza as it comes, by the same settings, and
// compares rules, score and verdict. testdata/stock.yaml has the differences.
func TestStockCorazaJudgesTheSame(t *testing.T) {
	testkit.Long(t)
	oneGoroutine(t)
	inputs := crsInputs(t)
	if len(inputs) < 4674 {
		t.Fatalf("only %d inputs", len(inputs))
	}
	known := map[string]bool{}
	for _, c := range differenceCauses(t) {
		for _, d := range c.Differences {
			if known[d] {
				t.Errorf("listed twice: %s", d)
			}
			known[d] = true
		}
	}
	for _, level := range stockLevels {
		found := differences(t, inputs, level, remedy{})
		for _, d := range found {
			if !known[d] {
				t.Errorf("not listed: %s", d)
			}
			delete(known, d)
		}
		t.Logf("level %d: %d inputs, %d judged otherwise", level, len(inputs), len(found))
	}
	for d := range known {
		t.Errorf("listed, but not so: %s", d)
	}
}

// TestDifferencesFromStockCorazaHaveTheirCause takes the cause of each
// difference away.
func TestDifferencesFromStockCorazaHaveTheirCause(t *testing.T) {
	testkit.Long(t)
	oneGoroutine(t)
	inputs := crsInputs(t)
	for _, c := range differenceCauses(t) {
		if c.Remedy.is() == (c.NoRemedy != "") || len(c.Differences) == 0 {
			t.Errorf("%.60q...: a cause has differences, and either a remedy or a reason why it has none", c.Cause)
		}
		if !c.Remedy.is() {
			continue
		}
		for _, level := range stockLevels {
			listed := listedInputs(inputs, &c, level)
			for _, d := range differences(t, listed, level, c.Remedy) {
				t.Errorf("%.60q... is not the cause: %s", c.Cause, d)
			}
		}
	}
}

// listedInputs are the inputs that a cause lists for a level.
func listedInputs(inputs []crsTest, c *differenceCause, level int) (list []crsTest) {
	for i := range inputs {
		if slices.ContainsFunc(c.Differences, func(d string) bool { return strings.HasPrefix(d, inputName(&inputs[i], level)) }) {
			list = append(list, inputs[i])
		}
	}
	return list
}

// inputName is how a difference begins.
func inputName(in *crsTest, level int) string { return fmt.Sprintf("%s at level %d: ", in.name, level) }

// differences judges inputs both ways, half of them on each processor, and
// tells where that is not the same.
func differences(t *testing.T, inputs []crsTest, level int, r remedy) (list []string) {
	t.Helper()
	if len(inputs) == 0 {
		return nil
	}
	policy := testPolicy(level)
	j, err := newJudge(policy)
	if err != nil {
		t.Fatal(err)
	}
	defer j.release()
	var halves sync.WaitGroup
	var found [2][]string
	for half := range found {
		s := startStock(t, stockDirectives(&policy.RuleSet)+r.Directives, r.Tags)
		halves.Go(func() {
			c := comparison{j: j, stock: s, remedy: r}
			for i := half; i < len(inputs); i += 2 {
				if d, err := c.difference(&inputs[i]); err != nil {
					t.Error(inputs[i].name, err)
					return
				} else if d != "" {
					found[half] = append(found[half], inputName(&inputs[i], level)+d)
				}
			}
		})
	}
	halves.Wait()
	return slices.Concat(found[0], found[1])
}

// stockDirectives are the rules for stock Coraza: its own recommended choice of
// body processors, and the files of the Core Rule Set as they are.
func stockDirectives(s *config.RuleSet) string {
	var w ruleWriter
	w.engine(config.WAFDetection)
	w.text("SecRequestBodyAccess On")
	w.settings(s)
	w.text(`
SecRule REQUEST_HEADERS:Content-Type "^(?:application(?:/soap\+|/)|text/)xml" "id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:Content-Type "^application/[a-z0-9.-]+[+]json" "id:200006,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"`)
	w.text(protocolRules)
	w.text("Include @owasp_crs/*.conf")
	return w.b.String()
}

// comparison judges inputs both ways, one after the other.
type comparison struct {
	j      *judge
	eval   index.Evaluation
	stock  *stockCoraza
	remedy remedy
}

// difference says how the judgements of an input differ; empty: they do not.
func (c *comparison) difference(in *crsTest) (string, error) {
	if to := c.remedy.Target; len(to) == 2 {
		in.req = request(in.req.Method, strings.Replace(in.req.Target, to[0], to[1], 1), in.req.Protocol, in.req.Headers, in.body)
	}
	ours, err := c.ours(in)
	if err != nil {
		return "", err
	}
	runs, err := c.stock.judge(in, stockRuns)
	if err != nil {
		return "", err
	}
	first := runs[0]
	if slices.ContainsFunc(runs, func(s stockJudgement) bool { return !s.equals(&first) }) {
		return fmt.Sprintf("stock is unstable: %+v, ours %+v", runs, ours), nil
	}
	return ours.differs(&first), nil
}

// ours is what the connector says, which must be the same with the index. A
// body that it refuses in prevention is blocked.
func (c *comparison) ours(in *crsTest) (s stockJudgement, err error) {
	plain, err := c.j.request(in.name, in.req, nil, nil, false)
	if err != nil {
		return s, err
	}
	fast, err := c.j.request(in.name, in.req, nil, &c.eval, true)
	if err != nil {
		return s, err
	}
	if !plain.equals(&fast) {
		return s, fmt.Errorf("the index judges otherwise: %s instead of %s", fast.String(), plain.String())
	}
	contentType, _ := in.req.Header("content-type")
	kind, _, _ := body.KindOf(contentType)
	_, _, refused := body.Parse(kind, contentType, in.body, body.Limits{Strict: !c.remedy.Lenient, Force: true})
	return stockJudgement{attackRules(plain.ids()), plain.Score, plain.Blocked || refused != nil}, nil
}

// attackRules are rules without those that set the scene or report the score.
func attackRules(ids []int) []int {
	ids = slices.DeleteFunc(ids, func(id int) bool { return slices.Contains([]int{901, 949, 980}, id/1000) })
	slices.Sort(ids)
	return slices.Compact(ids)
}

// stockCoraza is a process with Coraza as it comes (test/stock).
type stockCoraza struct {
	to   *json.Encoder
	from *json.Decoder
}

type stockRequest struct {
	Client                   string
	Method, Target, Protocol []byte
	Fields                   []stockField
	Body                     []byte
}

type stockField struct{ Name, Value []byte }

type stockJudgement struct {
	Rules   []int
	Score   int
	Blocked bool
}

func startStock(t *testing.T, directives, tags string) *stockCoraza {
	t.Helper()
	file := filepath.Join(t.TempDir(), "rules.conf")
	if err := os.WriteFile(file, []byte(directives), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(testkit.Build(t, "./test/stock", "-tags="+tags), file)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if rest, _ := io.Copy(io.Discard, out); rest > 0 {
			t.Errorf("stock Coraza has %d bytes more to say", rest)
		}
		if err := cmd.Wait(); err != nil {
			t.Error("stock Coraza:", err)
		}
	})
	return &stockCoraza{json.NewEncoder(in), json.NewDecoder(out)}
}

// judge has an input judged several times.
func (s *stockCoraza) judge(in *crsTest, runs int) ([]stockJudgement, error) {
	r := in.req
	q := stockRequest{Client: r.Client.Addr().String(), Method: []byte(r.Method), Target: []byte(r.Target), Protocol: []byte(r.Protocol), Body: []byte(in.body)}
	for _, h := range r.Headers {
		q.Fields = append(q.Fields, stockField{[]byte(h.Name), []byte(h.Value)})
	}
	list := make([]stockJudgement, runs)
	for i := range list {
		if err := s.to.Encode(&q); err != nil {
			return nil, err
		}
		if err := s.from.Decode(&list[i]); err != nil {
			return nil, err
		}
		list[i].Rules = attackRules(list[i].Rules)
	}
	return list, nil
}

func (s *stockJudgement) equals(o *stockJudgement) bool {
	return slices.Equal(s.Rules, o.Rules) && s.Score == o.Score && s.Blocked == o.Blocked
}

// differs says what is otherwise in a judgement of stock Coraza.
func (s *stockJudgement) differs(stock *stockJudgement) string {
	var parts []string
	if list := without(s.Rules, stock.Rules); len(list) > 0 {
		parts = append(parts, fmt.Sprint("only ours ", list))
	}
	if list := without(stock.Rules, s.Rules); len(list) > 0 {
		parts = append(parts, fmt.Sprint("only stock ", list))
	}
	if s.Score != stock.Score {
		parts = append(parts, fmt.Sprintf("score %d, stock %d", s.Score, stock.Score))
	}
	if s.Blocked != stock.Blocked {
		parts = append(parts, fmt.Sprintf("blocked %t, stock %t", s.Blocked, stock.Blocked))
	}
	return strings.Join(parts, "; ")
}

func without(list, other []int) []int {
	return slices.DeleteFunc(slices.Clone(list), func(id int) bool { return slices.Contains(other, id) })
}

// TestStockCorazaLosesRepeatedValues shows the difference that no input of the
// rule set's tests shows: of values with one name, stock Coraza takes one for
// another, by chance. Should this fail, it has been repaired.
func TestStockCorazaLosesRepeatedValues(t *testing.T) {
	oneGoroutine(t)
	s := startStock(t, stockDirectives(&testPolicy(1).RuleSet), "")
	for _, in := range repeatedNames() {
		if in.name != "a cookie" && in.name != "a form field" { // those that Coraza's own parsers make
			continue
		}
		runs, err := s.judge(&in, 200)
		if err != nil {
			t.Fatal(err)
		}
		same := true
		for i := range runs {
			same = same && runs[i].equals(&runs[0])
		}
		if same {
			t.Errorf("%s: 200 times %+v", in.name, runs[0])
		}
	}
}
