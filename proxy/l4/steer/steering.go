package steer

import (
	"fmt"
	"os"
	"sync"

	"github.com/cilium/ebpf/link"
)

// Steering is what is steered in the network namespace of the process.
type Steering struct {
	mu   sync.Mutex
	ns   *os.File
	link *link.NetNsLink // nil: nothing is
}

// Open begins with nothing steered, in the network namespace of the calling
// thread, which is that of the process where nothing has changed it.
func Open() (*Steering, error) {
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("steer: %w", err)
	}
	return &Steering{ns: ns}, nil
}

// Set has just these targets steered from now on, in one step; on an error
// all stays as it was. Nothing costs nothing: without targets no program is
// attached. The sockets' descriptors are needed during the call alone.
func (s *Steering) Set(targets []Target) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(targets) == 0 {
		return s.detach()
	}
	t, err := load(targets)
	if err != nil {
		return fmt.Errorf("steer: %w", err)
	}
	defer t.close()
	if s.link == nil {
		s.link, err = link.AttachNetNs(int(s.ns.Fd()), t.program)
	} else {
		err = s.link.Update(t.program)
	}
	if err != nil {
		return fmt.Errorf("steer: attach the program: %w", explain(err))
	}
	return nil
}

// Close ends the steering. Connections that were accepted are not affected.
func (s *Steering) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.detach()
	s.ns.Close()
	return err
}

func (s *Steering) detach() error {
	if s.link == nil {
		return nil
	}
	err := s.link.Close()
	s.link = nil
	return err
}
