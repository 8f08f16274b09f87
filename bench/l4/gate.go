//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	flows "gatehouse/bench/l4/load"
)

// gate checks the answers of a balancer before it is measured: who is fast but
// wrong takes no part.
type gate struct{ c *benchCase }

func newGate(c *benchCase) *gate { return &gate{c: c} }

// gateFlows is how many flows the gate makes to a rule: with two members some
// go to each.
const gateFlows = 16

// gateLimit bounds one exchange.
const gateLimit = 2 * time.Second

// check makes flows to the first, the middle and the last rule.
func (g *gate) check(ctx context.Context, rules []netip.AddrPort) error {
	for _, i := range []int{0, len(rules) / 2, len(rules) - 1} {
		for range gateFlows {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := g.one(rules[i]); err != nil {
				return fmt.Errorf("rule %d: %w", i, err)
			}
		}
	}
	return nil
}

// one makes a flow and checks what comes back.
func (g *gate) one(at netip.AddrPort) error {
	switch g.c.kind {
	case kindUDP:
		return checkEcho(at, g.c.size)
	case kindStreams:
		return flows.CheckSink(at, gateLimit)
	}
	return checkHTTP(at, g.c.path)
}

// checkHTTP asks twice on a connection, and compares all of what comes.
func checkHTTP(at netip.AddrPort, path string) error {
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := http.Client{Timeout: gateLimit, Transport: transport}
	for range 2 {
		r, err := client.Get("http://" + at.String() + path)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return err
		}
		if err := judgeBody(r.StatusCode, body, bodyLength(path)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// judgeBody tells what is wrong with an answer of the members' HTTP.
func judgeBody(status int, body []byte, length int) error {
	if status != http.StatusOK || len(body) != length {
		return fmt.Errorf("status %d with %d bytes, want 200 with %d", status, len(body), length)
	}
	for i, b := range body {
		if b != 'a'+byte(i%26) {
			return fmt.Errorf("byte %d is %q", i, b)
		}
	}
	return nil
}

// checkEcho sends a few datagrams of a flow, one after the other.
func checkEcho(at netip.AddrPort, size int) error {
	conn, err := net.Dial("udp4", at.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	sent, got := make([]byte, size), make([]byte, 2048)
	for i := range size {
		sent[i] = byte(i * 7)
	}
	for i := range uint64(3) {
		binary.LittleEndian.PutUint64(sent, i)
		if err := conn.SetDeadline(time.Now().Add(gateLimit)); err != nil {
			return err
		}
		if _, err := conn.Write(sent); err != nil {
			return err
		}
		n, err := conn.Read(got)
		if err != nil {
			return err
		}
		if !bytes.Equal(got[:n], sent) {
			return fmt.Errorf("%d bytes came back that are not the %d sent", n, size)
		}
	}
	return nil
}

// reachable keeps an error only if the balancer did not answer at all: what it
// answers is judged once, afterwards, and not waited for.
func reachable(err error) error {
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
