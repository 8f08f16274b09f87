package dnssec

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// ErrBusy says that more new signatures are wanted than may be made in a
// second. The answer is SERVFAIL; a resolver asks another server, or again.
var ErrBusy = errors.New("too many new signatures")

const (
	// skew is how far clocks may be off: signatures are valid from this long
	// before they are made, and not given when less than this remains.
	skew = time.Hour

	// forData is the share of the new signatures in a burst that denials leave
	// to what exists, so that names at random can not shut out an answer that
	// nobody has asked for yet.
	forData = 0.25
)

// Options bound a [Signer]. The zero value is good.
type Options struct {
	// Validity is how long signatures are valid from when they are made. If
	// zero, 7 days.
	Validity time.Duration

	// Jitter is what is added to Validity at most, in whole seconds, depending
	// on owner and type, so that not all end at once. If zero, one day.
	Jitter time.Duration

	// Refresh is how long before its end a signature is made anew, more than
	// any TTL and less than Validity. If zero, 3 days.
	Refresh time.Duration

	// MaxEntries and MaxBytes bound the signatures that are kept; bytes are an
	// estimate. If zero, 65536 and 64 MiB.
	MaxEntries int
	MaxBytes   int

	// PerSecond is how many new signatures may be made in a second, each some
	// 30 µs of one processor, in bursts of a tenth of that. If zero, 20000.
	PerSecond int
}

// withDefaults fills in what is zero and checks the rest.
func (o Options) withDefaults() (Options, error) {
	orElse(&o.Validity, 7*24*time.Hour)
	orElse(&o.Jitter, 24*time.Hour)
	orElse(&o.Refresh, 3*24*time.Hour)
	orElse(&o.MaxEntries, 1<<16)
	orElse(&o.MaxBytes, 64<<20)
	orElse(&o.PerSecond, 20000)
	switch {
	case min(o.Validity, o.Jitter, o.Refresh) < 0 || min(o.MaxEntries, o.MaxBytes, o.PerSecond) < 0:
		return o, errors.New("a negative option")
	case o.Refresh < skew || o.Validity <= o.Refresh:
		return o, fmt.Errorf("refreshing %v before the end of a validity of %v: it must be %v at least, and less than the validity",
			o.Refresh, o.Validity, skew)
	case o.Validity+o.Jitter > 10*365*24*time.Hour:
		return o, errors.New("signatures that are valid for more than ten years")
	case o.PerSecond > 1e9:
		return o, errors.New("more than 1e9 new signatures in a second")
	}
	return o, nil
}

func orElse[T comparable](value *T, other T) {
	if *value == *new(T) {
		*value = other
	}
}

// Signer signs the RRsets of a zone. It is safe for concurrent use. Who keeps it
// when everything around it changes keeps its signatures.
type Signer struct {
	key     *Key
	zone    []byte // packed
	options Options
	cache   *cache
	new     *bucket
	signed  atomic.Uint64
	refused atomic.Uint64
}

// NewSigner returns a signer for a zone, with or without its final dot, whose
// key must be that of this zone.
func NewSigner(key *Key, zone string, options Options) (*Signer, error) {
	name, err := zoneName(zone)
	if err != nil {
		return nil, err
	}
	if name != key.zone {
		return nil, fmt.Errorf("zone %s: the key is that of %s", name, key.zone)
	}
	if options, err = options.withDefaults(); err != nil {
		return nil, fmt.Errorf("zone %s: signer: %w", name, err)
	}
	packed, err := packName(name)
	if err != nil {
		return nil, err
	}
	return &Signer{
		key:     key,
		zone:    packed,
		options: options,
		cache:   newCache(options.MaxEntries, options.MaxBytes),
		new:     newBucket(options.PerSecond),
	}, nil
}

// Key returns the key that signs.
func (s *Signer) Key() *Key { return s.key }

// Sign returns the signature of an RRset, whose owner it has as it is written
// there. The records are not changed, and the caller may change the result.
//
// An RRset that comes from a wildcard is signed under the name it is given
// for, like any other (RFC 9824 3.3): nobody needs to be told that it is one.
//
// The error is [ErrBusy] if too many new signatures are wanted; all others say
// that the records are no RRset of this zone that can be signed.
func (s *Signer) Sign(rrset []dns.RR) (*dns.RRSIG, error) {
	return s.signAs(rrset, "")
}

