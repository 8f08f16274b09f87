// Command stock judges requests by the Core Rule Set with Coraza as it comes.
// The firewall is compared with it.
//
//	stock DIRECTIVES <requests >judgements
//
// Each line of the input is one request as JSON, each line of the output what
// Coraza says of it. It is a process of its own and shares no package with the
// firewall, because what the firewall replaces in Coraza it replaces for the
// whole process.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	"github.com/corazawaf/coraza/v3/types"
)

// request is a parsed request. All texts are base64 in JSON: they need not be
// Unicode.
type request struct {
	Client                   string // address, without port
	Method, Target, Protocol []byte
	Fields                   []field // in order
	Body                     []byte
}

type field struct{ Name, Value []byte }

// judgement is what the rules say of a request.
type judgement struct {
	Rules   []int // that matched and are logged, in order
	Score   int   // the inbound anomaly score
	Blocked bool  // it would be
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: stock DIRECTIVES <requests >judgements")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "stock:", err)
		os.Exit(1)
	}
}

// run judges one request after the other.
func run(directives string, in io.Reader, out io.Writer) error {
	var e engine
	if err := e.compile(directives); err != nil {
		return err
	}
	from, to := json.NewDecoder(in), json.NewEncoder(out)
	from.DisallowUnknownFields()
	for {
		var r request
		if err := from.Decode(&r); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("request: %w", err)
		}
		j, err := e.judge(&r)
		if err != nil {
			return err
		}
		if err := to.Encode(j); err != nil {
			return err
		}
	}
}

// engine is Coraza, used by one goroutine.
type engine struct {
	waf    coraza.WAF
	logged []int // rules of the current request
}

func (e *engine) compile(directives string) (err error) {
	text, err := os.ReadFile(directives)
	if err != nil {
		return err
	}
	note := func(m types.MatchedRule) { e.logged = append(e.logged, m.Rule().ID()) }
	e.waf, err = coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithErrorCallback(note).WithDirectives(string(text)))
	return err
}

// judge runs the request phases.
func (e *engine) judge(r *request) (j judgement, err error) {
	e.logged = nil
	tx := e.waf.NewTransaction()
	defer func() { err = errors.Join(err, tx.Close()) }()
	tx.ProcessConnection(r.Client, 40000, "", 0)
	tx.ProcessURI(string(r.Target), string(r.Method), string(r.Protocol))
	for _, f := range r.Fields {
		tx.AddRequestHeader(string(f.Name), string(f.Value))
	}
	tx.ProcessRequestHeaders()
	if _, _, err := tx.WriteRequestBody(r.Body); err != nil {
		return j, err
	}
	if _, err := tx.ProcessRequestBody(); err != nil {
		return j, err
	}
	return e.result(tx)
}

// result reads what the public interface of a transaction does not tell.
func (e *engine) result(tx types.Transaction) (j judgement, err error) {
	t, ok := tx.(interface {
		Variables() plugintypes.TransactionVariables
		DetectionOnlyInterruption() *types.Interruption
	})
	if !ok {
		return j, errors.New("this version of Coraza has other transactions")
	}
	j.Rules = e.logged
	if list := t.Variables().TX().Get("blocking_inbound_anomaly_score"); len(list) > 0 {
		j.Score, err = strconv.Atoi(list[0])
	}
	it := t.DetectionOnlyInterruption()
	j.Blocked = it != nil && it.Action != "allow"
	return j, err
}
