package command

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/config"
	"gatehouse/internal/daemon"
	"gatehouse/internal/testkit"
)

// tool is a binary whose default file is in an empty directory.
func tool(t *testing.T) Binary {
	t.Helper()
	return Binary{Name: "tool", Thing: "thing", DefaultFile: filepath.Join(t.TempDir(), "tool.yaml"), DefaultAdmin: "127.0.0.1:1",
		Draft: config.LoadTrafficManagerDraft}
}

func write(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWhereTheAdminAddressComesFrom(t *testing.T) {
	dir := t.TempDir()
	good := write(t, filepath.Join(dir, "good.yaml"), "admin: {address: '127.0.0.1:7'}\nnonsense: true\n") // refused, and asked all the more
	off := write(t, filepath.Join(dir, "off.yaml"), "admin: {address: off}\n")
	bad := write(t, filepath.Join(dir, "bad.yaml"), "admin: {address: '192.0.2.1:7'}\n")
	for _, tt := range []struct {
		name             string
		defaultFile      string
		flag, file       string
		want, wantsError string
	}{
		{"nothing is said", "", "", "", "127.0.0.1:1", ""},
		{"the flag", good, "unix:/s", good, "unix:/s", ""},
		{"the file", "", "", good, "127.0.0.1:7", ""},
		{"the default file", "admin: {address: '127.0.0.1:8'}\n", "", "", "127.0.0.1:8", ""},
		{"a default file that is no YAML", "\t", "", "", "127.0.0.1:1", ""},
		{"a file that is not there", "", "", filepath.Join(dir, "none"), "", "--admin"},
		{"off", "", "", off, "", "nobody to ask"},
		{"no such address", "", "", bad, "", "no valid admin.address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := Remote{Binary: tool(t), admin: tt.flag, file: tt.file}
			if tt.defaultFile != "" {
				write(t, o.DefaultFile, tt.defaultFile)
			}
			got, err := o.address()
			if got != tt.want || (err == nil) != (tt.wantsError == "") || err != nil && !strings.Contains(err.Error(), tt.wantsError) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// serve answers as an admin server does, and returns its address.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestReloadAndUpgradePostAndSayWhatWasDone(t *testing.T) {
	var asked string
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked += r.Method + " " + r.URL.Path + "\n"
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"outcome":"well"}`))
	})
	for _, make := range []func(Binary) *cobra.Command{Binary.NewReload, Binary.NewUpgrade} {
		cmd := make(tool(t))
		status, text, stderr := run(t, cmd, "--admin", at)
		_, json, _ := run(t, make(tool(t)), "--admin", at, "--json")
		if status != ExitOK || stderr != "" || !strings.HasSuffix(text, "\n") || json != "{\n  \"outcome\": \"well\"\n}\n" {
			t.Errorf("%s: status %d, %q, %q, %q", cmd.Name(), status, text, json, stderr)
		}
	}
	if asked != "POST /reload\nPOST /reload\nPOST /upgrade\nPOST /upgrade\n" {
		t.Errorf("asked %q", asked)
	}
}

func TestNobodyThereIsAFailureOfTheWork(t *testing.T) {
	at := testkit.RefusingAddr(t)
	status, stdout, stderr := run(t, tool(t).NewReload(), "--admin", at)
	if status != ExitFailed || stdout != "" || !strings.Contains(stderr, at) || strings.Contains(stderr, "--help") {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
}

func TestWhatTheReloaderSays(t *testing.T) {
	failure := error(nil)
	r := &daemon.Reloader{Apply: func(context.Context) ([]string, error) { return nil, failure }}
	for _, failure = range []error{nil, errors.New("line 7 is wrong")} {
		_ = r.Reload(t.Context(), "SIGHUP")
	}
	s := ReloadsOf(r)
	if s.Applied != 1 || s.Refused != 1 || s.Trigger != "SIGHUP" || s.Error != "line 7 is wrong" || time.Since(s.Last) > time.Minute {
		t.Errorf("%+v", s)
	}
	var b strings.Builder
	s.Print(&b, "t.yaml", []string{"a key is odd"})
	lines := strings.Split(b.String(), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "configuration t.yaml: "+s.Outcome+" at ") || !strings.HasSuffix(lines[0], "(SIGHUP); 1 applied, 1 refused") ||
		lines[1] != "line 7 is wrong" || lines[2] != "warning: a key is odd" {
		t.Errorf("%q", lines)
	}
	b.Reset()
	(&Reloads{}).Print(&b, "", nil)
	if !strings.HasPrefix(b.String(), "configuration: ") || strings.Count(b.String(), "\n") != 1 {
		t.Errorf("without a file: %q", b.String())
	}
}

func TestTasksAreReadyAtOnceAndRun(t *testing.T) {
	ran := errors.New("ran")
	task := Task("a name", func(context.Context) error { return ran })
	select {
	case <-task.Ready():
	default:
		t.Error("not ready")
	}
	if task.String() != "a name" || task.Run(t.Context()) != ran {
		t.Errorf("%v, %v", task, task.Run(t.Context()))
	}
}
