package http3

import (
	"fmt"

	"github.com/quic-go/quic-go"
)

// ExcessiveLoad is H3_EXCESSIVE_LOAD, for connections that are not served.
const ExcessiveLoad = quic.ApplicationErrorCode(codeExcessiveLoad)

// code is why a stream or a connection ends (RFC 9114 8.1, RFC 9204 6).
type code uint64

const (
	codeNo                code = 0x100
	codeGeneral           code = 0x101
	codeInternal          code = 0x102
	codeStreamCreation    code = 0x103
	codeClosedCritical    code = 0x104
	codeFrameUnexpected   code = 0x105
	codeFrame             code = 0x106
	codeExcessiveLoad     code = 0x107
	codeID                code = 0x108
	codeSettings          code = 0x109
	codeMissingSettings   code = 0x10a
	codeRequestRejected   code = 0x10b
	codeRequestCancelled  code = 0x10c
	codeRequestIncomplete code = 0x10d
	codeMessage           code = 0x10e
	codeDecompression     code = 0x200
	codeEncoderStream     code = 0x201
	codeDecoderStream     code = 0x202
)

// connError ends the connection.
type connError struct{ code code }

func (e connError) Error() string { return fmt.Sprintf("connection error %#x", uint64(e.code)) }

// streamError ends the stream.
type streamError struct{ code code }

func (e streamError) Error() string { return fmt.Sprintf("stream error %#x", uint64(e.code)) }
