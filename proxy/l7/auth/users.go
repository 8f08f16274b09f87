package auth

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	maxUsers = 100_000
	maxUser  = 256 // bytes of a name
	// maxCost bounds how long one comparison takes: about a second.
	maxCost = 14
)

// Users are the users of an htpasswd file.
type Users struct {
	hashes map[string][]byte
	nobody []byte // a hash that no password has, for users that are not there
	mixed  bool
}

// ParseUsers reads lines user:hash, bcrypt only. The error names every line
// that is wrong, ten at most.
func ParseUsers(file []byte) (*Users, error) {
	u := &Users{hashes: map[string][]byte{}}
	var wrong []string
	least, most, n := 0, bcrypt.MinCost, 0
	for line := range bytes.Lines(file) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		cost, err := u.add(string(line))
		if err != nil {
			if wrong = append(wrong, fmt.Sprintf("line %d: %s", n, err)); len(wrong) == 10 {
				break
			}
			continue
		}
		if least == 0 || cost < least {
			least = cost
		}
		most = max(most, cost)
	}
	if len(wrong) > 0 {
		return nil, errors.New(strings.Join(wrong, "; "))
	}
	u.mixed = least != 0 && least != most
	var secret [16]byte
	rand.Read(secret[:])
	var err error
	u.nobody, err = bcrypt.GenerateFromPassword(secret[:], most)
	return u, err
}

// Mixed reports whether hashes differ in how long they take, by which one can
// tell that a user is there.
func (u *Users) Mixed() bool { return u.mixed }

// Len is the number of users.
func (u *Users) Len() int { return len(u.hashes) }

func (u *Users) add(line string) (cost int, err error) {
	name, hash, ok := strings.Cut(line, ":")
	switch {
	case !ok || name == "":
		return 0, errors.New("is not user:hash")
	case len(name) > maxUser || hasControl([]byte(name)):
		return 0, fmt.Errorf("a user's name has at most %d bytes and no control characters", maxUser)
	case u.hashes[name] != nil:
		return 0, fmt.Errorf("user %q is there already", name)
	case len(u.hashes) >= maxUsers:
		return 0, fmt.Errorf("more than %d users", maxUsers)
	}
	if cost, err = checkHash(hash); err != nil {
		return 0, fmt.Errorf("user %q: %w", name, err)
	}
	u.hashes[name] = []byte(hash)
	return cost, nil
}

// weakHashes begin the hashes that are refused, and say what they are.
var weakHashes = [...][2]string{{"$apr1$", "MD5"}, {"$1$", "MD5"}, {"{SHA}", "SHA-1 without salt"}, {"{SSHA}", "SHA-1"},
	{"$5$", "SHA-256-crypt"}, {"$6$", "SHA-512-crypt"}, {"$argon2", "Argon2"}, {"$y$", "yescrypt"}}

func checkHash(hash string) (cost int, err error) {
	const advice = "is not supported; make it anew with htpasswd -B (bcrypt)"
	for _, weak := range weakHashes {
		if strings.HasPrefix(hash, weak[0]) {
			return 0, fmt.Errorf("%s %s", weak[1], advice)
		}
	}
	if !strings.HasPrefix(hash, "$2a$") && !strings.HasPrefix(hash, "$2b$") && !strings.HasPrefix(hash, "$2y$") {
		return 0, fmt.Errorf("a plain password, or crypt, %s", advice)
	}
	// Whatever Cost does not look at, a comparison does, with an error other
	// than that of a wrong password.
	if cost, err = bcrypt.Cost([]byte(hash)); err != nil || len(hash) != 60 || strings.ContainsAny(hash[7:], "$:") {
		return 0, errors.New("the bcrypt hash is malformed")
	}
	if cost > maxCost {
		return 0, fmt.Errorf("the bcrypt hash has cost %d; more than %d takes too long", cost, maxCost)
	}
	return cost, nil
}

// has compares a password, in the same time whether the user is there or not.
func (u *Users) has(user string, password []byte) bool {
	hash, known := u.hashes[user]
	if !known {
		hash = u.nobody
	}
	return bcrypt.CompareHashAndPassword(hash, password) == nil && known
}

func hasControl(b []byte) bool {
	return bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r == 0x7f })
}
