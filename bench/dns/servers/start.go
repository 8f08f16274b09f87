//go:build linux

package servers

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
	"time"

	"gatehouse/bench/peers"
	"gatehouse/bench/proc"
)

//go:embed templates
var templates embed.FS

// Render returns the files of a server's configuration by name.
func Render(server string, s Setup) (map[string][]byte, error) {
	k, err := kindOf(server)
	if err != nil {
		return nil, err
	}
	functions := template.FuncMap{"moduleDir": moduleDir, "root": root}
	files := make(map[string][]byte)
	for name, source := range k.files {
		parsed, err := template.New(source).Funcs(functions).ParseFS(templates, "templates/"+source)
		if err != nil {
			return nil, err
		}
		var text bytes.Buffer
		if err := parsed.Execute(&text, s); err != nil {
			return nil, err
		}
		files[name] = text.Bytes()
	}
	return files, nil
}

// Server is a running one.
type Server struct {
	*peers.Peer
	Setup Setup
}

// Start writes a server's configuration and starts it. The caller has to Stop
// it; AwaitReady says when it answers.
func Start(ctx context.Context, server string, s Setup) (*Server, error) {
	program, err := Find(server)
	if err != nil {
		return nil, err
	}
	if err := Rewrite(server, s); err != nil {
		return nil, fmt.Errorf("%s: %w", server, err)
	}
	k, err := kindOf(server)
	if err != nil {
		return nil, err
	}
	if s.Signed && k.keys != nil {
		if err := makeKeys(ctx, k.keys(s)); err != nil {
			return nil, fmt.Errorf("%s: %w", server, err)
		}
	}
	p, err := proc.Start(server, proc.Command{
		Argv: append([]string{program}, k.args(s)...), Dir: s.Dir, Output: s.File("output.log"),
	})
	if err != nil {
		return nil, err
	}
	peer := &peers.Peer{System: server, Setup: peers.Setup{Dir: s.Dir}, Process: p}
	return &Server{Peer: peer, Setup: s}, nil
}

// Rewrite writes a server's configuration into its directory, from where one
// that is running can load it again.
func Rewrite(server string, s Setup) error {
	files, err := Render(server, s)
	if err != nil {
		return err
	}
	for _, dir := range []string{"zones", "run", "state", "keys"} {
		if err := os.MkdirAll(s.File(dir), 0o755); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(s.Dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func makeKeys(ctx context.Context, argv []string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	text, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("keys: %w: %s", err, text)
	}
	return nil
}
