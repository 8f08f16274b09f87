package waf

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/collection"
	"github.com/corazawaf/coraza/v3/experimental"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	"github.com/corazawaf/coraza/v3/types"
	corazavars "github.com/corazawaf/coraza/v3/types/variables"

	"gatehouse/waf/variables"
)

// engine is Coraza with the rules of a policy. Everything that rules look at
// is filled in from variables.Request and Response: Coraza parses nothing, so
// that there is one reading of a request. It is safe for concurrent use.
type engine struct {
	waf coraza.WAF
}

// newEngine compiles rules; files are what @pmFromFile reads.
func newEngine(rules string, files fs.FS) (*engine, error) {
	replaceOperators()
	w, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(files).WithDirectives(rules))
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return &engine{w}, nil
}

// close gives back what the engine shares with others. Transactions that run
// are not disturbed.
func (e *engine) close() error {
	if c, ok := e.waf.(experimental.WAFCloser); ok {
		return c.Close()
	}
	return nil
}

// transaction is what this package uses of Coraza's transactions, beyond
// their public interface.
type transaction interface {
	types.Transaction
	Variables() plugintypes.TransactionVariables
	Collection(corazavars.RuleVariable) collection.Collection
	RemoveRuleByID(int)
	RemoveRuleByIDRange(from, to int)
	DetectionOnlyInterruption() *types.Interruption
}

// begin starts a transaction of the engine for a request. The caller closes
// it.
func (e *engine) begin(id string, r *variables.Request) (transaction, error) {
	w, ok := e.waf.(experimental.WAFWithOptions)
	if !ok {
		return nil, fmt.Errorf("this version of Coraza has no transactions with options")
	}
	tx, ok := w.NewTransactionWithOptions(experimental.Options{ID: id}).(transaction)
	if !ok {
		return nil, fmt.Errorf("this version of Coraza has other transactions")
	}
	fillRequest(tx, r)
	return tx, nil
}

// request runs the request phases.
func (e *engine) request(tx transaction) error {
	if tx.ProcessRequestHeaders() != nil {
		return nil
	}
	_, err := tx.ProcessRequestBody()
	return err
}

// response runs the response phases. When the request phases were found
// clean without asking the engine, they have not been run.
func (e *engine) response(tx transaction, p *variables.Response) error {
	fillResponse(tx, p)
	if tx.ProcessResponseHeaders(p.Status, p.Protocol) != nil {
		return nil
	}
	_, err := tx.ProcessResponseBody()
	return err
}

// fillRequest puts a request into the variables of a transaction.
func fillRequest(tx transaction, r *variables.Request) {
	v := tx.Variables()
	for _, s := range []struct {
		to   collection.Collection
		text string
	}{
		{v.RemoteAddr(), r.Client.Addr().String()}, {v.RemotePort(), strconv.Itoa(int(r.Client.Port()))},
		{v.ServerAddr(), r.Server.Addr().String()}, {v.ServerPort(), strconv.Itoa(int(r.Server.Port()))}, {v.ServerName(), r.Host},
		{v.RequestMethod(), r.Method}, {v.RequestProtocol(), r.Protocol}, {v.RequestLine(), r.Line},
		{v.RequestURIRaw(), r.Target}, {v.RequestURI(), r.URI}, {v.RequestFilename(), r.Path}, {v.RequestBasename(), r.Basename},
		{v.QueryString(), r.Query},
		{tx.Collection(corazavars.URIParseError), flag(r.URIParseError)}, {v.ArgumentsLimitReached(), flag(r.ArgsTruncated)},
	} {
		set(s.to, s.text)
	}
	addPairs(v.RequestHeaders(), r.Headers)
	addPairs(v.RequestCookies(), r.Cookies)
	addPairs(v.ArgsGet(), r.ArgsGet)
	fillBody(v, &r.Body)
}

// fillBody puts a request body into the variables of a transaction.
func fillBody(v plugintypes.TransactionVariables, b *variables.Body) {
	set(v.RequestBodyProcessor(), b.Processor.String())
	set(v.RequestBody(), b.Raw)
	set(v.RequestBodyLength(), number(b.Length))
	addPairs(v.ArgsPost(), b.ArgsPost)
	addTexts(v.Files(), "", b.Files)
	addTexts(v.FilesNames(), "", b.FileFields)
	addPairs(v.FilesSizes(), b.FileSizes)
	set(v.FilesCombinedSize(), number(b.FilesCombinedSize))
	addPairs(v.MultipartPartHeaders(), b.PartHeaders)
	addPairs(v.MultipartName(), b.PartNames)
	addPairs(v.MultipartFilename(), b.PartFilenames)
	addPairs(v.MultipartFilenameCharset(), b.FilenameCharsets)
	addPairs(v.MultipartFilenameLanguage(), b.FilenameLanguages)
	set(v.MultipartStrictError(), flag(b.StrictError))
	set(v.MultipartDuplicatePartHeader(), flag(b.DuplicateHeader))
	set(v.MultipartInvalidQuoting(), flag(b.InvalidQuoting))
	addTexts(v.RequestXML(), "//@*", b.XMLAttributes)
	addTexts(v.RequestXML(), "/*", b.XMLText)
	set(v.RequestBodyError(), flag(b.Error != ""))
	set(v.RequestBodyErrorMsg(), b.Error)
}

// fillResponse puts a response into the variables of a transaction.
func fillResponse(tx transaction, p *variables.Response) {
	v := tx.Variables()
	addPairs(v.ResponseHeaders(), p.Headers)
	set(v.ResponseContentType(), p.ContentType)
	set(v.ResponseBody(), p.Body)
}

// set gives a variable of one value its value.
func set(c collection.Collection, text string) {
	if s, ok := c.(interface{ Set(string) }); ok && text != "" {
		s.Set(text)
	}
}

// addPairs adds named values. Every name is a string of its own, in memory of
// its own: Coraza 3.8.1 keeps transformed values by the address of the name
// and the place of the value, which is not the same from rule to rule, and
// takes one value for another where names share memory
// (github.com/corazawaf/coraza/issues/1681).
func addPairs(m collection.Map, list []variables.Pair) {
	for i := range list {
		m.Add(own(list[i].Name), list[i].Value)
	}
}

func addTexts(m collection.Map, name string, list []string) {
	for _, text := range list {
		m.Add(own(name), text)
	}
}

// own is a copy of a name that shares memory with nothing, even when it is
// empty.
func own(name string) string { return strings.Clone(name + "x")[:len(name)] }

// flag is a condition as rules have it.
func flag(on bool) string {
	if on {
		return "1"
	}
	return ""
}

// number is a size as rules have it.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
