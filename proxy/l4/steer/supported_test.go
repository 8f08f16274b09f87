package steer

import (
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gatehouse/internal/testkit/netns"
)

// withoutCapabilities runs fn without some effective capabilities.
func withoutCapabilities(t *testing.T, fn func(), numbers ...int) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all, fewer [2]unix.CapUserData
	if err := unix.Capget(header, &all[0]); err != nil {
		t.Fatal(err)
	}
	fewer = all
	for _, n := range numbers {
		fewer[n/32].Effective &^= 1 << (n % 32)
	}
	if err := unix.Capset(header, &fewer[0]); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Capset(header, &all[0]); err != nil {
			t.Error(err)
		}
	}()
	fn()
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	netns.New(t, "any") // or else skipped
	if err := Supported(); err != nil {
		t.Fatal(err)
	}
	for want, missing := range map[string]int{"CAP_NET_ADMIN is missing": capNetAdmin, "CAP_BPF is missing": capBPF} {
		withoutCapabilities(t, func() {
			if err := Supported(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}, missing, capSysAdmin)
	}
}

func TestReasons(t *testing.T) {
	const all = "Name:\tx\nCapEff:\t000001ffffffffff\n"
	for _, tt := range []struct{ status, lockdown, want string }{
		{"Name:\tx\nCapEff:\t0000000000000000\n", "", "CAP_NET_ADMIN"},
		{"CapEff:\t0000000000001000\n", "", "CAP_BPF"},
		{"CapEff:\t0000000000201000\n", "none integrity [confidentiality]", "locked down"}, // CAP_SYS_ADMIN will do
		{"CapEff:\t0000000000200000\n", "", "seccomp"},
		{"CapEff:\t0000008000001000\n", "none [integrity] confidentiality", "locked down"},
		{all, "[none] integrity confidentiality", "seccomp"},
		{"", "", "seccomp"},
	} {
		if got := notAllowed([]byte(tt.status), []byte(tt.lockdown)); !strings.Contains(got, tt.want) {
			t.Errorf("%q, %q: %s, want %s", tt.status, tt.lockdown, got, tt.want)
		}
	}
	for err, want := range map[error]string{
		unix.ENOSYS: "Linux 5.9", unix.EINVAL: release(), unix.ENOMEM: "cannot allocate memory",
	} {
		if got := explain(err).Error(); !strings.Contains(got, want) || !strings.Contains(got, err.Error()) {
			t.Errorf("%v: %s", err, got)
		}
	}
}
