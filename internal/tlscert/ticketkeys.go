package tlscert

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"gatehouse/config"
	"gatehouse/internal/smallfile"
)

// TicketKeys are keys of session tickets that several instances share:
// immutable. A nil one has none.
type TicketKeys struct {
	secrets [][]byte // the first seals, all open
}

const (
	maxTicketKeys    = 16
	maxTicketKeyFile = 64 << 10
)

// LoadTicketKeys reads a file of keys: lines of base64, or one key in binary as
// nginx has it.
func LoadTicketKeys(file string) (*TicketKeys, error) {
	data, err := smallfile.Read(file, maxTicketKeyFile)
	if err != nil {
		return nil, err
	}
	k := &TicketKeys{}
	if ticketKeySize(len(data)) { // base64 of either size has another
		k.secrets = [][]byte{data}
		return k, nil
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		secret, err := base64.StdEncoding.DecodeString(line)
		if err != nil || !ticketKeySize(len(secret)) {
			return nil, fmt.Errorf("%s:%d: is not a key, 48 or 80 bytes in base64 (openssl rand -base64 48)", file, n)
		}
		k.secrets = append(k.secrets, secret)
	}
	switch {
	case len(k.secrets) == 0:
		return nil, fmt.Errorf("%s has no key; openssl rand -base64 48 writes one", file)
	case len(k.secrets) > maxTicketKeys:
		return nil, fmt.Errorf("%s has %d keys; at most %d are tried", file, len(k.secrets), maxTicketKeys)
	}
	return k, nil
}

func ticketKeySize(n int) bool { return n == 48 || n == 80 }

// ring makes the keys of a listener under a policy and a demand on clients of
// the shared ones: the same in all instances, and others for all else.
func (k *TicketKeys) ring(listener string, policy config.TLSPolicy, clients string) *ticketRing {
	r := new(ticketRing)
	for _, secret := range k.secrets {
		// Never fails: the length is in bounds.
		key, err := hkdf.Key(sha256.New, secret, nil, "gatehouse session tickets "+ringID(listener, policy, clients), 32)
		if err != nil {
			panic(errors.Join(errors.New("tlscert: ticket key"), err))
		}
		r.keys = append(r.keys, [32]byte(key))
	}
	r.sealer.SetSessionTicketKeys(r.keys)
	return r
}

// TicketSource is where the keys of a listener's tickets come from: [Tickets]
// or [TicketKeys].
type TicketSource interface {
	ring(listener string, policy config.TLSPolicy, clients string) *ticketRing
}