// SignWildcard signs an RRset that was made from that of a wildcard, such as
// *.apps.example., so that the signature is that of the wildcard's: its labels
// tell of the expansion (RFC 4034 3.1.3), and one signature serves all names.
// A validator accepts it only with an NSEC that covers the owner beside it
// (RFC 4035 5.3.4), which [Signer.NSEC] is not. It is for zones that have such; the
// others use [Signer.Sign].
func (s *Signer) SignWildcard(rrset []dns.RR, wildcard string) (*dns.RRSIG, error) {
	suffix, ok := strings.CutPrefix(wildcard, "*.")
	if !ok {
		return nil, fmt.Errorf("%q is not a wildcard", wildcard)
	}
	if len(rrset) == 0 || rrset[0] == nil || !dns.IsSubDomain(suffix, rrset[0].Header().Name) ||
		dns.CountLabel(rrset[0].Header().Name) <= dns.CountLabel(suffix) {
		return nil, fmt.Errorf("the records are not below the wildcard %s", wildcard)
	}
	return s.signAs(rrset, wildcard)
}

func (s *Signer) signAs(rrset []dns.RR, owner string) (*dns.RRSIG, error) {
	set, err := canonical(nil, rrset, owner)
	if err != nil {
		return nil, err
	}
	sig, err := s.find(set)
	if err != nil {
		return nil, err
	}
	rr := *sig.rr
	rr.Hdr.Name = rrset[0].Header().Name
	return &rr, nil
}

// Cached returns the packed RRSIG record for a set that is given in the form
// that [Canonical] makes, if there is one that needs no renewal. It allocates
// nothing. The record must not be changed; its owner is that of the set, in
// lower case and not compressed, and its TTL that of the set.
func (s *Signer) Cached(canonical []byte) (rrsig []byte, ok bool) {
	d := digest(sha256.Sum256(canonical))
	if sig := s.cache.get(&d); sig != nil && sig.fresh(time.Now().Unix()) {
		return sig.packed, true
	}
	return nil, false
}

// SignCanonical is [Signer.Cached] that makes what is not there, with the
// errors of [Signer.Sign].
func (s *Signer) SignCanonical(canonical []byte) (rrsig []byte, err error) {
	sig, err := s.find(canonical)
	if err != nil {
		return nil, err
	}
	return sig.packed, nil
}

// find returns a signature for a set in canonical form: a fresh one, else a
// new one, else one that is due for renewal but still good.
func (s *Signer) find(set []byte) (*signature, error) {
	now := time.Now()
	d := digest(sha256.Sum256(set))
	old := s.cache.get(&d)
	if old != nil && old.fresh(now.Unix()) {
		return old, nil
	}
	sig, err := s.cache.once(&d, now.Unix(), func() (*signature, error) { return s.make(set, now) })
	if errors.Is(err, ErrBusy) && old != nil && old.usable(now.Unix()) {
		return old, nil
	}
	return sig, err
}

// make makes a signature for a set in canonical form.
func (s *Signer) make(set []byte, now time.Time) (*signature, error) {
	rr, err := s.unsigned(set, now)
	if err != nil {
		return nil, err
	}
	reserve := 0.0
	if rr.TypeCovered == dns.TypeNSEC {
		reserve = forData
	}
	if !s.new.take(reserve) {
		s.refused.Add(1)
		return nil, ErrBusy
	}
	s.signed.Add(1)
	data := s.head(rr)
	hash := sha256.Sum256(append(data, set...))
	x, y, err := ecdsa.Sign(rand.Reader, s.key.private, hash[:])
	if err != nil {
		return nil, err
	}
	raw := make([]byte, 64) // RFC 6605 4
	x.FillBytes(raw[:32])
	y.FillBytes(raw[32:])
	rr.Signature = base64.StdEncoding.EncodeToString(raw)

	owner := ownerLen(set)
	packed := append(make([]byte, 0, owner+fixed+len(data)+len(raw)), set[:owner]...)
	packed = binary.BigEndian.AppendUint16(packed, dns.TypeRRSIG)
	packed = append(packed, set[owner+2:owner+8]...) // class and TTL
	packed = binary.BigEndian.AppendUint16(packed, uint16(len(data)+len(raw)))
	packed = append(append(packed, data...), raw...)
	return s.dated(&signature{rr: rr, packed: packed}, now), nil
}

