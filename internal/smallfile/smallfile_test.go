package smallfile

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReadIsBounded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := Read(file, 5); string(data) != "12345" || err != nil {
		t.Errorf("as long as it may be: %q, %v", data, err)
	}
	if data, err := Read(file, 4); data != nil || err == nil || !strings.Contains(err.Error(), file+" is larger than 4 bytes") {
		t.Errorf("too long: %q, %v", data, err)
	}
	if _, err := Read("/dev/zero", 4); err == nil {
		t.Error("a file without end is read")
	}
	if _, err := Read(file+".not", 5); !os.IsNotExist(err) {
		t.Errorf("one that is not there: %v", err)
	}
}

// A pipe in the place of a file must not stop a reload.
func TestAPipeIsNotWaitedForWithoutEnd(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := Read(pipe, 5); err != nil || len(data) > 0 {
		t.Errorf("nobody at the other end: %q, %v", data, err)
	}
	w, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if data, err := Read(pipe, 5); !os.IsTimeout(err) {
		t.Errorf("nothing written: %q, %v", data, err)
	}
	if _, err := w.WriteString("12345"); err != nil {
		t.Fatal(err)
	}
	go func() { // once it is read: what nobody holds open is lost
		for left := 1; left > 0 && err == nil; time.Sleep(time.Millisecond) {
			left, err = unix.IoctlGetInt(int(w.Fd()), unix.TIOCINQ)
		}
		w.Close()
	}()
	if data, err := Read(pipe, 5); string(data) != "12345" || err != nil {
		t.Errorf("written: %q, %v", data, err)
	}
}
