package hygiene

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"gatehouse/internal/testkit"
)

// commandTime is how long the commands of one document may take together.
const commandTime = 3 * time.Minute

// TestCommandsInDocuments runs the shell blocks of each document, in order, in one shell and one directory, with a network of
// their own so that fixed ports are free, and with our binaries on the PATH.
func TestCommandsInDocuments(t *testing.T) {
	byDoc := map[string][]block{}
	for _, b := range allBlocks(t) {
		if b.shell() && strings.HasPrefix(b.info, "skip=") {
			t.Logf("%s: not run: %s", b, b.info)
		} else if b.shell() || b.file() != "" {
			byDoc[b.doc] = append(byDoc[b.doc], b)
		}
	}
	for _, doc := range documents(t) {
		if list := byDoc[doc]; len(list) > 0 {
			t.Run(doc, func(t *testing.T) {
				for _, problem := range runDocument(t, doc, list, binaries(t)) {
					t.Error(problem)
				}
			})
		}
	}
}

// binaries are ours, by the names that documents call them by.
func binaries(t *testing.T) map[string]string {
	return map[string]string{"appgw": testkit.Build(t, "./cmd/appgw"), "trafficmgr": testkit.Build(t, "./cmd/trafficmgr"), "l4lb": testkit.Build(t, "./cmd/l4lb")}
}

