package config

// CompressionPolicy says which responses are compressed for clients that
// accept it, and how.
type CompressionPolicy struct {
	Name      string
	Encodings []ContentCoding // the first is preferred where the client does not mind
	Types     []string        // media types in lower case; one * stands for any text
	MinLength int             // bytes; shorter bodies stay as they are. 0..1 MiB, default 1 KiB
	Level     CompressionLevel
	Pos       Pos
}

// CompressionOff is what an action writes for no compression.
const CompressionOff = "off"

// ContentCoding is a content coding (RFC 9110 8.4.1) that bodies are encoded
// with.
type ContentCoding uint8

const (
	CodingNone ContentCoding = iota
	CodingGzip
	CodingBrotli // RFC 7932
	CodingZstd   // RFC 8878, RFC 9659
)

// CompressionLevel says how much time and memory is spent for how few bytes.
type CompressionLevel uint8

const (
	CompressionFast CompressionLevel = iota
	CompressionBalanced
	CompressionSmall
)
