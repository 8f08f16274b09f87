#!/bin/sh
# need.sh COMMAND=PACKAGE... makes sure that commands (or files, if they begin with /) exist: as root on Debian it installs the
# packages of those that are missing, otherwise it says exactly what is missing and fails.
set -eu

have() {
	case $1 in
	/*) [ -e "$1" ] ;;
	# Daemons live in sbin, which is not on everybody's PATH.
	*) PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 ;;
	esac
}

missing=''
packages=''
for pair in "$@"; do
	command=${pair%%=*}
	package=${pair#*=}
	have "$command" && continue
	missing="$missing $command"
	packages="$packages $package"
done
[ -n "$missing" ] || exit 0

echo "missing:$missing (Debian packages:$packages)" >&2
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "install them, for example: sudo apt-get install --no-install-recommends$packages" >&2
	exit 1
fi

# The servers among the packages are for side-by-side runs: they must not start by themselves and take ports.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
install() {
	# $packages is a list of words on purpose.
	# shellcheck disable=SC2086
	apt-get install -y -qq --no-install-recommends $packages </dev/null >&2
}
install || { apt-get update -qq >&2 && install; }
