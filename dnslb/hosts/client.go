package hosts

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

const (
	queryTimeout = 3 * time.Second // for one query over one transport
	triesEach    = 2               // of one server

	// largestUDP is the most that is read of a datagram, and advertisedUDP
	// what a server is told to send: larger ones may be fragmented, and
	// fragments forged (RFC 9715).
	largestUDP    = 4096
	advertisedUDP = 1232

	// maxStray bounds the datagrams that are no answer to a query and yet
	// come from its server: somebody guesses.
	maxStray = 64
)

var (
	errBadName    = errors.New("not a domain name")
	errNoSuchHost = errors.New("no such host")
	errStray      = errors.New("only messages that do not answer the query")
	errMalformed  = errors.New("malformed answer")
)

// refusal is a response code that says that the server cannot answer.
type refusal int

func (r refusal) Error() string {
	if text, ok := dns.RcodeToString[int(r)]; ok {
		return "the name server answers " + text
	}
	return fmt.Sprintf("the name server answers code %d", int(r))
}

// client asks name servers.
type client struct {
	timeout time.Duration // of one query
}

// lookup asks the servers, addresses with ports, for both families. It does not
// ask for the second one when the name does not exist, or when nothing that
// makes sense came from any server.
func (c *client) lookup(ctx context.Context, servers []string, host string) ([]netip.Addr, time.Duration, error) {
	if _, ok := dns.IsDomainName(host); !ok {
		return nil, 0, errBadName
	}
	servers = slices.Clone(servers)
	four, errFour := c.ask(ctx, servers, host, dns.TypeA)
	if errFour != nil && !errors.As(errFour, new(refusal)) {
		return nil, 0, errFour
	}
	six, errSix := c.ask(ctx, servers, host, dns.TypeAAAA)
	if errors.Is(errSix, errNoSuchHost) && errFour == nil {
		errSix = nil // some servers say so of a name without AAAA (RFC 4074, section 4.2)
	}
	ttl := four.ttl
	if len(four.addrs) == 0 || len(six.addrs) > 0 && six.ttl < ttl {
		ttl = six.ttl
	}
	if errFour == nil {
		errFour = errSix
	}
	return append(four.addrs, six.addrs...), ttl, errFour
}

// ask asks one server after the other until one answers, and puts that one at
// the head for the next question.
func (c *client) ask(ctx context.Context, servers []string, host string, qtype uint16) (answer, error) {
	var last error
	for i, server := range servers {
		for try := range triesEach {
			found, err := c.try(ctx, server, question(host, qtype, try == 0))
			if err == nil || errors.Is(err, errNoSuchHost) {
				copy(servers[1:i+1], servers[:i])
				servers[0] = server
				return found, err
			}
			last = err
		}
	}
	return answer{}, last
}

// question is a query, with or without EDNS: a server that knows it not may
// refuse the query or be silent.
func question(host string, qtype uint16, edns bool) *dns.Msg {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(host), qtype)
	if edns {
		q.SetEdns0(advertisedUDP, false)
	}
	return q
}

// try asks one server once, and again over TCP if the answer is truncated.
func (c *client) try(ctx context.Context, server string, q *dns.Msg) (answer, error) {
	reply, err := c.exchange(ctx, "udp", server, q)
	if err == nil && reply.Truncated {
		reply, err = c.exchange(ctx, "tcp", server, q)
		if err == nil && reply.Truncated {
			err = errMalformed
		}
	}
	switch {
	case err != nil:
		return answer{}, err
	case reply.Rcode == dns.RcodeNameError:
		return answer{}, errNoSuchHost
	case reply.Rcode != dns.RcodeSuccess:
		return answer{}, refusal(reply.Rcode)
	}
	return follow(reply.Answer, q.Question[0])
}

// exchange sends a query on a connection of its own, from a port that the
// kernel picks at random, and waits for its answer, no longer than ctx.
func (c *client) exchange(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	conn, err := (&dns.Client{Net: network, DialTimeout: c.timeout}).DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.UDPSize = largestUDP + 1 // to see that more came
	expire := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer expire()
	if err := conn.WriteMsg(q); err != nil {
		return nil, err
	}
	return receive(conn, q, network == "udp")
}

// receive reads the answer to a query. Datagrams that are not that are passed
// over, since anybody can send some; on a stream the server itself errs.
func receive(conn *dns.Conn, q *dns.Msg, datagrams bool) (*dns.Msg, error) {
	for range maxStray {
		data, err := conn.ReadMsgHeader(nil)
		if err != nil && !(datagrams && errors.Is(err, dns.ErrShortRead)) {
			return nil, err
		}
		reply := new(dns.Msg)
		err = reply.Unpack(data)
		if answers(reply, q) {
			if !reply.Truncated && (err != nil || datagrams && len(data) > largestUDP) {
				return nil, errMalformed
			}
			return reply, nil
		}
		if !datagrams {
			break
		}
	}
	return nil, errStray
}

// answers says whether a message is the response to a query: its number, and
// its question as it was asked.
func answers(reply, q *dns.Msg) bool {
	if reply.Id != q.Id || !reply.Response || reply.Opcode != dns.OpcodeQuery || len(reply.Question) != 1 {
		return false
	}
	got, want := reply.Question[0], q.Question[0]
	return got.Qtype == want.Qtype && got.Qclass == want.Qclass && sameName(got.Name, want.Name)
}
