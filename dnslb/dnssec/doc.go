// Package dnssec signs the answers of a zone as they are asked for.
//
// One key does everything: a combined signing key (CSK) of ECDSA P-256,
// algorithm 13, which [LoadOrCreate] reads or makes. A [Signer] signs RRsets
// with it and remembers the signatures by what they sign, so that a set of
// answers costs one signature in some days, however often it is given. New
// signatures are limited: whoever asks for names at random gets [ErrBusy],
// which a server answers with SERVFAIL, and not the whole machine.
//
// What does not exist is denied compactly (RFC 9824): one NSEC record says
// of the very name that was asked for that it has no such type ([Signer.NSEC]) or
// that it does not exist ([Signer.Nonexistent]). [Rcode] says with which response
// code. Nothing but the name itself is disclosed, and the zone needs no order.
//
// To the server is left:
//   - DNSKEY, CDS and CDNSKEY at the apex, signed like the rest, and in the
//     types of the apex's NSEC;
//   - the SOA, signed, beside each denial, whose TTL is the lesser of the SOA's
//     TTL and its MINIMUM (RFC 9077);
//   - a question for the type NXNAME itself, which is answered with FORMERR and
//     the extended error 30, Invalid Query Type (RFC 9824 3.5): it is a mark in
//     type bitmaps, and no record;
//   - a referral to a zone without a DS: NSEC of the delegation's name, with NS
//     as its only type, beside the NS set, which is not signed;
//   - signing nothing for who did not set DO.
package dnssec
