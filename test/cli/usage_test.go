package cli

import (
	"os/exec"
	"strings"
	"testing"

	"gatehouse/internal/testkit"
)

// commands are those that people are promised.
var commands = []string{"run", "demo", "proxy", "check", "explain", "schema", "status", "backends", "reload", "drain", "undrain", "upgrade", "version"}

func TestHelpListsEveryCommandWithExamples(t *testing.T) {
	root := appgw(t, "--help")
	root.expect(t, 0, "appgw demo", "appgw proxy --from", "appgw run -c")
	if root.stderr != "" {
		t.Errorf("help goes to stdout, not to stderr: %s", root.stderr)
	}
	for _, name := range commands {
		if !strings.Contains(root.stdout, "\n  "+name+" ") {
			t.Errorf("appgw --help does not list %s", name)
		}
		t.Run(name, func(t *testing.T) {
			r := appgw(t, name, "--help")
			r.expect(t, 0, "Usage:\n  appgw "+name, "Examples:\n", "appgw "+name)
			if r2 := appgw(t, "help", name); r2.stdout != r.stdout {
				t.Errorf("help %s and %s --help differ", name, name)
			}
		})
	}
}

func TestWrongUsageExitsWithTwo(t *testing.T) {
	tests := []struct {
		name string
		args string
		want string
	}{
		{"unknown command", "serve", `unknown command "serve"`},
		{"near miss", "chek", "check"},
		{"unknown flag", "check --strict", "unknown flag: --strict"},
		{"flag without value", "check -c", "needs an argument"},
		{"bad boolean", "proxy --to http://127.0.0.1:1 --affinity=maybe", "maybe"},
		{"argument too many", "run appgw.yaml", `"appgw.yaml"`},
		{"argument missing", "drain", "1 arg"},
		{"two arguments", "undrain a b", "1 arg"},
		{"explain what", "explain -c x.yaml", `"url" not set`},
		{"proxy to where", "proxy --from :8080", `"to" not set`},
		{"demo takes no file", "demo -c appgw.yaml", "unknown shorthand flag"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := appgw(t, strings.Fields(tt.args)...)
			r.expect(t, 2, tt.want, "--help")
			if r.stdout != "" {
				t.Errorf("an error on stdout: %s", r.stdout)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		r := appgw(t, args...)
		r.expect(t, 0, "appgw ", "go1.")
		if strings.Count(r.stdout, "\n") != 1 {
			t.Errorf("%v: more than a line: %q", args, r.stdout)
		}
	}
}

func TestNothingToDoShowsWhatThereIs(t *testing.T) {
	appgw(t).expect(t, 0, "Available Commands:", "Examples:")
}

func TestRunWithoutFileSaysHowToBegin(t *testing.T) {
	appgw(t, "run").expect(t, 1, "there is no appgw.yaml here", "appgw demo", "appgw proxy --from :8080 --to")
	appgw(t, "run", "-c", "other.yaml").expect(t, 1, "other.yaml", "no such file")
	appgw(t, "check").expect(t, 1, "appgw.yaml", "no such file")
}

// The shells complete what the binary tells them; bash runs the script with a real completion of ours.
func TestShellCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		appgw(t, "completion", shell).expect(t, 0, "appgw")
	}
	script := `eval "$($1 completion bash)" && type __start_appgw >/dev/null && complete -p appgw`
	out, err := exec.Command("bash", "-c", script, "bash", testkit.Build(t, "./cmd/appgw")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "__start_appgw") {
		t.Errorf("bash does not take it: %v: %s", err, out)
	}
	tests := []struct{ words, want, not string }{
		{"", "explain", ""},
		{"un", "undrain", "drain\n"},
		{"proxy --to x --", "--tls-cert", ""},
		{"proxy --waf ", "prevention", ""},
		{"status --", "--json", "--url"},
	}
	for _, tt := range tests {
		words := strings.Split(tt.words, " ")
		r := appgw(t, append([]string{"__completeNoDesc"}, words...)...)
		if !strings.Contains(r.stdout, tt.want) || tt.not != "" && strings.HasPrefix(r.stdout, tt.not) {
			t.Errorf("completing %q gives %q", tt.words, r.stdout)
		}
	}
}
