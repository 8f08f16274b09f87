package compression

import (
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"gatehouse/config"
)

const (
	numCodings = int(config.CodingZstd) + 1
	numLevels  = int(config.CompressionSmall) + 1

	// zstdWindow and brotliLogWindow bound how far back encoders look, and with
	// that what they and clients remember.
	zstdWindow      = 128 << 10
	brotliLogWindow = 18
)

// writer is what the three libraries have in common.
type writer interface {
	io.Writer
	Flush() error
	Close() error
	Reset(io.Writer)
}

// coding is one content coding: its levels in the library's own numbers, and
// what one encoder of each level takes of memory, as measured by a test.
type coding struct {
	token  string
	level  [numLevels]int
	memory [numLevels]int64
	open   func(level int) (writer, error)
}

var codings = [numCodings]coding{
	config.CodingGzip: {token: "gzip", level: [numLevels]int{1, 6, 9}, memory: [numLevels]int64{896 << 10, 1152 << 10, 1536 << 10},
		open: func(level int) (writer, error) { return gzip.NewWriterLevel(io.Discard, level) }},
	config.CodingBrotli: {token: "br", level: [numLevels]int{2, 3, 6}, memory: [numLevels]int64{1792 << 10, 1792 << 10, 5120 << 10},
		open: func(level int) (writer, error) {
			return brotli.NewWriterOptions(io.Discard, brotli.WriterOptions{Quality: level, LGWin: brotliLogWindow}), nil
		}},
	config.CodingZstd: {token: "zstd", level: [numLevels]int{int(zstd.SpeedFastest), int(zstd.SpeedDefault), int(zstd.SpeedBetterCompression)},
		memory: [numLevels]int64{896 << 10, 2112 << 10, 5120 << 10}, open: openZstd},
}

// openZstd makes an encoder that starts no goroutine.
func openZstd(level int) (writer, error) {
	return zstd.NewWriter(io.Discard, zstd.WithEncoderLevel(zstd.EncoderLevel(level)), zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
}
