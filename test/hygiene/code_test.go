package hygiene

import (
	"bytes"
	"cmp"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// longest is the longest a function may be, in lines from func to the closing brace.
const longest = 70

// longFunctions are allowed to be longer, each with its reason.
var longFunctions = map[string]string{}

func TestFunctionsAreShort(t *testing.T) {
	type function struct {
		name  string
		lines int
	}
	var all []function
	for _, s := range sources(t) {
		if s.test() || s.generated() {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				all = append(all, function{s.dir() + "." + funcName(f), s.line(f.End()) - s.line(f.Pos()) + 1})
			}
		}
	}
	slices.SortFunc(all, func(a, b function) int { return cmp.Compare(a.lines, b.lines) })
	at := func(share int) int { return all[(len(all)-1)*share/100].lines }
	t.Logf("%d functions: median %d lines, p90 %d, p99 %d, longest %d", len(all), at(50), at(90), at(99), at(100))
	used := map[string]bool{}
	for _, f := range all {
		_, excused := longFunctions[f.name]
		used[f.name] = f.lines > longest
		switch {
		case f.lines > longest && !excused:
			t.Errorf("%s has %d lines, more than %d", f.name, f.lines, longest)
		case f.lines > longest*2/3:
			t.Logf("outlier: %s has %d lines", f.name, f.lines)
		}
	}
	for name := range longFunctions {
		if !used[name] {
			t.Errorf("%s is excused and need not be: remove it from longFunctions", name)
		}
	}
}

func funcName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	return receiver(f) + "." + f.Name.Name
}

func receiver(f *ast.FuncDecl) string {
	e := f.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return "?"
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.file.Doc == nil || s.test() {
			continue
		}
		documented[s.dir()] = true
		want := "Package " + s.file.Name.Name + " "
		if s.main() {
			want = "Command " + path.Base(s.dir()) + " "
		}
		text := s.file.Doc.Text()
		if !strings.HasPrefix(text, want) && strings.HasPrefix(text, want[:8]) {
			t.Errorf("%s: the doc comment begins %.30q, want %q", s.path, text, want)
		}
	}
	for _, dir := range packageDirs(t) {
		if !documented[dir] {
			t.Errorf("package %s has no doc comment", dir)
		}
	}
}

func TestEveryExportedNameHasAComment(t *testing.T) {
	enums := documentedTypes(t)
	for _, s := range sources(t) {
		if s.test() || s.main() || s.generated() {
			continue
		}
		for _, d := range s.file.Decls {
			for _, name := range undocumented(d, enums[s.dir()]) {
				t.Errorf("%s:%d: %s has no comment", s.path, s.line(name.Pos()), name.Name)
			}
		}
	}
}

// documentedTypes maps each package to its types with a comment: the values of an enum that has one may speak for themselves.
func documentedTypes(t *testing.T) map[string]map[string]bool {
	types := map[string]map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.TYPE {
				continue
			}
			for _, spec := range gen.Specs {
				if ts := spec.(*ast.TypeSpec); gen.Doc != nil || ts.Doc != nil {
					if types[s.dir()] == nil {
						types[s.dir()] = map[string]bool{}
					}
					types[s.dir()][ts.Name.Name] = true
				}
			}
		}
	}
	return types
}

// undocumented lists the exported names of a declaration that no comment explains. A comment on a group of constants or
// variables is one for all of them.
func undocumented(d ast.Decl, enums map[string]bool) (bare []*ast.Ident) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		// What Error and Unwrap do is said by the interfaces of package errors.
		method := d.Recv != nil && (!ast.IsExported(receiver(d)) || d.Name.Name == "Error" || d.Name.Name == "Unwrap")
		if d.Name.IsExported() && !method && d.Doc == nil {
			bare = append(bare, d.Name)
		}
	case *ast.GenDecl:
		if d.Doc != nil && d.Tok != token.TYPE {
			return nil
		}
		enum := false
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.CONST {
				id, named := v.Type.(*ast.Ident)
				enum = named && enums[id.Name] || enum && v.Type == nil && v.Values == nil // iota goes on
			}
			bare = append(bare, undocumentedSpec(spec, d.Doc != nil || enum)...)
		}
	}
	return bare
}

func undocumentedSpec(spec ast.Spec, explained bool) (bare []*ast.Ident) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && !explained {
			bare = append(bare, s.Name)
		}
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() && s.Doc == nil && s.Comment == nil && !explained {
				bare = append(bare, n)
			}
		}
	}
	return bare
}

func TestMissingCommentsAreNoticed(t *testing.T) {
	const text = `package p
func Bare() {}
// Good is.
func Good() {}
func (x *T) Method() {}
func (x *hidden) Method() {}
type T struct{}
// E is an enum.
type E int
const ( A E = iota; B )
const C = 1
const ( D E = 0; F = 2 )
`
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range f.Decls {
		for _, name := range undocumented(d, map[string]bool{"E": true}) {
			got = append(got, name.Name)
		}
	}
	if want := "Bare Method T C F"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestGofmt(t *testing.T) {
	for _, s := range sources(t) {
		formatted, err := format.Source(s.data)
		if err != nil {
			t.Errorf("%s: %v", s.path, err)
		} else if !bytes.Equal(formatted, s.data) {
			t.Errorf("%s: run gofmt -w", s.path)
		}
	}
}

// Work at start-up that nobody called for hides dependencies and cannot fail properly.
func TestNoInitFunctions(t *testing.T) {
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s:%d: no init functions", s.path, s.line(f.Pos()))
			}
		}
	}
}

// A package is a noun of the domain. These names say nothing, so anything ends up in them.
func TestPackageNamesSayWhatIsInside(t *testing.T) {
	bad := []string{"util", "utils", "common", "types", "model", "models", "base", "manager", "managers", "pkg", "helper", "helpers", "misc", "shared"}
	for _, s := range sources(t) {
		name := strings.TrimSuffix(s.file.Name.Name, "_test")
		for _, n := range append(strings.Split(s.dir(), "/"), name) {
			if slices.Contains(bad, n) {
				t.Errorf("%s: a package or directory named %s", s.path, n)
			}
		}
	}
}
