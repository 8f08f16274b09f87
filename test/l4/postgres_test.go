package l4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gatehouse/internal/testkit"
)

// postgres is a database server with a table that says its name.
type postgres struct {
	*testkit.Process
	t    *testing.T
	ip   string
	port int
	dir  string
	bin  string
	as   *syscall.Credential // who runs it, as root must not; nil: this user
}

// postgresBin is where Debian has the servers' programs, of the newest version.
func postgresBin(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if _, err := exec.LookPath("psql"); err != nil || len(found) == 0 {
		t.Skip("PostgreSQL is not installed: apt-get install postgresql")
	}
	return filepath.Dir(found[len(found)-1])
}

// nobody is a user who may run a database.
func nobody(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	t.Skip("root must not run PostgreSQL, and there is neither a user postgres nor nobody")
	return nil
}

// newPostgres makes a database in a directory of its own and starts it.
func newPostgres(t *testing.T, name, ip string, port int) *postgres {
	t.Helper()
	p := &postgres{t: t, ip: ip, port: port, bin: postgresBin(t), as: nobody(t)}
	dir, err := os.MkdirTemp("", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p.dir = dir
	if p.as != nil {
		err = os.Chown(dir, int(p.as.Uid), int(p.as.Gid))
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := p.program("initdb", "-D", dir+"/data", "-U", "shop", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	p.Process = testkit.Start(t, p.program("postgres", "-D", dir+"/data", "-h", ip, "-p", strconv.Itoa(port), "-k", dir, "-F"))
	t.Cleanup(func() { _ = syscall.Kill(p.Pid, syscall.SIGINT) }) // before testkit's SIGTERM, which waits for clients
	testkit.Eventually(t, soon, "the database", func() bool {
		_, err := psql(ip, port, "select 1")
		return err == nil
	})
	if _, err := psql(ip, port, "create table who as select '"+name+"' as name"); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *postgres) program(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	return cmd
}

// connection is how psql reaches a database.
func connection(ip string, port int) string {
	return fmt.Sprintf("host=%s port=%d user=shop dbname=postgres sslmode=disable connect_timeout=10", ip, port)
}

// psql runs a statement in a connection of its own.
func psql(ip string, port int, statement string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	out, err := exec.CommandContext(ctx, "psql", "-X", "-A", "-t", "-q", "-c", statement, connection(ip, port)).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// A pair of PostgreSQL servers behind `l4lb forward`: both get connections,
// and when one is killed, its clients connect again and work.
func TestForwardBeforePostgres(t *testing.T) {
	t.Parallel()
	net := fmt.Sprintf("127.77.%d.", nets.Add(1))
	front, port := net+"100", freePort(t)
	pair := map[string]*postgres{}
	for i, name := range []string{"first", "second"} {
		pair[name] = newPostgres(t, name, fmt.Sprintf("%s%d", net, i+1), port)
	}
	b := prepare(t)
	b.run("forward", "--listen", fmt.Sprintf("tcp/%s:%d", front, port), "--to", fmt.Sprintf("%[1]s1:%[2]d,%[1]s2:%[2]d", net, port), "--probe", "tcp", "--admin", b.admin)
	seen := map[string]int{}
	for range 20 {
		who, err := psql(front, port, "select name from who")
		if err != nil {
			t.Fatal(err)
		}
		seen[who]++
	}
	if seen["first"] == 0 || seen["second"] == 0 {
		t.Errorf("20 connections: %v, want both", seen)
	}
	kept, who := newShell(t, front, port)
	if err := syscall.Kill(pair[who].Pid, syscall.SIGQUIT); err != nil { // ends it at once, with its connections
		t.Fatal(err)
	}
	pair[who].Wait(soon)
	if _, err := kept.ask("select name from who;"); !errors.Is(err, io.EOF) {
		t.Errorf("psql on the server that is gone: %v, want its end", err)
	}
	for i := range 20 {
		next, err := psql(front, port, "insert into who values ('again'); delete from who where name = 'again'; select name from who")
		if err != nil || next == who {
			t.Fatalf("connection %d after the end of %s: %q %v", i, who, next, err)
		}
	}
	b.waitLog(`"state":"unhealthy"`, "refused")
	if lines := b.page("/backends"); strings.Count(lines, `"state": "down"`)+strings.Count(lines, `"state":"down"`) != 1 {
		t.Errorf("backends: %s", lines)
	}
}

// shell is a psql that stays connected.
type shell struct {
	in  io.Writer
	out io.Reader
}

// newShell connects and asks who answers.
func newShell(t *testing.T, ip string, port int) (s *shell, who string) {
	t.Helper()
	cmd := exec.Command("psql", "-X", "-A", "-t", "-q", connection(ip, port))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s = &shell{in, out}
	if who, err = s.ask("select name from who;"); err != nil {
		t.Fatal(err)
	}
	return s, who
}

// ask runs a statement with one line of output.
func (s *shell) ask(statement string) (string, error) {
	if _, err := fmt.Fprintln(s.in, statement); err != nil {
		return "", err
	}
	b := make([]byte, 256)
	n, err := s.out.Read(b)
	return strings.TrimSpace(string(b[:n])), err
}
