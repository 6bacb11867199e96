#!/usr/bin/env bash
# Fifty threads open, read, map, write and close the same files at once (design rule R5): no error, and
# no wrong byte.
# sanitized: yes
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse
rounds=${HEARTH_LONG:+1500}; rounds=${rounds:-60}

race() {                # WHAT DIR
	local out
	mkdir -p "$2"
	if out=$("$tools/race_open" "$2" -t 50 -n "$rounds" -s "$RANDOM"); then ok "$1: $out"; else failed "$1: $out"; fi
}

race "plain" "$work/plain"
for mode in auto off; do
	e2e_mount "$work/home" "$work/mnt" --native "$mode" || exit 1
	race "--native $mode" "$work/mnt/race"
	e2e_umount "$work/mnt"
done
e2e_done
