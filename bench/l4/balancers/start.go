//go:build linux

package balancers

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"text/template"

	"gatehouse/bench/peers"
	"gatehouse/bench/proc"
)

//go:embed templates
var templates embed.FS

// Render returns the configuration of a balancer.
func Render(balancer string, s Setup) ([]byte, error) {
	k, err := kindOf(balancer)
	if err != nil {
		return nil, err
	}
	parsed, err := template.ParseFS(templates, "templates/"+k.file+".tmpl")
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, s); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// Balancer is a running one.
type Balancer struct {
	*peers.Peer
	Setup Setup
}

// Start writes a balancer's configuration and starts it. The caller has to
// Stop it; AwaitReady says when it answers.
func (p Programs) Start(balancer string, s Setup) (*Balancer, error) {
	program, err := p.Find(balancer)
	if err != nil {
		return nil, err
	}
	if err := Write(balancer, s); err != nil {
		return nil, fmt.Errorf("%s: %w", balancer, err)
	}
	k, err := kindOf(balancer)
	if err != nil {
		return nil, err
	}
	process, err := proc.Start(balancer, proc.Command{
		Argv: append([]string{program}, k.args(s)...), Dir: s.Dir, Output: s.File("output.log"),
	})
	if err != nil {
		return nil, err
	}
	peer := &peers.Peer{System: balancer, Setup: peers.Setup{Dir: s.Dir, Workers: s.Workers}, Process: process}
	return &Balancer{Peer: peer, Setup: s}, nil
}

// Write writes a balancer's configuration into its directory.
func Write(balancer string, s Setup) error {
	k, err := kindOf(balancer)
	if err != nil {
		return err
	}
	text, err := Render(balancer, s)
	if err != nil {
		return err
	}
	return os.WriteFile(s.File(k.file), text, 0o644)
}