// runDocument runs the blocks with those binaries and says what went wrong.
func runDocument(t *testing.T, doc string, list []block, binaries map[string]string) []string {
	t.Helper()
	dir := t.TempDir()
	s := script{notes: filepath.Join(dir, "notes"), work: filepath.Join(dir, "work")}
	bin := filepath.Join(dir, "bin")
	for _, d := range []string{s.notes, s.work, bin} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, file := range binaries {
		if err := os.Symlink(file, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	surround(t, doc, s.work)
	s.write(t, list)
	out, code := runAlone(t, s, bin)
	problems := s.compare()
	if code != 0 {
		problems = append(problems, fmt.Sprintf("exit status %d, last at %s\n%s", code, lastNote(s), out))
	}
	return problems
}

// surround copies what the commands may refer to: the files beside the document, or examples/ for those at the top.
func surround(t *testing.T, doc, work string) {
	t.Helper()
	from, to := path.Dir(doc), work
	if from == "." || from == "docs" {
		from, to = "examples", filepath.Join(work, "examples")
	}
	source := filepath.Join(testkit.ModuleRoot(t), from)
	if _, err := os.Stat(source); errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err := os.CopyFS(to, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
}

// script is one document turned into a shell script that leaves the output of each console command in a file.
type script struct {
	notes    string // directory of the script and of what it notes
	work     string // where the commands run
	commands []command
	text     strings.Builder
}

// command is one "$ ..." of a console block, with the output that the document shows.
type command struct {
	at   string
	text string
	want []string
	out  string // file
}

const prologue = `set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || :; wait' EXIT
listening() { cat /proc/net/tcp /proc/net/tcp6 | grep -c ' 0A ' || :; }
# What was just put into the background gets time to listen; a program that does not listen costs five seconds. appgw gets
# until it is ready: the backends of the demo listen long before rules are compiled.
settle() {
	for _ in {1..50}; do [ "$(listening)" -gt "$sockets" ] && break; sleep 0.1; done
	sleep 0.5
	if [ "$(cat /proc/$!/comm 2>/dev/null)" = appgw ]; then
		for _ in {1..200}; do curl -sf -o /dev/null http://127.0.0.1:9901/readyz && break; sleep 0.1; done
	fi
	sockets=$(listening)
}
sockets=$(listening)
`

func (s *script) write(t *testing.T, list []block) {
	t.Helper()
	s.text.WriteString(prologue)
	for i, b := range list {
		fmt.Fprintf(&s.text, "echo '%s' > '%s/last'\n", b, s.notes)
		switch {
		case b.file() != "":
			s.addFile(t, i, b)
		case b.lang == "console":
			s.addConsole(b)
		default:
			s.text.WriteString(settled(b.text))
		}
	}
	if err := os.WriteFile(filepath.Join(s.notes, "script"), []byte(s.text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// settled has the script wait after each line that starts something in the background.
func settled(text string) string {
	return regexp.MustCompile(`(?m)[^&]&[ \t]*$`).ReplaceAllString(text, "$0\nsettle")
}

func (s *script) addFile(t *testing.T, i int, b block) {
	t.Helper()
	kept := filepath.Join(s.notes, fmt.Sprintf("file-%d", i))
	if err := os.WriteFile(kept, []byte(b.text), 0o644); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&s.text, "mkdir -p '%s'; cp '%s' '%s.new'; mv '%[3]s.new' '%[3]s'\n", path.Dir(b.file()), kept, b.file())
}

func (s *script) addConsole(b block) {
	for _, c := range commandsOf(b) {
		c.out = filepath.Join(s.notes, fmt.Sprintf("out-%d", len(s.commands)))
		s.commands = append(s.commands, c)
		fmt.Fprintf(&s.text, "set +e\n{ %s\n} > '%s' 2>&1\nset -e\n", settled(c.text), c.out)
	}
}

// commandsOf splits a console block. A command goes on in the next line after a backslash.
func commandsOf(b block) (list []command) {
	continued := false
	for i, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		text, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand && !continued:
			list = append(list, command{at: fmt.Sprintf("%s:%d", b.doc, b.line+1+i), text: text})
		case len(list) == 0:
			list = append(list, command{at: b.String(), text: "false # the block must begin with a command", want: []string{line}})
		case continued:
			list[len(list)-1].text += "\n" + strings.TrimPrefix(line, "> ")
		default:
			list[len(list)-1].want = append(list[len(list)-1].want, line)
		}
		continued = (isCommand || continued) && strings.HasSuffix(line, `\`)
	}
	return list
}

// compare holds what the commands wrote against what the document shows. Nothing shown means that nothing is compared.
func (s *script) compare() (problems []string) {
	for _, c := range s.commands {
		got, err := os.ReadFile(c.out)
		switch {
		case err != nil:
			problems = append(problems, c.at+": was not reached")
		case len(c.want) > 0 && !pattern(c.want).MatchString(trimmed(string(got))):
			problems = append(problems, fmt.Sprintf("%s: $ %s\nwrote:\n%s\nthe document shows:\n%s", c.at, c.text, got, strings.Join(c.want, "\n")))
		}
	}
	return problems
}

var endOfLine = regexp.MustCompile(`[ \t\r]+\n`)

// trimmed drops blanks at the end of lines, which nobody sees in a document, and empty lines at the end.
func trimmed(s string) string {
	return strings.TrimRight(endOfLine.ReplaceAllString(s+"\n", "\n"), "\n") + "\n"
}

// pattern turns lines of a document into an expression: ... is anything within a line, a line of ... alone any lines.
func pattern(lines []string) *regexp.Regexp {
	var e strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(trimmed(strings.Join(lines, "\n")), "\n"), "\n") {
		if line == "..." {
			e.WriteString(`(?:.*\n)*?`)
			continue
		}
		e.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, `.*`) + `\n`)
	}
	return regexp.MustCompile(`\A` + e.String() + `\z`)
}

func lastNote(s script) string {
	note, _ := os.ReadFile(filepath.Join(s.notes, "last"))
	return strings.TrimSpace(string(note))
}

// aloneMark tells the test binary that it was started by runAlone.
const aloneMark = "GATEHOUSE_HYGIENE_ALONE"

// runAlone runs the script in a network namespace with only a loopback device: this test binary starts itself there, brings
// the device up and becomes bash. Where namespaces are not allowed the script shares the network, and the log says so.
func runAlone(t *testing.T, s script, bin string) (output string, code int) {
	t.Helper()
	for _, flags := range []uintptr{syscall.CLONE_NEWNET, syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER} {
		cmd := bash(s, bin)
		cmd.Path, cmd.Args = "/proc/self/exe", append([]string{os.Args[0]}, cmd.Args[1:]...)
		cmd.Env = append(cmd.Env, aloneMark+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		if flags&syscall.CLONE_NEWUSER != 0 {
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		if namespaceWorks(flags, cmd.SysProcAttr) {
			return finish(testkit.Start(t, cmd))
		}
	}
	t.Log("no network namespace here: the commands use the ports of this machine")
	return finish(testkit.Start(t, bash(s, bin)))
}

func namespaceWorks(flags uintptr, attr *syscall.SysProcAttr) bool {
	try := exec.Command("/bin/true")
	try.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, UidMappings: attr.UidMappings, GidMappings: attr.GidMappings}
	return try.Run() == nil
}

func bash(s script, bin string) *exec.Cmd {
	cmd := exec.Command("/bin/bash", filepath.Join(s.notes, "script"))
	cmd.Dir = s.work
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8", "HOME="+s.work)
	return cmd
}

func finish(p *testkit.Process) (string, int) {
	code := p.Wait(commandTime)
	return p.Output(), code
}

// TestMain turns the process that runAlone started into bash, and runs the tests otherwise.
func TestMain(m *testing.M) {
	if os.Getenv(aloneMark) == "" {
		os.Exit(m.Run())
	}
	os.Unsetenv(aloneMark)
	err := loopbackUp()
	if err == nil {
		err = syscall.Exec("/bin/bash", append([]string{"bash"}, os.Args[1:]...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "network namespace:", err)
	os.Exit(125)
}

// loopbackUp sets IFF_UP on lo, as "ip link set lo up" does, which not every machine has.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var request struct { // struct ifreq of netdevice(7)
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = syscall.IFF_UP
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return errno
	}
	return nil
}

func TestCommandRunnerNoticesProblems(t *testing.T) {
	console := func(text string) []block { return []block{{doc: "d", lang: "console", info: "test", text: text}} }
	sh := func(text string) []block { return []block{{doc: "d", lang: "sh", info: "test", text: text}} }
	tests := []struct {
		name string
		list []block
		want string // in the problems; "" for none
	}{
		{"output as shown", console("$ echo a\na\n$ printf 'b  \\n\\n'\nb\n"), ""},
		{"other output", console("$ echo a\nb\n"), "wrote:\na"},
		{"more output", console("$ printf 'a\\nb\\n'\na\n"), "wrote:"},
		{"anything in a line", console("$ echo a 12 b\na ... b\n"), ""},
		{"any lines", console("$ seq 9\n1\n...\n9\n"), ""},
		{"any lines, other end", console("$ seq 9\n1\n...\n8\n"), "wrote:"},
		{"nothing shown", console("$ echo a\n"), ""},
		{"continued", console("$ echo a \\\n> b\na b\n"), ""},
		{"status does not matter on a console", console("$ false\n$ echo $?\n"), ""},
		{"no command", console("a\n"), "must begin with a command"},
		{"state is kept", append(console("$ x=1; mkdir d; cd d\n"), sh("test $x = 1; test $(basename $PWD) = d\n")...), ""},
		{"failing line", sh("false\ntrue\n"), "exit status 1"},
		{"failing pipe", sh("false | cat\n"), "exit status 1"},
		{"unset name", sh("echo $nothing_here\n"), "unbound"},
		{"not reached", append(sh("exit 3\n"), console("$ echo a\na\n")...), "was not reached"},
		{"file", append([]block{{lang: "yaml", info: "file=c/a.yaml", text: "a: 1\n"}}, console("$ cat c/a.yaml\na: 1\n")...), ""},
		{"appgw is there", console("$ appgw here\nhere\n"), ""},
		{"own network", console("$ grep -c : /proc/net/dev\n1\n"), ""},
		{"background job is waited for", sh("bash -c 'sleep 0.3; exec nc 2>/dev/null || :' &\ntest $SECONDS -ge 1\n"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "own network" && !namespaceWorks(syscall.CLONE_NEWNET, &syscall.SysProcAttr{}) {
				t.Skip("no network namespace without root here")
			}
			got := strings.Join(runDocument(t, "nowhere/d.md", tt.list, map[string]string{"appgw": "/bin/echo"}), "\n")
			if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
				t.Errorf("problems %q, want %q", got, tt.want)
			}
		})
	}
}
