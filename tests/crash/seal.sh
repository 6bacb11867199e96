#!/usr/bin/env bash
# seal.sh [HEARTH] - what hearth has acknowledged is on home (design rule R8: the rename that seals a
# blob, fsync, the close of a manifest).
#
#   kill   a sealer works through the mount, the daemon is killed (-9) at a random point, home is checked
#   cut    the same on a home of its own disk, whose power is cut; checked after the next mount
#   self   the harness must be able to fail: a writer that nobody syncs loses data in a cut, one that
#          syncs names but not data leaves names with wrong content, and damage done on purpose is seen
#
# SEAL_KILLS and SEAL_CUTS say how many cycles; HEARTH_LONG makes them many.
. "$(dirname "$0")/../e2e/lib/e2e.sh"
# shellcheck disable=SC2034
[[ -z ${1:-} ]] || HEARTH=$1
e2e_need_root
e2e_need_fuse
e2e_need losetup mkfs.ext4
kills=${SEAL_KILLS:-${HEARTH_LONG:+200}}; kills=${kills:-8}
cuts=${SEAL_CUTS:-${HEARTH_LONG:+40}}; cuts=${cuts:-4}
seed=${SEAL_SEED:-$$}
RANDOM=$seed
sealer=
total_seals=0 total_manifests=0 total_fsyncs=0 total_bytes=0

# start_sealer STORE LOG [OPTION...]
start_sealer() {
	: >"$2"
	"$tools/sealer" "$@" -s "$RANDOM" >>"$work/sealer.out" 2>&1 &
	sealer=$!
	e2e_pids+=("$sealer")
}

# Returns once LOG has so many lines, or the sealer has ended.
wait_for_lines() {
	while [[ $(wc -l <"$1") -lt $2 ]] && kill -0 "$sealer" 2>/dev/null; do sleep 0.01; done
}

# The sealer ends by itself when its store is gone; status 3 says so.
sealer_is_cut_off() {
	local i rc
	for ((i = 0; i < 1000; i++)); do
		kill -0 "$sealer" 2>/dev/null || break
		sleep 0.02
	done
	kill -KILL "$sealer" 2>/dev/null
	wait "$sealer" 2>/dev/null; rc=$?
	[[ $rc == 3 ]] || echo "the sealer ended with $rc: $(tail -n 1 "$work/sealer.out")"
	[[ $rc == 3 ]]
}

