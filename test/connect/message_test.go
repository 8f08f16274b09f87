package connect

import (
	"encoding/binary"
	"io"
	"net"

	"google.golang.org/protobuf/encoding/protowire"
)

// request is the suite's ServerCompatRequest. Its Go type is internal to the
// suite, and these few fields are read by their numbers.
type request struct {
	raw       []byte
	version   uint64
	tls       bool
	clientCA  []byte
	cert, key []byte
}

// The numbers of the fields in the suite's messages.
const (
	fieldVersion     = 2 // of ServerCompatRequest
	fieldTLS         = 4
	fieldClientCert  = 5
	fieldCredentials = 7
	fieldCert        = 1 // of TLSCreds
	fieldKey         = 2
	fieldHost        = 1 // of ServerCompatResponse
	fieldPort        = 2
	fieldPEM         = 3
)

func readRequest(r io.Reader) (*request, error) {
	raw, err := readMessage(r)
	if err != nil {
		return nil, err
	}
	ask := &request{raw: raw}
	err = fields(raw, func(number protowire.Number, value uint64, data, _ []byte) error {
		switch number {
		case fieldVersion:
			ask.version = value
		case fieldTLS:
			ask.tls = value != 0
		case fieldClientCert:
			ask.clientCA = data
		case fieldCredentials:
			return fields(data, func(number protowire.Number, _ uint64, data, _ []byte) error {
				switch number {
				case fieldCert:
					ask.cert = data
				case fieldKey:
					ask.key = data
				}
				return nil
			})
		}
		return nil
	})
	return ask, err
}

// forBackend is the request to the reference server: in the version of the
// backend, and without certificates of clients, which appgw has checked.
func (r *request) forBackend(version uint64) ([]byte, error) {
	var out []byte
	err := fields(r.raw, func(number protowire.Number, _ uint64, _, whole []byte) error {
		if number != fieldVersion && number != fieldClientCert {
			out = append(out, whole...)
		}
		return nil
	})
	out = protowire.AppendTag(out, fieldVersion, protowire.VarintType)
	return delimited(protowire.AppendVarint(out, version)), err
}

// fields calls f with each field of a message: its value as far as it is a
// number, its data as far as it has some, and the field as a whole.
func fields(message []byte, f func(number protowire.Number, value uint64, data, whole []byte) error) error {
	for len(message) > 0 {
		number, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return protowire.ParseError(tag)
		}
		rest := message[tag:]
		n := protowire.ConsumeFieldValue(number, kind, rest)
		if n < 0 {
			return protowire.ParseError(n)
		}
		var value uint64
		var data []byte
		switch kind {
		case protowire.VarintType:
			value, _ = protowire.ConsumeVarint(rest)
		case protowire.BytesType:
			data, _ = protowire.ConsumeBytes(rest)
		}
		if err := f(number, value, data, message[:tag+n]); err != nil {
			return err
		}
		message = rest[n:]
	}
	return nil
}

// response is a ServerCompatResponse as the runner reads it.
func response(front *net.TCPAddr, cert []byte) []byte {
	out := protowire.AppendTag(nil, fieldHost, protowire.BytesType)
	out = protowire.AppendString(out, front.IP.String())
	out = protowire.AppendTag(out, fieldPort, protowire.VarintType)
	out = protowire.AppendVarint(out, uint64(front.Port))
	if len(cert) > 0 {
		out = protowire.AppendTag(out, fieldPEM, protowire.BytesType)
		out = protowire.AppendBytes(out, cert)
	}
	return delimited(out)
}

// delimited puts the length before a message.
func delimited(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)
}

func readMessage(r io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	message := make([]byte, min(binary.BigEndian.Uint32(length[:]), 1<<20))
	_, err := io.ReadFull(r, message)
	return message, err
}
