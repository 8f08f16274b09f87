package config

import "time"

// ACME says how a listener's certificates are obtained from a certificate
// authority (RFC 8555), one for each of its host names. The zero value of
// what is not written has been filled in. It is comparable: listeners that say
// the same share account and certificates.
type ACME struct {
	Email      string // of the account; empty: none
	Directory  string // the URL of the authority's directory ("ca")
	CAFile     string // PEM: roots to trust for the directory; empty: the system's
	Storage    string // a directory: account keys, certificates and their keys, challenges, locks
	KeyType    ACMEKeyType
	Challenges ACMEChallenges
	EAB        ACMEBinding // external account binding; empty: none
	DNS        ACMEDNS     // for dns-01
}

// ACMEKeyType is the kind of key that certificates get.
type ACMEKeyType uint8

const (
	ACMEKeyP256 ACMEKeyType = iota
	ACMEKeyP384
	ACMEKeyRSA2048
	ACMEKeyRSA3072
	ACMEKeyRSA4096
)

// ACMEChallenges are the ways in which control of a name may be proved.
type ACMEChallenges struct {
	HTTP01    bool // RFC 8555 8.3
	TLSALPN01 bool // RFC 8737
	DNS01     bool // RFC 8555 8.4; the only one for wildcard names
}

// ACMEBinding binds the account to one that the authority's operator knows
// (RFC 8555 7.3.4).
type ACMEBinding struct {
	KeyID   string
	KeyFile string // the MAC key in base64url
}

// ACMEDNS says how TXT records are set: by dynamic updates (RFC 2136).
type ACMEDNS struct {
	Server      string // host:port of the zone's primary server; empty: none
	Zone        string // empty: the server is asked
	KeyName     string // of a TSIG key (RFC 8945); empty: updates are not signed
	Algorithm   string
	KeyFile     string        // the TSIG secret in base64
	Propagation time.Duration // between the record and the authority's look at it
}

// ClientOCSP is whether, and how strictly, a responder is asked whether a
// client's certificate is revoked (RFC 6960).
type ClientOCSP uint8

const (
	ClientOCSPOff  ClientOCSP = iota
	ClientOCSPOn              // who cannot be asked about is refused
	ClientOCSPSoft            // who cannot be asked about is let in
)
