#!/usr/bin/env bash
# deps.sh - install what hearth is built and tested with, and build libfuse where the system's is too old.
#
#   deps.sh DIR            packages to build hearth; libfuse into DIR when needed
#   deps.sh DIR --tests    also the packages that the tests run
#
# Says what it installs before it does, uses sudo when it is not root, and does nothing (no network)
# when everything is there.  Passthrough needs libfuse >= 3.17.2: where the distribution has none, a
# pinned source package of a later distribution is downloaded through apt, verified, and built as a
# static library in DIR; nothing outside DIR is changed by that.  A machine without network can be
# given the file: LIBFUSE_TARBALL=FILE deps.sh DIR
set -euo pipefail

fuse_min=3.17.2
fuse_version=3.18.3
fuse_file=fuse3_$fuse_version.orig.tar.gz
fuse_sha256=bcd19582c5e30f7fe45dd86a5540e998590aa01903afc7ebcbeea6c8ac5421ee

build_packages=(gcc make pkg-config libc6-dev libjansson-dev libsqlite3-dev libxxhash-dev liburing-dev nettle-dev libncurses-dev attr fuse3)
fuse_packages=(meson ninja-build gcc pkg-config xz-utils)
test_packages=(libcmocka-dev clang libclang-rt-dev e2fsprogs util-linux fio stress-ng mandoc jq xz-utils)

say() { printf 'hearth set-up: %s\n' "$*"; }
die() { printf 'hearth set-up: %s\n' "$*" >&2; exit 1; }

as_root() {
	if [[ $(id -u) == 0 ]]; then "$@"
	elif command -v sudo >/dev/null; then sudo "$@"
	else die "not root and no sudo: run as root: $*"
	fi
}

installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# libclang-rt-dev is a name of newer distributions; older ones number it by clang's version
resolve() {
	local name=$1 version
	if [[ $name == libclang-rt-dev ]] && command -v clang >/dev/null; then
		version=$(clang -dumpversion); name=libclang-rt-${version%%.*}-dev
	fi
	printf '%s\n' "$name"
}

install_packages() {
	local p missing=()
	for p in "$@"; do
		p=$(resolve "$p")
		installed "$p" || missing+=("$p")
	done
	[[ ${#missing[@]} -gt 0 ]] || return 0
	command -v apt-get >/dev/null || die "no apt-get here: install by hand: ${missing[*]}"
	say "installing with apt: ${missing[*]}"
	as_root apt-get -qq update || say "apt-get update failed; trying with the lists there are"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null ||
		die "apt could not install: ${missing[*]}"
}

at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# Addresses of Debian archives: those apt uses, then the one that debootstrap knows.
debian_archives() {
	local tmp
	apt-get indextargets --format '$(ORIGIN) $(SITE)' 2>/dev/null | sed -n 's/^Debian //p' | awk '!seen[$0]++'
	tmp=$(mktemp -d)
	if (cd "$tmp" && apt-get -qq download debootstrap && dpkg -x debootstrap_*.deb .) >/dev/null 2>&1; then
		sed -n 's/^ *DEF_MIRROR="\(.*\)"/\1/p' "$tmp/usr/sbin/debootstrap"
	fi
	rm -rf "$tmp"
}

fetch_libfuse() {           # into $1
	local site
	if [[ -n ${LIBFUSE_TARBALL:-} ]]; then
		cp "$LIBFUSE_TARBALL" "$1"
	else
		for site in $(debian_archives); do
			say "fetching $fuse_file"
			/usr/lib/apt/apt-helper -qq -oAPT::Sandbox::User=root download-file "${site%/}/pool/main/f/fuse3/$fuse_file" "$1" \
				"SHA256:$fuse_sha256" && break
			rm -f "$1"
		done
	fi
	[[ -s $1 ]] || die "cannot fetch $fuse_file; get it elsewhere and say LIBFUSE_TARBALL=FILE"
	echo "$fuse_sha256  $1" | sha256sum --check --quiet - || { rm -f "$1"; die "$fuse_file has a wrong sha256"; }
}

build_libfuse() {           # into $1
	local dir=$1 work
	if [[ -e $dir/lib/libfuse3.a && $(cat "$dir/VERSION" 2>/dev/null) == "$fuse_version" ]]; then
		return 0
	fi
	install_packages "${fuse_packages[@]}"
	mkdir -p "$dir"
	work=$(mktemp -d "$dir/work.XXXXXX")
	fetch_libfuse "$work/$fuse_file"
	say "building libfuse $fuse_version as a static library"
	tar -xf "$work/$fuse_file" -C "$work" --strip-components=1
	{
		meson setup "$work/build" "$work" --prefix=/usr --buildtype=release -Ddefault_library=static \
			-Dexamples=false -Dutils=false -Dtests=false -Duseroot=false -Denable-io-uring=false &&
		ninja -C "$work/build" lib/libfuse3.a
	} >"$dir/build.log" 2>&1 || die "libfuse did not build, see $dir/build.log"
	mkdir -p "$dir/include" "$dir/lib"
	cp "$work"/include/*.h "$work/build/libfuse_config.h" "$dir/include/"
	cp "$work/build/lib/libfuse3.a" "$dir/lib/"
	echo "$fuse_version" >"$dir/VERSION"
	rm -rf "$work"
}

[[ $# -ge 1 ]] || die "usage: deps.sh DIR [--tests]"
dir=$1
packages=("${build_packages[@]}")
[[ ${2:-} != --tests ]] || packages+=("${test_packages[@]}")
install_packages "${packages[@]}"
if ! pkg-config --atleast-version=$fuse_min fuse3 2>/dev/null; then
	candidate=$(apt-cache policy libfuse3-dev 2>/dev/null | sed -n 's/ *Candidate: \([0-9.]*\).*/\1/p')
	if [[ -n $candidate ]] && at_least "$candidate" $fuse_min; then
		install_packages libfuse3-dev
	else
		build_libfuse "$dir/libfuse"
	fi
fi
