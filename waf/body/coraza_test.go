package body

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/collection"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"

	"gatehouse/waf/variables"
)

// oracle reads bodies with Coraza's own processors.
type oracle struct{ waf coraza.WAF }

func newOracle(tb testing.TB) oracle {
	tb.Helper()
	waf, err := coraza.NewWAF(coraza.NewWAFConfig().WithDirectives(`
SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 33554432
SecRequestBodyInMemoryLimit 33554432
SecRequestBodyJsonDepthLimit 1024
SecArgumentsLimit 1000
SecRule REQUEST_HEADERS:X-Kind "^XML$" "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=XML"
SecRule REQUEST_HEADERS:X-Kind "^JSON$" "id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQUEST_HEADERS:X-Kind "^URLENCODED$" "id:3,phase:1,pass,nolog,ctl:requestBodyProcessor=URLENCODED"
SecRule REQUEST_HEADERS:X-Kind "^MULTIPART$" "id:4,phase:1,pass,nolog,ctl:requestBodyProcessor=MULTIPART"
`))
	if err != nil {
		tb.Fatal(err)
	}
	return oracle{waf}
}

// read is Parse by Coraza.
func (o oracle) read(tb testing.TB, kind variables.Processor, contentType, text string) (b variables.Body, truncated bool) {
	tb.Helper()
	tx := o.waf.NewTransaction()
	defer func() {
		if err := tx.Close(); err != nil {
			tb.Fatal(err)
		}
	}()
	tx.ProcessConnection("192.0.2.1", 1, "192.0.2.2", 80)
	tx.ProcessURI("/", "POST", "HTTP/1.1")
	tx.AddRequestHeader("Content-Type", contentType)
	tx.AddRequestHeader("X-Kind", kind.String())
	tx.ProcessRequestHeaders()
	if _, _, err := tx.WriteRequestBody([]byte(text)); err != nil {
		tb.Fatal(err)
	}
	if _, err := tx.ProcessRequestBody(); err != nil {
		tb.Fatal(err)
	}
	v := tx.(interface {
		Variables() plugintypes.TransactionVariables
	}).Variables()
	b = variables.Body{
		Processor: kind, Raw: v.RequestBody().Get(), Length: number(v.RequestBodyLength().Get()),
		ArgsPost: pairs(v.ArgsPost()), Files: values(v.Files()), FileFields: values(v.FilesNames()),
		FileSizes: pairs(v.FilesSizes()), FilesCombinedSize: number(v.FilesCombinedSize().Get()),
		PartHeaders: pairs(v.MultipartPartHeaders()), PartNames: pairs(v.MultipartName()),
		PartFilenames: pairs(v.MultipartFilename()), FilenameCharsets: pairs(v.MultipartFilenameCharset()),
		FilenameLanguages: pairs(v.MultipartFilenameLanguage()),
		StrictError:       v.MultipartStrictError().Get() == "1",
		DuplicateHeader:   v.MultipartDuplicatePartHeader().Get() == "1",
		InvalidQuoting:    v.MultipartInvalidQuoting().Get() == "1",
		XMLAttributes:     v.RequestXML().Get("//@*"), XMLText: v.RequestXML().Get("/*"),
		Error: v.RequestBodyProcessorErrorMsg().Get(),
	}
	return b, v.ArgumentsLimitReached().Get() == "1"
}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func pairs(c collection.Collection) (list []variables.Pair) {
	for _, m := range c.FindAll() {
		list = append(list, variables.Pair{Name: m.Key(), Value: m.Value()})
	}
	return list
}

func values(c collection.Collection) (list []string) {
	for _, m := range c.FindAll() {
		list = append(list, m.Value())
	}
	return list
}

