package dnssec

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// maxKeyFile is more than any file of a key has, in bytes.
const maxKeyFile = 64 << 10

// howToMake ends the errors about keys that can not be used.
const howToMake = "; use one of \"dnssec-keygen -a ECDSAP256SHA256 -f KSK %s\", or move the files away to have a key made"

// LoadOrCreate reads the key of a zone from keyFile, in BIND's format
// (Private-key-format v1.2 or v1.3). Beside it is the public key, a DNSKEY
// record in a file of the same name that ends in .key instead of .private, or
// with .key added. If the zone does not fit the one there, the key is refused;
// if the public file is missing, it is written anew where that is possible,
// as it follows from the private one.
//
// If there is neither file a key is made, and created is true: the files appear
// whole or not at all, the private one with mode 0600. Of two processes that
// do so at once, both end with the same key. A public key without the private
// one is an error: a new key would break the chain of trust that the parent has
// with the old one.
func LoadOrCreate(keyFile, zone string) (key *Key, created bool, err error) {
	zone, err = zoneName(zone)
	if err != nil {
		return nil, false, fmt.Errorf("DNSSEC key %s: %w", keyFile, err)
	}
	key, err = load(keyFile, zone)
	if errors.Is(err, fs.ErrNotExist) {
		key, created, err = create(keyFile, zone)
	}
	if err != nil {
		return nil, false, fmt.Errorf("DNSSEC key %s of zone %s: %w", keyFile, zone, err)
	}
	return key, created, nil
}

// publicFile is where the public key is that belongs to a private one.
func publicFile(keyFile string) string {
	return strings.TrimSuffix(keyFile, ".private") + ".key"
}

func load(keyFile, zone string) (*Key, error) {
	data, err := readKeyFile(keyFile)
	if err != nil {
		return nil, err
	}
	private, err := parsePrivate(string(data))
	if err != nil {
		return nil, fmt.Errorf("%w"+howToMake, err, zone)
	}
	key, err := newKey(zone, private)
	if err != nil {
		return nil, fmt.Errorf("%w"+howToMake, err, zone)
	}
	public, err := readKeyFile(publicFile(keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		_ = place(publicFile(keyFile), key.publicText(), 0o644) // for people only; the directory may be read-only
		return key, nil
	}
	if err == nil {
		err = key.fits(string(public))
	}
	if err != nil {
		return nil, fmt.Errorf("public key %s: %w", publicFile(keyFile), err)
	}
	return key, nil
}

// readKeyFile reads a file of bounded size; a pipe or device is an error, so
// that it can not hold up the start.
func readKeyFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file; name the file of the private key")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w; let this process's user read it", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(data) > maxKeyFile {
		return nil, fmt.Errorf("larger than %d bytes, so not a key", maxKeyFile)
	}
	return data, err
}

// parsePrivate reads lines of "Name: value". No error quotes a value, which
// may be a secret.
func parsePrivate(text string) (*ecdsa.PrivateKey, error) {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	if f := fields["private-key-format"]; f != "v1.2" && f != "v1.3" {
		return nil, errors.New("not a private key in BIND's format: no line \"Private-key-format: v1.3\"")
	}
	number, _, _ := strings.Cut(fields["algorithm"], " ")
	if algorithm, err := strconv.ParseUint(number, 10, 8); err != nil || algorithm != uint64(dns.ECDSAP256SHA256) {
		return nil, fmt.Errorf("algorithm %.20q, where only 13 (ECDSAP256SHA256) is supported", number)
	}
	scalar, err := base64.StdEncoding.DecodeString(fields["privatekey"])
	if err != nil || len(scalar) != 32 {
		return nil, errors.New("PrivateKey is not 32 bytes in base64")
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		return nil, errors.New("PrivateKey is no private key of P-256")
	}
	return private, nil
}

// fits says whether a file of a public key is that of k.
func (k *Key) fits(text string) error {
	rr, err := dns.NewRR(text)
	if err != nil {
		return fmt.Errorf("%w; remove it to have it written anew", err)
	}
	public, ok := rr.(*dns.DNSKEY)
	switch {
	case !ok:
		return errors.New("not a DNSKEY record; remove it to have it written anew")
	case dns.CanonicalName(public.Hdr.Name) != k.zone:
		return fmt.Errorf("it is of the zone %s, not %s; each zone needs a key file of its own", public.Hdr.Name, k.zone)
	case public.Algorithm != dns.ECDSAP256SHA256:
		return fmt.Errorf("algorithm %d, where only 13 is supported"+howToMake, public.Algorithm, k.zone)
	case public.Flags != csk:
		return fmt.Errorf("flags %d, where 257, a combined signing key, is needed"+howToMake, public.Flags, k.zone)
	case public.PublicKey != k.public:
		return errors.New("it does not belong to the private key; restore the right one, or remove it to have it written anew")
	}
	return nil
}

func create(keyFile, zone string) (*Key, bool, error) {
	if _, err := os.Lstat(publicFile(keyFile)); err == nil {
		key, err := load(keyFile, zone) // another process may have made both just now
		if !errors.Is(err, fs.ErrNotExist) {
			return key, false, err
		}
		return nil, false, fmt.Errorf("the private key is missing, but %s exists; restore the private key, "+
			"or remove that file too to have a new key made, for which the parent zone needs a new DS", publicFile(keyFile))
	}
	key, err := generate(zone)
	if err != nil {
		return nil, false, err
	}
	err = place(keyFile, key.privateText(time.Now()), 0o600)
	if errors.Is(err, fs.ErrExist) { // another process was faster
		key, err = load(keyFile, zone)
		return key, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("making it: %w; make the directory, and let this process's user write there", err)
	}
	if err := place(publicFile(keyFile), key.publicText(), 0o644); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, fmt.Errorf("making it: %w", err)
	}
	return key, true, nil
}

// place makes a file that does not exist yet, at once with all it has: a
// crash leaves nothing or the whole.
func place(file, text string, mode fs.FileMode) error {
	dir := filepath.Dir(file)
	temporary, err := os.CreateTemp(dir, ".new-key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.WriteString(text)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), file); err != nil { // unlike a rename, it replaces nothing
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (k *Key) privateText(now time.Time) string {
	scalar, err := k.private.Bytes()
	if err != nil {
		panic("dnssec: a private key that has no bytes: " + err.Error()) // newKey took it
	}
	when := now.UTC().Format("20060102150405")
	return "Private-key-format: v1.3\n" +
		"Algorithm: 13 (ECDSAP256SHA256)\n" +
		"PrivateKey: " + base64.StdEncoding.EncodeToString(scalar) + "\n" +
		"Created: " + when + "\nPublish: " + when + "\nActivate: " + when + "\n"
}

func (k *Key) publicText() string {
	return fmt.Sprintf("; This is a key-signing key, keyid %d, for %s\n%s IN DNSKEY %d 3 %d %s\n",
		k.tag, k.zone, k.zone, csk, dns.ECDSAP256SHA256, k.public)
}
