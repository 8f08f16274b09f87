# Everything that is done with this repository. Needs Go and make; what else a target needs it installs itself on Debian when
# root, and otherwise says what is missing (scripts/need.sh).

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: build run test test-attack check bench bench-http bench-dns bench-l4 clean help tools-test tools-bench

# git is not needed to build: a source archive is "devel".
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
BENCHFLAGS ?=
DNSBENCHFLAGS ?= $(filter -quick,$(BENCHFLAGS))
L4BENCHFLAGS ?= $(filter -quick,$(BENCHFLAGS))
RUNFLAGS ?=
MODSECURITY := /usr/lib/nginx/modules/ngx_http_modsecurity_module.so=libnginx-mod-http-modsecurity
STREAM := /usr/lib/nginx/modules/ngx_stream_module.so=libnginx-mod-stream
PACKAGES := /var/lib/dpkg/info
DNSPEERS := gdnsd=gdnsd knotd=knot $(PACKAGES)/knot-module-geoip.list=knot-module-geoip pdns_server=pdns-server \
	$(PACKAGES)/pdns-backend-geoip.list=pdns-backend-geoip dnsperf=dnsperf
# Rules with something to say also when they hold: long functions, blocks of documents that are not run.
TOLD := TestFunctionsAreShort|TestCommandsInDocuments|TestConfigurationsInDocuments|TestExampleFiles

build: ## build bin/appgw, bin/trafficmgr and bin/l4lb, static binaries
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/appgw ./cmd/appgw
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/trafficmgr ./cmd/trafficmgr
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/l4lb ./cmd/l4lb

run: build ## build, start the demo and print what to try
	bin/appgw demo $(RUNFLAGS)

test: tools-test ## run every test: rules, examples and commands of the documents, units, long suites (half an hour on two cores)
	scripts/test.sh check race plain long

test-attack: ## let sqlmap loose on an application behind the firewall (not part of test: up to ten minutes)
	@scripts/need.sh sqlmap=sqlmap python3=python3
	GATEHOUSE_ATTACK=1 go test -count=1 -v -timeout 10m -run TestEveryEntryPoint ./test/attack

check: ## gofmt, vet, staticcheck, and the rules of this repository as tests
	@unformatted=$$("$$(go env GOROOT)/bin/gofmt" -l $$(git ls-files -co --exclude-standard '*.go' 2>/dev/null || find . -name '*.go' -not -path './bin/*')); \
		test -z "$$unformatted" || { echo "run gofmt -w on:" $$unformatted >&2; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go test -count=1 -v -run '$(TOLD)' ./test/hygiene
	go test -count=1 -skip '$(TOLD)' ./test/hygiene

bench: bench-http bench-dns bench-l4 ## measure all three binaries against their peers; BENCHFLAGS="-quick" for ten minutes

bench-http: build tools-bench ## measure appgw against nginx (+ ModSecurity), HAProxy and Caddy; BENCHFLAGS="-quick" for five minutes
	go run ./bench $(BENCHFLAGS)

bench-dns: build tools-bench ## measure trafficmgr against gdnsd, Knot DNS and PowerDNS; DNSBENCHFLAGS="-quick" for two minutes
	go run ./bench/dns $(DNSBENCHFLAGS)

bench-l4: build tools-bench ## measure l4lb against HAProxy and nginx (stream); L4BENCHFLAGS="-quick" for a minute
	go run ./bench/l4 $(L4BENCHFLAGS)

clean: ## remove what was built
	rm -rf bin bench/out
	go clean -testcache

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# gcc is for the race detector; the peers are for the tests of bench/, which would skip without them; the rest is for the
# commands that documents show, and PostgreSQL for test/l4, which balances it.
tools-test:
	@scripts/need.sh dig=bind9-dnsutils gcc=gcc /usr/include/stdio.h=libc6-dev bash=bash curl=curl openssl=openssl git=git psql=postgresql-client $(PACKAGES)/postgresql.list=postgresql nft=nftables nginx=nginx haproxy=haproxy caddy=caddy h2load=nghttp2-client $(MODSECURITY) $(STREAM) $(DNSPEERS)

tools-bench:
	@scripts/need.sh nginx=nginx haproxy=haproxy caddy=caddy wrk=wrk h2load=nghttp2-client $(MODSECURITY) $(STREAM) $(DNSPEERS)