// same tells how two readings differ. Coraza's maps have no order, and its
// error texts are its own.
func same(t testing.TB, got, want variables.Body) {
	t.Helper()
	for _, c := range []struct {
		name      string
		got, want []variables.Pair
	}{
		{"ARGS_POST", got.ArgsPost, want.ArgsPost},
		{"FILES_SIZES", got.FileSizes, want.FileSizes},
		{"MULTIPART_PART_HEADERS", got.PartHeaders, want.PartHeaders},
		{"MULTIPART_NAME", got.PartNames, want.PartNames},
		{"MULTIPART_FILENAME", got.PartFilenames, want.PartFilenames},
		{"MULTIPART_FILENAME_CHARSET", got.FilenameCharsets, want.FilenameCharsets},
		{"MULTIPART_FILENAME_LANGUAGE", got.FilenameLanguages, want.FilenameLanguages},
	} {
		if !slices.Equal(sorted(c.got), sorted(c.want)) {
			t.Errorf("%s: got %.300q, want %.300q", c.name, sorted(c.got), sorted(c.want))
		}
	}
	for _, c := range []struct {
		name      string
		got, want []string
	}{
		{"FILES", got.Files, want.Files},
		{"FILES_NAMES", got.FileFields, want.FileFields},
		{"XML://@*", got.XMLAttributes, want.XMLAttributes},
		{"XML:/*", got.XMLText, want.XMLText},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
	type rest struct {
		Raw                                               string
		Length, Combined                                  int
		StrictError, DuplicateHeader, InvalidQuoting, Bad bool
	}
	g := rest{got.Raw, got.Length, got.FilesCombinedSize, got.StrictError, got.DuplicateHeader, got.InvalidQuoting, got.Error != ""}
	w := rest{want.Raw, want.Length, want.FilesCombinedSize, want.StrictError, want.DuplicateHeader, want.InvalidQuoting, want.Error != ""}
	if g != w {
		t.Errorf("got %+v (%s), want %+v (%s)", g, got.Error, w, want.Error)
	}
}

func sorted(list []variables.Pair) []variables.Pair {
	return slices.SortedFunc(slices.Values(list), func(a, b variables.Pair) int {
		return strings.Compare(a.Name+"\x00"+a.Value, b.Name+"\x00"+b.Value)
	})
}

// namesFold tells if there are names that differ in case only.
func namesFold(list []variables.Pair) bool {
	seen := map[string]string{}
	for _, p := range list {
		lower := strings.ToLower(p.Name)
		if have, ok := seen[lower]; ok && have != p.Name {
			return true
		}
		seen[lower] = p.Name
	}
	return false
}

// differ checks that a body is read as Coraza reads it, with and without
// Strict, unless it is refused.
func differ(t testing.TB, o oracle, kind variables.Processor, contentType, text string) {
	t.Helper()
	want, wantCut := o.read(t, kind, contentType, text)
	for _, strict := range []bool{false, true} {
		lim := Limits{Strict: strict, Depth: maxDepth, Parts: 1 << 30}
		got, cut, refused := Parse(kind, contentType, text, lim)
		if refused != nil {
			if !strict {
				t.Errorf("refused (%s) though not strict", refused.Reason)
			}
			continue
		}
		if kind == variables.XML && got.Error != "" {
			got.XMLAttributes, got.XMLText = nil, nil // Coraza drops what it read
		}
		if kind == variables.URLEncoded && namesFold(got.ArgsPost) {
			want.ArgsPost = got.ArgsPost // Coraza keeps one of the names, it depends which
		}
		same(t, got, want)
		if cut != wantCut {
			t.Errorf("strict %t: truncated %t, want %t", strict, cut, wantCut)
		}
		if strict && got.Error != "" {
			t.Errorf("not refused: %s", got.Error)
		}
		if t.Failed() {
			t.Logf("strict %t, %s, body %.300q", strict, contentType, text)
			return
		}
	}
}

// differAll is differ for each of several bodies.
func differAll(t *testing.T, kind variables.Processor, contentType string, texts []string) {
	t.Helper()
	o := newOracle(t)
	for i, text := range texts {
		t.Run(strconv.Itoa(i), func(t *testing.T) { differ(t, o, kind, contentType, text) })
	}
}
