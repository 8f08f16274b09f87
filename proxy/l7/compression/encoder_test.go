package compression

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"gatehouse/config"
	"gatehouse/internal/stream"
)

// decoded is what a client makes of a body.
func decoded(t testing.TB, token string, body []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	switch token {
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", token, err)
	}
	return out
}

// text compresses, though not to nothing.
func text(n int, random *rand.Rand) []byte {
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, `{"id": %d, "name": "thing %d"}, `, random.IntN(1e6), random.IntN(50))
	}
	return b.Bytes()[:n]
}

func everyKind(t *testing.T, f func(t *testing.T, coding config.ContentCoding, level config.CompressionLevel)) {
	for c := config.CodingGzip; int(c) < numCodings; c++ {
		for l := range numLevels {
			t.Run(fmt.Sprint(codings[c].token, l), func(t *testing.T) { f(t, c, config.CompressionLevel(l)) })
		}
	}
}

func TestEveryBodyIsDecodedToWhatItWas(t *testing.T) {
	everyKind(t, func(t *testing.T, coding config.ContentCoding, level config.CompressionLevel) {
		random := rand.New(rand.NewPCG(1, uint64(coding)))
		e := NewEngine()
		for round := range 25 {
			body := text(random.IntN(200<<10), random)
			if round%5 == 0 {
				for i := range body {
					body[i] = byte(random.Uint32())
				}
			}
			c, err := e.encoder(coding, level)
			if err != nil {
				t.Fatal(err)
			}
			var sent []byte
			for rest := body; len(rest) > 0; {
				n := min(1+random.IntN(PieceMax), len(rest))
				out, err := c.Encode(rest[:n], random.IntN(2) == 0)
				if err != nil {
					t.Fatal(err)
				}
				sent, rest = append(sent, out...), rest[n:]
			}
			out, err := c.Finish()
			if sent = append(sent, out...); err != nil || !bytes.Equal(decoded(t, codings[coding].token, sent), body) {
				t.Fatalf("%d bytes differ; %v", len(body), err)
			}
			if out, err := whole(c, body); err != nil || !bytes.Equal(decoded(t, codings[coding].token, out), body) {
				t.Fatalf("%d bytes at once differ; %v", len(body), err)
			}
			c.Release()
		}
		if encoders, bytes := e.InUse(); encoders != 0 || bytes != 0 {
			t.Errorf("%d encoders, %d bytes are in use still", encoders, bytes)
		}
	})
}

func whole(c *Encoder, body []byte) ([]byte, error) {
	c.w.Reset(c)
	c.out = c.out[:0]
	return c.Whole(body)
}

// A client that has got a flushed piece can read all of it.
func TestAFlushedPieceIsWhole(t *testing.T) {
	everyKind(t, func(t *testing.T, coding config.ContentCoding, level config.CompressionLevel) {
		c, err := NewEngine().encoder(coding, level)
		if err != nil {
			t.Fatal(err)
		}
		var sent, want []byte
		for i := range 20 {
			piece := fmt.Appendf(nil, "data: event %d\n\n", i)
			out, err := c.Encode(piece, true)
			if err != nil {
				t.Fatal(err)
			}
			sent, want = append(sent, out...), append(want, piece...)
			if got := prefix(t, codings[coding].token, sent, len(want)); !bytes.Equal(got, want) {
				t.Fatalf("after %d pieces: %q", i+1, got)
			}
		}
	})
}

// prefix reads n bytes of a body that is not over.
func prefix(t *testing.T, token string, body []byte, n int) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	switch token {
	case "gzip":
		r, _ = gzip.NewReader(r)
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatalf("%s: %v", token, err)
	}
	return got
}

// What an encoder is said to take is at least what it takes.
func TestMemoryOfEncodersIsCounted(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes an encoder of each kind many times, and collects garbage in between")
	}
	random := rand.New(rand.NewPCG(1, 2))
	body := text(512<<10, random)
	everyKind(t, func(t *testing.T, coding config.ContentCoding, level config.CompressionLevel) {
		const n = 4
		var before, after runtime.MemStats
		e := NewEngine()
		runtime.GC()
		runtime.ReadMemStats(&before)
		var all []*Encoder
		for range n {
			c, err := e.encoder(coding, level)
			if err != nil || c == nil {
				t.Fatal("no encoder", err)
			}
			for p := body; len(p) > 0; p = p[min(PieceMax, len(p)):] {
				if _, err := c.Encode(p[:min(PieceMax, len(p))], false); err != nil {
					t.Fatal(err)
				}
			}
			all = append(all, c)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
		if said := codings[coding].memory[level]; each > said || each < said/4 {
			t.Errorf("%d KiB each, %d KiB are counted", each>>10, said>>10)
		}
		runtime.KeepAlive(all)
	})
}

func TestEncodersAreSharedByManyGoroutines(t *testing.T) {
	e := NewEngine()
	e.Limit(50, 1<<30)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for i := range 30 {
				coding := config.ContentCoding(1 + i%3)
				body := text(1+random.IntN(20<<10), random)
				c, err := e.encoder(coding, config.CompressionFast)
				if err != nil || c == nil {
					t.Error("no encoder", err)
					return
				}
				out, err := c.Whole(body)
				if err != nil || !bytes.Equal(decoded(t, codings[coding].token, out), body) {
					t.Error("differs", err)
				}
				c.Release()
			}
		})
	}
	all.Wait()
}

func TestWithoutMemoryThereIsNoEncoder(t *testing.T) {
	e := NewEngine()
	e.Limit(100, codings[config.CodingGzip].memory[0]+1)
	first, _ := e.encoder(config.CodingGzip, config.CompressionFast)
	if second, err := e.encoder(config.CodingGzip, config.CompressionFast); first == nil || second != nil || err != nil {
		t.Fatalf("first %v, second %v, %v", first, second, err)
	}
	first.Release()
	if third, _ := e.encoder(config.CodingGzip, config.CompressionFast); third == nil {
		t.Error("what was released is not there")
	}
}

func TestTheShareOfProcessorTime(t *testing.T) {
	var b budget
	now := stream.Now()
	b.spend(now-int64(time.Hour), now)
	if b.overspent() {
		t.Error("without a limit nothing is too much")
	}
	b.limit(50, 0)
	procs := int64(runtime.GOMAXPROCS(0))
	b.spend(now-burst*procs/4, now) // of the burst, half
	if b.overspent() {
		t.Error("a burst is allowed")
	}
	b.spend(now-int64(time.Hour), now)
	if !b.overspent() {
		t.Error("an hour at once is more than a half")
	}
	if paid := b.settled.Load() - now; paid < int64(2*time.Hour)/procs || paid > int64(2*time.Hour+2*time.Second)/procs {
		t.Errorf("an hour at a half of %d processors is paid for in %v", procs, time.Duration(paid))
	}
	b.limit(100, 0)
	if b.overspent() {
		t.Error("100% is no limit")
	}
}
