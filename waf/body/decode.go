package body

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

const (
	defaultSize  = 16 << 20
	defaultRatio = 100
	freeSize     = 64 << 10 // decoded bytes to which the ratio does not apply
	maxCodings   = 2
	maxWindow    = 8 << 20 // of zstd: what RFC 8878 asks every decoder to support
	maxWindowLog = 22      // of Brotli: 4 MiB, which encoders use unless told otherwise
)

// DecodeLimits bound what Decode makes of a body.
type DecodeLimits struct {
	// Size is how large the decoded body may be, in bytes: 16 MiB if zero.
	Size int
	// Ratio is how many times larger than data the decoded body may be, 100
	// if zero. It does not apply to the first 64 KiB.
	Ratio int
}

// bound is how many bytes may come of n, and the reason when more would.
func (l DecodeLimits) bound(n int) (most int, reason string) {
	if l.Size <= 0 {
		l.Size = defaultSize
	}
	if l.Ratio <= 0 {
		l.Ratio = defaultRatio
	}
	if n < l.Size/l.Ratio {
		if most = max(n*l.Ratio, freeSize); most < l.Size {
			return most, reasonCodedRatio
		}
	}
	return l.Size, reasonCodedLarge
}

// Decode undoes the codings of a body, which encodings lists as the
// Content-Encoding field does: in the order in which they were applied. It
// knows gzip, deflate (with the zlib wrapper and, as some clients send it,
// without), br, zstd and identity, two at most. The limits apply to what each
// coding decodes to.
//
// An error is a *Refusal: 415 for a coding that is not known, 413 for too
// large a body, 400 for data that are broken, have something after their end,
// or consist of several members, of which some decoders read only the first.
// An empty body is not decoded. The result is data itself where there was
// nothing to undo.
func Decode(encodings string, data []byte, lim DecodeLimits) ([]byte, error) {
	codings, refused := codingsOf(encodings)
	if refused != nil {
		return nil, refused
	}
	if len(data) == 0 {
		return data, nil
	}
	most, tooMuch := lim.bound(len(data))
	for i := len(codings) - 1; i >= 0; i-- {
		data, refused = codings[i](data, most, tooMuch)
		if refused != nil {
			return nil, refused
		}
	}
	return data, nil
}

// coding undoes one. It stops with tooMuch when more than most bytes come.
type coding func(data []byte, most int, tooMuch string) ([]byte, *Refusal)

func codingsOf(encodings string) (list []coding, refused *Refusal) {
	for name := range strings.SplitSeq(encodings, ",") {
		var c coding
		switch name = trimBlanks(name); strings.ToLower(name) {
		case "", "identity":
			continue
		case "gzip", "x-gzip":
			c = ungzip
		case "deflate":
			c = inflate
		case "br":
			c = unbrotli
		case "zstd":
			c = unzstd
		default:
			return nil, refuse(415, reasonCoding)
		}
		if len(list) == maxCodings {
			return nil, refuse(415, reasonCodings)
		}
		list = append(list, c)
	}
	return list, nil
}

func ungzip(data []byte, most int, tooMuch string) ([]byte, *Refusal) {
	in := bytes.NewReader(data)
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, refuse(400, reasonCoded)
	}
	z.Multistream(false)
	out, refused := drain(z, in, most, tooMuch)
	if refused != nil && refused.Reason == reasonCodedRest && bytes.HasPrefix(data[len(data)-in.Len():], []byte{0x1f, 0x8b}) {
		return nil, refuse(400, reasonCodedFrames)
	}
	return out, refused
}

// inflate reads deflate, which RFC 9110 has in a zlib wrapper. Some clients
// leave that out, which the first two bytes tell.
func inflate(data []byte, most int, tooMuch string) ([]byte, *Refusal) {
	in := bytes.NewReader(data)
	if len(data) >= 2 && data[0]&0x8f == 8 && (int(data[0])<<8|int(data[1]))%31 == 0 {
		z, err := zlib.NewReader(in)
		if err != nil { // it wants a dictionary
			return nil, refuse(400, reasonCoded)
		}
		return drain(z, in, most, tooMuch)
	}
	return drain(flate.NewReader(in), in, most, tooMuch)
}

func unbrotli(data []byte, most int, tooMuch string) ([]byte, *Refusal) {
	if brotliWindow(data[0]) > maxWindowLog {
		return nil, refuse(413, reasonCodedLarge)
	}
	in := bytes.NewReader(data)
	return drain(brotli.NewReader(in), in, most, tooMuch)
}

// brotliWindow is the logarithm of a stream's window size, which its first
// bits say (RFC 7932 9.1). 25 stands for a stream that is none, or has the
// large window of RFC 9841.
func brotliWindow(first byte) int {
	switch {
	case first&1 == 0:
		return 16
	case first&0x0e != 0:
		return 17 + int(first>>1&7)
	case first&0x70 == 0x10:
		return 25
	case first&0x70 != 0:
		return 8 + int(first>>4&7)
	}
	return 17
}

// drain reads all that a decoder gives, and makes sure that it took all of in.
func drain(z io.Reader, in *bytes.Reader, most int, tooMuch string) ([]byte, *Refusal) {
	var out bytes.Buffer
	out.Grow(min(most, 4*in.Len()) + bytes.MinRead)
	_, err := out.ReadFrom(io.LimitReader(z, int64(most)+1))
	switch {
	case out.Len() > most:
		return nil, refuse(413, tooMuch)
	case err != nil && err.Error() == "brotli: excessive input":
		return nil, refuse(400, reasonCodedRest)
	case err != nil:
		return nil, refuse(400, reasonCoded)
	case in.Len() > 0:
		return nil, refuse(400, reasonCodedRest)
	}
	return out.Bytes(), nil
}

func unzstd(data []byte, most int, tooMuch string) ([]byte, *Refusal) {
	switch size := zstdFrame(data); {
	case size == 0:
		return nil, refuse(400, reasonCoded)
	case size < len(data):
		return nil, refuse(400, reasonCodedFrames)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(uint64(most)), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, refuse(400, reasonCoded)
	}
	defer d.Close()
	out, err := d.DecodeAll(data, nil)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, refuse(413, tooMuch)
	case err != nil:
		return nil, refuse(400, reasonCoded)
	}
	return out, nil
}

// zstdFrame is the length of the frame that data begin with (RFC 8878 3.1.1),
// or 0 if they do not. The library would read on into what follows it.
func zstdFrame(data []byte) int {
	var h zstd.Header
	if err := h.Decode(data); err != nil || h.Skippable {
		return 0
	}
	at := h.HeaderSize
	for last := false; !last; {
		if len(data)-at < 3 {
			return 0
		}
		block := int(data[at]) | int(data[at+1])<<8 | int(data[at+2])<<16
		size := block >> 3
		if block>>1&3 == 1 { // one byte, repeated size times
			size = 1
		}
		at += 3 + size
		last = block&1 == 1
	}
	if h.HasCheckSum {
		at += 4
	}
	if at > len(data) {
		return 0
	}
	return at
}
