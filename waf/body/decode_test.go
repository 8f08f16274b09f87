package body

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

func encode(tb testing.TB, coding string, data []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch coding {
	case "gzip", "x-gzip":
		w = gzip.NewWriter(&out)
	case "deflate":
		w = zlib.NewWriter(&out)
	case "raw":
		w, err = flate.NewWriter(&out, flate.BestSpeed)
	case "br":
		w = brotli.NewWriter(&out)
	case "zstd":
		w, err = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	}
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// noise is data that does not compress.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

func TestDecodeUndoesCodings(t *testing.T) {
	text := []byte(strings.Repeat("name=value&", 200))
	tests := []struct {
		name, encodings string
		data            []byte
	}{
		{"none", "", text},
		{"identity", "identity, ,IDENTITY", text},
		{"gzip", "gzip", encode(t, "gzip", text)},
		{"x-gzip in capitals", "X-GZIP", encode(t, "gzip", text)},
		{"deflate", "deflate", encode(t, "deflate", text)},
		{"deflate without its wrapper", "deflate", encode(t, "raw", text)},
		{"br", "br", encode(t, "br", text)},
		{"zstd", "zstd", encode(t, "zstd", text)},
		{"two", "gzip, br", encode(t, "br", encode(t, "gzip", text))},
		{"the same twice", "gzip,gzip", encode(t, "gzip", encode(t, "gzip", text))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode(tt.encodings, tt.data, DecodeLimits{})
			if err != nil || !bytes.Equal(got, text) {
				t.Errorf("got %.40q, %v", got, err)
			}
		})
	}
	if got, err := Decode("gzip", nil, DecodeLimits{}); err != nil || len(got) != 0 {
		t.Errorf("no body: got %q, %v", got, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	zeros := make([]byte, 8<<20)
	large := noise(200 << 10)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	type row struct {
		name, encodings string
		data            []byte
		lim             DecodeLimits
		want            string
	}
	rows := []row{
		{"unknown coding", "compress", []byte("x"), DecodeLimits{}, reasonCoding},
		{"a coding of another name", "gzip2", []byte("x"), DecodeLimits{}, reasonCoding},
		{"three codings", "gzip,gzip,gzip", []byte("x"), DecodeLimits{}, reasonCodings},
		{"two members", "gzip", join(encode(t, "gzip", []byte("a")), encode(t, "gzip", []byte("b"))), DecodeLimits{}, reasonCodedFrames},
		{"two frames", "zstd", join(encode(t, "zstd", []byte("a")), encode(t, "zstd", []byte("b"))), DecodeLimits{}, reasonCodedFrames},
		{"skippable frame", "zstd", []byte("\x50\x2a\x4d\x18\x01\x00\x00\x00x"), DecodeLimits{}, reasonCoded},
		{"zlib with a dictionary", "deflate", []byte("\x78\xbb\x00\x00\x00\x01xxxx"), DecodeLimits{}, reasonCoded},
		{"large window", "br", []byte("\x11\x1e\x00"), DecodeLimits{}, reasonCodedLarge},
		{"window of 16 MiB", "br", []byte("\x0f\x00\x00"), DecodeLimits{}, reasonCodedLarge},
		{"bomb in two", "gzip,gzip", encode(t, "gzip", encode(t, "gzip", zeros)), DecodeLimits{Ratio: 1000}, reasonCodedRatio},
	}
	for coding, name := range map[string]string{"gzip": "gzip", "deflate": "deflate", "raw": "deflate", "br": "br", "zstd": "zstd"} {
		data := encode(t, coding, large)
		flipped := bytes.Clone(encode(t, coding, []byte(strings.Repeat("abc", 999))))
		flipped[len(flipped)/2] ^= 0x55
		rest := row{coding + ": something after the end", name, append(bytes.Clone(data), "x"...), DecodeLimits{}, reasonCodedRest}
		if coding == "zstd" {
			rest.want = reasonCodedFrames
		}
		rows = append(rows, rest,
			row{coding + ": bomb", name, encode(t, coding, zeros), DecodeLimits{}, reasonCodedRatio},
			row{coding + ": too large", name, data, DecodeLimits{Size: 100 << 10}, reasonCodedLarge},
			row{coding + ": cut short", name, data[:len(data)-3], DecodeLimits{}, reasonCoded},
			row{coding + ": only the beginning", name, data[:1], DecodeLimits{}, reasonCoded})
		if coding != "raw" && coding != "br" { // those two have no checksum
			rows = append(rows, row{coding + ": damaged", name, flipped, DecodeLimits{}, reasonCoded})
		}
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode(tt.encodings, tt.data, tt.lim)
			var r *Refusal
			if !errors.As(err, &r) || r.Reason != tt.want || got != nil {
				t.Errorf("got %d bytes, %v, want %q", len(got), err, tt.want)
			}
		})
	}
}

func TestDecodeAllowsWhatIsWithinItsLimits(t *testing.T) {
	for _, size := range []int{freeSize, 100 << 10} {
		data := encode(t, "gzip", make([]byte, size))
		for _, n := range []int{size, size - 1} {
			_, err := Decode("gzip", data, DecodeLimits{Size: n, Ratio: 1 << 20})
			if (err == nil) != (n == size) {
				t.Errorf("%d bytes with a limit of %d: %v", size, n, err)
			}
		}
	}
	if _, err := Decode("gzip", encode(t, "gzip", make([]byte, freeSize)), DecodeLimits{}); err != nil {
		t.Errorf("the ratio was applied to a small body: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		f.Add(coding, encode(f, coding, []byte(strings.Repeat("abc", 99))))
		f.Add(coding+",gzip", encode(f, coding, noise(100)))
	}
	f.Add("deflate", encode(f, "raw", []byte("a")))
	f.Fuzz(func(t *testing.T, encodings string, data []byte) {
		got, err := Decode(encodings, data, DecodeLimits{Size: 1 << 20})
		if most := max(freeSize, 100*len(data)); err == nil && len(got) > most {
			t.Errorf("%d bytes from %d", len(got), len(data))
		}
		var r *Refusal
		if err != nil && (!errors.As(err, &r) || r.Status == 0 || r.Reason == "") {
			t.Errorf("error %v is no refusal", err)
		}
	})
}
