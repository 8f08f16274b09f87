package hygiene

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

const module = "gatehouse"

// source is one Go file of the module.
type source struct {
	path string // from the module's root, with slashes
	data []byte
	file *ast.File
	fset *token.FileSet
}

func (s source) dir() string          { return path.Dir(s.path) }
func (s source) test() bool           { return strings.HasSuffix(s.path, "_test.go") }
func (s source) main() bool           { return s.file.Name.Name == "main" }
func (s source) line(p token.Pos) int { return s.fset.Position(p).Line }

// generated tells code that a tool wrote, by the line that go help generate defines.
func (s source) generated() bool { return ast.IsGenerated(s.file) }

// files walks the module's files that are part of the project: not .git, not what make built.
func files(t *testing.T) []string {
	t.Helper()
	root := testkit.ModuleRoot(t)
	var list []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		if d.IsDir() && slices.Contains([]string{".git", "bin", "bench/out"}, rel) {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() && !strings.HasSuffix(rel, ".test") && !strings.HasSuffix(rel, ".pprof") {
			list = append(list, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// read returns a file of the module. A file that vanished between listing and reading is empty: editors work in the tree.
func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return data
}

// parsed holds the Go files of the module, read once for all tests.
var parsed []source

// sources parses every Go file of the module, except for testdata.
func sources(t *testing.T) []source {
	t.Helper()
	if len(parsed) > 0 {
		return parsed
	}
	var all []source
	for _, name := range files(t) {
		if !strings.HasSuffix(name, ".go") || slices.Contains(strings.Split(name, "/"), "testdata") {
			continue
		}
		s := source{path: name, data: read(t, name), fset: token.NewFileSet()}
		var err error
		if s.file, err = parser.ParseFile(s.fset, name, s.data, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if len(all) < 10 {
		t.Fatalf("only %d Go files found: this is not the module", len(all))
	}
	parsed = all
	return parsed
}

// packageDirs lists the directories with Go files that are not tests.
func packageDirs(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for _, s := range sources(t) {
		if !s.test() && !slices.Contains(dirs, s.dir()) {
			dirs = append(dirs, s.dir())
		}
	}
	return dirs
}
