#!/bin/sh
# test.sh SECTION... runs the tests in sections, each with its result and time. It goes on after a failed section and fails
# at the end, so that one run shows everything.
#
#   check  gofmt, vet, staticcheck, the rules of the repository, configurations and commands of the documents
#   race   every package under the race detector
#   plain  every package without it: direct system calls and allocation ceilings exist only there
#   long   those of test/ that have long suites (GATEHOUSE_LONG), one at a time, because they measure; then the tests of the
#          Core Rule Set and the conformance suite of Connect and gRPC, which are modules of their own
set -eu

failed=''
section() {
	name=$1
	shift
	echo
	echo "=== $name"
	began=$(date +%s)
	if "$@" </dev/null; then
		result=ok
	else
		result=FAILED
		failed="$failed $name"
	fi
	echo "=== $name: $result after $(($(date +%s) - began)) s"
}

# The rules have run in check; they do not depend on how the tests are compiled.
packages=$(go list ./... | grep -v '/test/hygiene$')
ends=$(grep -rl 'testkit\.Long(' --include='*_test.go' test | sed 's|^|./|; s|/[^/]*$||' | sort -u)
units=$(echo "$packages" | grep -v '/test/')

for name in "$@"; do
	# Lists of packages are words on purpose.
	# shellcheck disable=SC2086
	case $name in
	check) section check make --no-print-directory check ;;
	race) section race env CGO_ENABLED=1 go test -race -timeout 20m $packages ;;
	plain) section plain env GATEHOUSE_LONG=1 go test -timeout 25m $units ;;
	long)
		[ -z "$ends" ] || section long env GATEHOUSE_LONG=1 go test -count=1 -p 1 -timeout 20m $ends
		section 'core rule set' sh -c 'cd test/crs && go vet . && go test -count=1 -timeout 12m -v .'
		section 'connect and grpc' sh -c 'cd test/connect && go vet . && go test -count=1 -timeout 12m -v .'
		;;
	*)
		echo "test.sh: no section $name" >&2
		exit 2
		;;
	esac
done

echo
if [ -n "$failed" ]; then
	echo "FAILED:$failed"
	exit 1
fi
echo "all sections passed"