# holds HOME LOG: sealcheck, its counts added to the totals
holds() {
	local out rc
	out=$("$tools/sealcheck" "$1" "$2"); rc=$?
	[[ $rc == 0 ]] || echo "$out"
	# shellcheck disable=SC2086
	set -- ${out##*sealcheck: }
	total_seals=$((total_seals + $1)); total_manifests=$((total_manifests + $3))
	total_fsyncs=$((total_fsyncs + $5)); total_bytes=$((total_bytes + $8))
	return $rc
}

disk_up() { mount "$e2e_dev" "$1"; }
disk_down() {
	local i
	for ((i = 0; i < 200; i++)); do
		umount "$1" 2>/dev/null && return 0
		sleep 0.05              # until the kernel has let go of the daemon's files
	done
	echo "cannot unmount the disk"
	return 1
}

# ---- self: the harness sees what it should ----

# direct STORE_NAME SYNC: a sealer straight on the disk until 12 lines are logged, then a cut
direct() {
	rm -rf "$work/disk/home"
	mkdir "$work/disk/home"
	sync -f "$work/disk"
	start_sealer "$work/disk/home" "$work/$1.log" -f "$2"
	wait_for_lines "$work/$1.log" 12
	"$tools/powercut" "$work/disk"
	sealer_is_cut_off >/dev/null
	disk_down "$work/disk" && disk_up "$work/disk"
}
finds() {
	local out
	out=$("$tools/sealcheck" "$work/disk/home" "$work/$1.log")
	grep -Eq "$2" <<<"$out" || { echo "$out"; return 1; }
}
self_tests() {
	e2e_loop 400M "$work/disk" || { failed "self: a disk"; return; }
	direct none none
	check "self: a writer that nobody syncs is found to lose blobs" finds none '^lost: blobs/'
	direct dir dir
	check "self: names synced without their data are found" finds dir '^(lost|wrong): blobs/'
	direct full full
	check "self: a writer that syncs all loses nothing" "$tools/sealcheck" "$work/disk/home" "$work/full.log"
	mkdir "$work/whole"
	"$tools/sealer" "$work/whole" "$work/whole.log" -n 6 >/dev/null
	check "self: an undisturbed store is whole" "$tools/sealcheck" "$work/whole" "$work/whole.log"
	: >"$work/empty.log"
	says "self: nothing acknowledged proves nothing" 2 '0 seals' "$tools/sealcheck" "$work/whole" "$work/empty.log"
	touch "$work/whole/blobs/.hidden"
	says "self: a foreign name is found" 1 '^foreign: blobs/.hidden' "$tools/sealcheck" "$work/whole" "$work/whole.log"
	rm "$work/whole/blobs/.hidden"
	blob=$(find "$work/whole/blobs" -type f -printf '%f\n' | head -n 1)
	printf X | dd of="$work/whole/blobs/$blob" bs=1 seek=100 conv=notrunc status=none
	says "self: one changed byte is found" 1 "^wrong: blobs/$blob" "$tools/sealcheck" "$work/whole" "$work/whole.log"
	: >"$work/whole/manifests/registry.ollama.ai/library/m1/latest"
	says "self: an emptied manifest is found" 1 '^lost: manifests/' "$tools/sealcheck" "$work/whole" "$work/whole.log"
	rm -rf "$work/whole"
}

# ---- kill ----

kill_cycle() {
	rm -rf "$work/khome"
	e2e_mount "$work/khome" "$work/kmnt" || return 1
	start_sealer "$work/kmnt" "$work/kill.log"
	wait_for_lines "$work/kill.log" $((4 + RANDOM % 40))
	sleep "0.0$((RANDOM % 90 + 10))"        # anywhere within an operation, not only after one
	e2e_kill "$work/kmnt"
	sealer_is_cut_off && holds "$work/khome" "$work/kill.log"
}

# ---- cut ----

cut_cycle() {
	local rc=0
	rm -rf "$work/disk/home"
	mkdir "$work/disk/home"
	sync -f "$work/disk"
	e2e_mount "$work/disk/home" "$work/cmnt" || return 1
	start_sealer "$work/cmnt" "$work/cut.log"
	wait_for_lines "$work/cut.log" $((4 + RANDOM % 40))
	sleep "0.0$((RANDOM % 90 + 10))"
	"$tools/powercut" "$work/disk" || rc=1
	sealer_is_cut_off || rc=1
	e2e_kill "$work/cmnt"
	disk_down "$work/disk" && disk_up "$work/disk" || return 1
	[[ $rc == 0 ]] && holds "$work/disk/home" "$work/cut.log"
}

cycles() {
	local what=$1 n=$2 bad=0 i
	for ((i = 1; i <= n; i++)); do
		if ! "${what}_cycle" >"$work/cycle.out" 2>&1; then
			failed "$what: cycle $i"
			sed 's/^/    /' "$work/cycle.out" | tail -n 20
			bad=1
			break
		fi
	done
	[[ $bad == 0 ]] && ok "$what: $n cycles, nothing acknowledged is lost"
}

self_tests
cycles kill "$kills"
cycles cut "$cuts"
echo "note seal: seed $seed, $kills kills and $cuts cuts, $total_seals seals, $total_manifests manifests and $total_fsyncs fsyncs" \
	"acknowledged, $total_bytes bytes checked"
check "something was acknowledged" test "$total_seals" -gt $((kills + cuts)) -a "$total_manifests" -gt 0
e2e_done
