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

// The images that are shipped, by their Dockerfiles.
const (
	gatewayImage  = "deploy/Dockerfile"
	directorImage = "deploy/trafficmgr.Dockerfile"
	balancerImage = "deploy/l4lb.Dockerfile"
)

func dockerfile(t *testing.T, image string) []instruction {
	t.Helper()
	text := regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(file(t, image), "")
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
func final(t *testing.T, image, name string) string {
	t.Helper()
	list := dockerfile(t, image)
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
func healthCommand(t *testing.T, image string) []string {
	t.Helper()
	_, command, ok := strings.Cut(final(t, image, "HEALTHCHECK"), " CMD ")
	if !ok {
		t.Fatal("HEALTHCHECK has no CMD")
	}
	return words(t, command)
}

// startCommand is what a container runs without arguments.
func startCommand(t *testing.T, image string) []string {
	t.Helper()
	return append(words(t, final(t, image, "ENTRYPOINT")), words(t, final(t, image, "CMD"))...)
}

func TestImageIsEmptyButForTheBinary(t *testing.T) {
	for image, writable := range map[string]string{gatewayImage: "/tmp", directorImage: "/var/lib/gatehouse", balancerImage: "/var/log/gatehouse"} {
		if got := final(t, image, "FROM"); got != "scratch" {
			t.Errorf("%s: the last stage is from %s", image, got)
		}
		var copied []string
		list := dockerfile(t, image)
		for _, i := range list {
			if i.stage != list[len(list)-1].stage {
				continue
			}
			if i.name == "RUN" || i.name == "ADD" || i.name == "SHELL" {
				t.Errorf("%s: %s %s in an image without a shell", image, i.name, i.args)
			}
			if i.name == "COPY" {
				to := strings.Fields(i.args)
				copied = append(copied, to[len(to)-1])
			}
		}
		want := []string{"/etc/ssl/certs/ca-certificates.crt", writable, startCommand(t, image)[0]}
		if !slices.Equal(copied, want) {
			t.Errorf("%s: copied %q, want %q", image, copied, want)
		}
	}
}

func TestImageRunsAsAnOrdinaryUserAndChecksItself(t *testing.T) {
	for image, ports := range map[string][]string{gatewayImage: {"8080", "8443", "9100"}, directorImage: {"8053/udp", "8053/tcp", "9100"}, balancerImage: {"5432/tcp", "8053/udp", "9100"}} {
		if got := final(t, image, "USER"); got != "65532:65532" {
			t.Errorf("%s: user %s: numeric, so that Kubernetes can tell that it is not root", image, got)
		}
		start, health := startCommand(t, image), healthCommand(t, image)
		if health[0] != start[0] || health[1] != "status" || start[1] != "run" || health[len(health)-1] != start[len(start)-1] {
			t.Errorf("%s: start %q, health %q: want run and status of one binary with one configuration", image, start, health)
		}
		if got := strings.Fields(final(t, image, "EXPOSE")); !slices.Equal(got, ports) {
			t.Errorf("%s: exposed %q", image, got)
		}
	}
}

func TestImageAndMakefileBuildTheSameBinary(t *testing.T) {
	for image, binary := range map[string]string{gatewayImage: "appgw", directorImage: "trafficmgr", balancerImage: "l4lb"} {
		build := regexp.MustCompile(`CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags\s+['"]-s -w -X main\.version=\S+['"] -o \S+ \./cmd/` + binary + `\b`)
		for _, name := range []string{"Makefile", image} {
			if !build.MatchString(file(t, name)) {
				t.Errorf("%s does not build with %s", name, build)
			}
		}
		want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(file(t, "go.mod"))[1]
		if got := dockerfile(t, image)[0].args; !strings.HasPrefix(got, "golang:"+want+" ") {
			t.Errorf("%s: built from %s, go.mod says %s", image, got, want)
		}
		if got := file(t, image+".dockerignore"); got != file(t, gatewayImage+".dockerignore") {
			t.Errorf("%s is sent another context: %q", image, got)
		}
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
	start := startCommand(t, gatewayImage)
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
