package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"gatehouse/config"
	"gatehouse/internal/testkit"
)

// instruction is one instruction of a Dockerfile, continuation lines joined.
type instruction struct {
	stage int // 0 for the first FROM
	name  string
	args  string
}

func file(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func dockerfile(t *testing.T) []instruction {
	t.Helper()
	text := regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(file(t, "deploy/Dockerfile"), "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	stage, list := -1, []instruction(nil)
	for line := range strings.Lines(text) {
		name, args, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		if name == "FROM" {
			stage++
		}
		list = append(list, instruction{stage: stage, name: name, args: args})
	}
	return list
}

// final returns the arguments of the only instruction of that name in the last stage.
func final(t *testing.T, name string) string {
	t.Helper()
	list := dockerfile(t)
	last, found := list[len(list)-1].stage, []string(nil)
	for _, i := range list {
		if i.stage == last && i.name == name {
			found = append(found, i.args)
		}
	}
	if len(found) != 1 {
		t.Fatalf("the last stage has %d %s instructions: %q", len(found), name, found)
	}
	return found[0]
}

// words decodes the exec form: an empty image has no shell for the other one.
func words(t *testing.T, args string) []string {
	t.Helper()
	var list []string
	if err := json.Unmarshal([]byte(args), &list); err != nil {
		t.Fatalf("%s is not in exec form: %v", args, err)
	}
	return list
}

// healthCommand is the command of HEALTHCHECK, behind its options.
func healthCommand(t *testing.T) []string {
	t.Helper()
	_, command, ok := strings.Cut(final(t, "HEALTHCHECK"), " CMD ")
	if !ok {
		t.Fatal("HEALTHCHECK has no CMD")
	}
	return words(t, command)
}

// startCommand is what a container runs without arguments.
func startCommand(t *testing.T) []string {
	t.Helper()
	return append(words(t, final(t, "ENTRYPOINT")), words(t, final(t, "CMD"))...)
}

func TestImageIsEmptyButForTheBinary(t *testing.T) {
	if got := final(t, "FROM"); got != "scratch" {
		t.Errorf("the last stage is from %s", got)
	}
	var copied []string
	list := dockerfile(t)
	for _, i := range list {
		if i.stage != list[len(list)-1].stage {
			continue
		}
		if i.name == "RUN" || i.name == "ADD" || i.name == "SHELL" {
			t.Errorf("%s %s in an image without a shell", i.name, i.args)
		}
		if i.name == "COPY" {
			to := strings.Fields(i.args)
			copied = append(copied, to[len(to)-1])
		}
	}
	want := []string{"/etc/ssl/certs/ca-certificates.crt", "/tmp", startCommand(t)[0]}
	if !slices.Equal(copied, want) {
		t.Errorf("copied %q, want %q", copied, want)
	}
}

func TestImageRunsAsAnOrdinaryUserAndChecksItself(t *testing.T) {
	if got := final(t, "USER"); got != "65532:65532" {
		t.Errorf("user %s: numeric, so that Kubernetes can tell that it is not root", got)
	}
	start, health := startCommand(t), healthCommand(t)
	if health[0] != start[0] || health[1] != "status" || start[1] != "run" || health[len(health)-1] != start[len(start)-1] {
		t.Errorf("start %q, health %q: want run and status of one binary with one configuration", start, health)
	}
	if ports := strings.Fields(final(t, "EXPOSE")); !slices.Contains(ports, "8080") || !slices.Contains(ports, "8443") {
		t.Errorf("exposed %q", ports)
	}
}

func TestImageAndMakefileBuildTheSameBinary(t *testing.T) {
	build := regexp.MustCompile(`CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags\s+['"]-s -w -X main\.version=\S+['"] -o \S+ \./cmd/appgw`)
	for _, name := range []string{"Makefile", "deploy/Dockerfile"} {
		if !build.MatchString(file(t, name)) {
			t.Errorf("%s does not build with %s", name, build)
		}
	}
	want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(file(t, "go.mod"))[1]
	if got := dockerfile(t)[0].args; !strings.HasPrefix(got, "golang:"+want+" ") {
		t.Errorf("built from %s, go.mod says %s", got, want)
	}
}

// compose is what matters here of a compose file.
type compose struct {
	Services map[string]struct {
		Image       string
		Build       struct{ Context, Dockerfile string }
		Ports       []string
		Volumes     []string
		Command     []string
		CapDrop     []string `yaml:"cap_drop"`
		ReadOnly    bool     `yaml:"read_only"`
		SecurityOpt []string `yaml:"security_opt"`
	}
}

func TestComposePutsTheApplicationBehindTheGateway(t *testing.T) {
	var c compose
	if err := yaml.Unmarshal([]byte(file(t, "deploy/compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	gateway, app := c.Services["gateway"], c.Services["app"]
	if _, err := os.Stat(filepath.Join(testkit.ModuleRoot(t), "deploy", gateway.Build.Context, gateway.Build.Dockerfile)); err != nil {
		t.Error(err)
	}
	if !gateway.ReadOnly || !slices.Equal(gateway.CapDrop, []string{"ALL"}) || !slices.Contains(gateway.SecurityOpt, "no-new-privileges:true") {
		t.Errorf("the gateway is not locked down: %+v", gateway)
	}
	start := startCommand(t)
	if want := "./gateway:" + filepath.Dir(start[len(start)-1]) + ":ro"; !slices.Equal(gateway.Volumes, []string{want}) {
		t.Errorf("mounts %q, want the directory of the image's configuration: %q", gateway.Volumes, want)
	}
	conf, warnings, err := config.LoadGateway(filepath.Join(testkit.ModuleRoot(t), "deploy/gateway/appgw.yaml"))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("errors %v, warnings %v", err, warnings)
	}
	text := file(t, "deploy/gateway/appgw.yaml")
	if len(conf.Listeners) != 1 || !slices.Equal(gateway.Ports, []string{"8080:8080"}) || !strings.Contains(text, "address: :8080") {
		t.Errorf("published %q for %d listeners", gateway.Ports, len(conf.Listeners))
	}
	if app.Image == "" || !strings.Contains(text, "targets: [app]") || !slices.Equal(app.Command, []string{"--port=8000"}) || !strings.Contains(text, "port: 8000") {
		t.Errorf("the gateway does not send to the application: %+v", app)
	}
}
