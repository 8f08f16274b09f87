package l4

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stream is a connection to a member through the balancer.
type stream struct {
	net.Conn
	read   *bufio.Reader
	member string // who answered
}

func newStream(c net.Conn) *stream { return &stream{Conn: c, read: bufio.NewReader(c)} }

// dial opens one and reads the member's name.
func dial(address string) (*stream, error) {
	c, err := net.DialTimeout("tcp", address, soon)
	if err != nil {
		return nil, err
	}
	return greeted(c)
}

// greeted reads the member's name from a connection.
func greeted(c net.Conn) (*stream, error) {
	s := newStream(c)
	c.SetDeadline(time.Now().Add(soon))
	name, err := s.read.ReadString('\n')
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("no greeting: %w", err)
	}
	s.member = strings.TrimSpace(name)
	return s, nil
}

// open is dial, which must go well.
func open(t *testing.T, address string) *stream {
	t.Helper()
	s, err := dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// openTo opens connections until one goes to the member.
func openTo(t *testing.T, address, member string) *stream {
	t.Helper()
	return streamTo(t, member, func() *stream { return open(t, address) })
}

// streamTo opens connections until one goes to the member.
func streamTo(t *testing.T, member string, open func() *stream) *stream {
	t.Helper()
	for range 500 {
		s := open()
		if s.member == member {
			return s
		}
		s.Close()
	}
	t.Fatalf("of 500 connections none goes to %s", member)
	return nil
}

// echo sends a line and wants it back.
func (s *stream) echo(text string) error {
	s.SetDeadline(time.Now().Add(soon))
	if _, err := fmt.Fprintln(s, text); err != nil {
		return err
	}
	got, err := s.read.ReadString('\n')
	if err == nil && got != text+"\n" {
		err = fmt.Errorf("%q came back as %q", text, got)
	}
	return err
}

// end waits for the end and tells how it came: "closed", "reset", or what else
// happened.
func (s *stream) end(within time.Duration) string {
	s.SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, s.read)
	return endOf(err)
}

// endOf names what reading to the end came to.
func endOf(err error) string {
	switch {
	case err == nil:
		return "closed"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "goes on"
	}
	return err.Error()
}

// talk is the datagrams from one port.
type talk struct {
	net.Conn
	n int
}

func openUDP(t *testing.T, address string) *talk {
	t.Helper()
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &talk{Conn: c}
}

// openUDPTo opens ports until the datagrams of one go to the member.
func openUDPTo(t *testing.T, address, member string) *talk {
	t.Helper()
	return talkTo(t, member, func() *talk { return openUDP(t, address) })
}

// talkTo opens ports until the datagrams of one go to the member.
func talkTo(t *testing.T, member string, open func() *talk) *talk {
	t.Helper()
	for range 500 {
		u := open()
		if who, _ := u.ask(soon); who == member {
			return u
		}
		u.Close()
	}
	t.Fatalf("of 500 ports none goes to %s", member)
	return nil
}

// ask sends a datagram and returns the name of the member that answers it.
func (u *talk) ask(within time.Duration) (string, error) {
	u.n++
	want := fmt.Sprintf("question %d", u.n)
	if _, err := u.Write([]byte(want)); err != nil {
		return "", err
	}
	u.SetReadDeadline(time.Now().Add(within))
	b := make([]byte, 2048)
	for {
		n, err := u.Read(b)
		if err != nil {
			return "", err
		}
		if name, text, _ := strings.Cut(string(b[:n]), " "); text == want {
			return name, nil
		} // else: a late answer
	}
}
