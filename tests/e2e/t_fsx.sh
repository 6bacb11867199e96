#!/usr/bin/env bash
# Random operations on files that grow past a blob's size and shrink again, compared byte for byte with a
# model: on a plain directory, then on the mount, native and through the page cache.
# sanitized: yes
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse
ops=${HEARTH_LONG:+300000}; ops=${ops:-6000}
seed=${FSX_SEED:-$(date +%s)}

run() {                 # WHAT DIR [OPTION...]
	local what=$1 dir=$2
	shift 2
	rm -rf "$dir"
	mkdir -p "$dir"
	if "$tools/fsx" "$dir" -s "$seed" -n "$ops" "$@" >"$work/fsx.out"; then
		ok "$what $*: $(cat "$work/fsx.out")"
	else
		failed "$what $*"
		tail -n 60 "$work/fsx.out"
	fi
}

run "plain" "$work/plain/fsx"
run "plain" "$work/plain/fsx" -m
for mode in auto off; do
	e2e_mount "$work/home" "$work/mnt" --native "$mode" || exit 1
	run "--native $mode" "$work/mnt/fsx"
	run "--native $mode" "$work/mnt/fsx" -m -k
	check "home holds what the mount shows, --native $mode" diff -r "$work/home/fsx" "$work/mnt/fsx"
	run "--native $mode, small files" "$work/mnt/fsx" -m -l 200000
	e2e_umount "$work/mnt"
done
e2e_done