// dated fills in the times of a signature.
func (s *Signer) dated(sig *signature, now time.Time) *signature {
	end := now.Unix() + int64(sig.rr.Expiration-uint32(now.Unix()))
	sig.from = now.Add(-skew).Unix()
	sig.refresh = end - int64(s.options.Refresh/time.Second)
	sig.until = end - int64(skew/time.Second)
	return sig
}

// unsigned returns the record for a set in canonical form, without the
// signature itself.
func (s *Signer) unsigned(set []byte, now time.Time) (*dns.RRSIG, error) {
	n := ownerLen(set)
	if n == 0 || len(set) < n+fixed {
		return nil, errors.New("not an RRset in canonical form")
	}
	owner, err := s.owner(set[:n])
	if err != nil {
		return nil, err
	}
	covered := binary.BigEndian.Uint16(set[n:])
	if class := binary.BigEndian.Uint16(set[n+2:]); class != dns.ClassINET || !isData(covered) || covered == dns.TypeRRSIG {
		return nil, fmt.Errorf("%s: %s records of class %d are not signed", owner, dns.Type(covered), class)
	}
	ttl := binary.BigEndian.Uint32(set[n+4:])
	return &dns.RRSIG{
		Hdr:         dns.RR_Header{Name: owner, Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: ttl},
		TypeCovered: covered,
		Algorithm:   dns.ECDSAP256SHA256,
		Labels:      labels(set[:n]),
		OrigTtl:     ttl,
		Expiration:  uint32(now.Add(s.options.Validity).Unix() + s.jitter(set[:n+2])),
		Inception:   uint32(now.Add(-skew).Unix()),
		KeyTag:      s.key.tag,
		SignerName:  s.key.zone,
	}, nil
}

// owner returns the name of a packed owner that is in the zone.
func (s *Signer) owner(packed []byte) (string, error) {
	name, _, err := dns.UnpackDomainName(packed, 0)
	if err != nil {
		return "", fmt.Errorf("owner: %w", err)
	}
	for i := 0; len(packed)-i >= len(s.zone); i += 1 + int(packed[i]) {
		if string(packed[i:]) == string(s.zone) {
			return name, nil
		}
		if packed[i] == 0 {
			break
		}
	}
	return "", fmt.Errorf("%s is not in the zone %s", name, s.key.zone)
}

// jitter returns how many seconds longer than others a set is signed for: the
// same in all processes.
func (s *Signer) jitter(ownerAndType []byte) int64 {
	h := fnv.New64a()
	h.Write(ownerAndType)
	return int64(h.Sum64() % uint64(max(1, s.options.Jitter/time.Second)))
}

// head returns the data of a signature without the signature itself, which is
// what is signed before the set (RFC 4034 3.1.8.1).
func (s *Signer) head(rr *dns.RRSIG) []byte {
	data := make([]byte, 0, 18+len(s.zone))
	data = binary.BigEndian.AppendUint16(data, rr.TypeCovered)
	data = append(data, rr.Algorithm, rr.Labels)
	data = binary.BigEndian.AppendUint32(data, rr.OrigTtl)
	data = binary.BigEndian.AppendUint32(data, rr.Expiration)
	data = binary.BigEndian.AppendUint32(data, rr.Inception)
	data = binary.BigEndian.AppendUint16(data, rr.KeyTag)
	return append(data, s.zone...)
}

// Stats are counters since the start and what the cache holds now.
type Stats struct {
	Signed  uint64 // signatures made
	Refused uint64 // signatures not made because of PerSecond
	Evicted uint64 // signatures dropped for others
	Entries int
	Bytes   int // an estimate
}

// Stats returns the counters of the signer.
func (s *Signer) Stats() Stats {
	st := Stats{Signed: s.signed.Load(), Refused: s.refused.Load(), Evicted: s.cache.evicted.Load()}
	st.Entries, st.Bytes = s.cache.size()
	return st
}
