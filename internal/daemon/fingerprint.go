package daemon

import (
	"crypto/sha256"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// fingerprint is what a watched file is compared by: the content of a regular
// file, and whatever can be known without opening it of anything else (a FIFO
// would block whoever opens it).
type fingerprint struct {
	kind fs.FileMode // type bits; for a directory or device the times count
	fail string      // why it cannot be read; "" if it can
	sum  [sha256.Size]byte

	// modified is when anything about the file last changed, its name
	// included (ctime): nobody can set that back.
	modified time.Time

	// The rest only spares reading the same content again.
	info    fs.FileInfo
	settled bool // the content was old enough for its times to tell of any change
}

// settleTime is how old a modification must be before its time identifies the
// content: two writes within one tick of the file system's clock look alike.
const settleTime = 2 * time.Second

// same tells whether two fingerprints are of the same content.
func (f fingerprint) same(g fingerprint) bool {
	if f.kind != g.kind || f.fail != g.fail || f.sum != g.sum {
		return false
	}
	return f.kind.IsRegular() || f.modified.Equal(g.modified)
}

// takeFingerprint looks at a file; prev is what was seen before, if anything.
func takeFingerprint(path string, prev fingerprint) fingerprint {
	info, err := os.Stat(path)
	if err != nil {
		return failed(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return failed(err)
	}
	fp := fingerprint{kind: info.Mode().Type(), info: info, modified: time.Unix(st.Ctim.Unix())}
	if !fp.kind.IsRegular() {
		return fp
	}
	if prev.settled && prev.modified.Equal(fp.modified) && os.SameFile(prev.info, info) {
		return prev
	}
	fp.settled = time.Since(fp.modified) > settleTime
	if err := fp.hash(path); err != nil {
		return failed(err)
	}
	return fp
}

// failed is the fingerprint of a file that cannot be read.
func failed(err error) fingerprint {
	return fingerprint{fail: err.Error()}
}

// hash reads the content, however large, in constant memory.
func (f *fingerprint) hash(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return err
	}
	h.Sum(f.sum[:0])
	return nil
}
