#!/usr/bin/env bash
# The POSIX suite on the mount, native and through the page cache; then home shows what the mount shows.
# sanitized: yes
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse

# Every name below a directory with what a client sees of it.
listing() { (cd "$1" && find . -printf '%P %y %m %U %G %n %s %T@ %l\n' | sort); }

for mode in auto off; do
	e2e_mount "$work/home" "$work/mnt" --native "$mode" || exit 1
	"$tools/posix" "$work/mnt" && ok "the POSIX suite, --native $mode" || failed "the POSIX suite, --native $mode"
	cp -a tests "$work/mnt/copy"
	listing "$work/mnt" >"$work/through"
	listing "$work/home" >"$work/behind"
	check "home and the mount list the same, --native $mode" diff "$work/behind" "$work/through"
	check "home and the mount hold the same, --native $mode" diff -r "$work/home" "$work/mnt"
	e2e_umount "$work/mnt"
	rm -rf "${work:?}/home"
done
e2e_done
