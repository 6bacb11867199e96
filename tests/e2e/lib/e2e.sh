# e2e.sh - what an e2e test sources: a private directory, mounts, loop disks, and their removal.
#
#     . "$(dirname "$0")/lib/e2e.sh"
#     e2e_need_root                       # skips (77) with a reason where it cannot run
#     e2e_mount "$work/home" "$work/mnt"  # ends with the test
#     check "what holds" command...       # one line and one count each
#     e2e_done
#
# A test prints 'ok WHAT', 'FAILED WHAT' or 'skip WHAT: WHY', and exits 0, 1 or 77.  Whatever it started or
# mounted is ended when it exits, by process id and by path, and nothing else is touched.
# shellcheck shell=bash
set -uo pipefail

BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
HEARTH=${HEARTH:-$BUILD/hearth}
tools=$BUILD/tests
work=$(mktemp -d "${TMPDIR:-/tmp}/hearth-e2e.XXXXXX")
e2e_mounts=() e2e_loops=() e2e_pids=() e2e_cgroups=()
e2e_ok=0 e2e_failed=0 e2e_skipped=0

ok() { e2e_ok=$((e2e_ok + 1)); echo "ok $*"; }
failed() { e2e_failed=$((e2e_failed + 1)); echo "FAILED $*"; }
skip() { e2e_skipped=$((e2e_skipped + 1)); echo "skip $*"; }

# check WHAT COMMAND...: the command succeeds.  refuse WHAT COMMAND...: it fails.
check() {
	local what=$1 out
	shift
	if out=$("$@" 2>&1); then ok "$what"; else failed "$what"; printf '%s\n' "$out" | tail -n 20 | sed 's/^/    /'; fi
}
refuse() {
	local what=$1 out
	shift
	if out=$("$@" 2>&1); then failed "$what: it was accepted"; printf '%s\n' "$out" | tail -n 5 | sed 's/^/    /'; else ok "$what"; fi
}

# says WHAT STATUS PATTERN COMMAND...: exits with STATUS and prints one line that matches.
says() {
	local what=$1 status=$2 pattern=$3 out rc
	shift 3
	out=$("$@" 2>&1); rc=$?
	if [[ $rc == "$status" ]] && grep -Eq -- "$pattern" <<<"$out"; then
		ok "$what"
	else
		failed "$what: exit $rc (not $status), or no /$pattern/ in:"
		printf '%s\n' "$out" | head -n 5 | sed 's/^/    /'
	fi
}

e2e_skip_all() { echo "skip all: $*"; exit 77; }
e2e_need_root() { [[ $(id -u) == 0 ]] || e2e_skip_all "needs root"; }
e2e_need() { local c; for c in "$@"; do command -v "$c" >/dev/null || e2e_skip_all "needs the program '$c'"; done; }
e2e_need_fuse() { [[ -w /dev/fuse ]] || e2e_skip_all "needs /dev/fuse"; }
e2e_has_passthrough() { [[ $(id -u) == 0 && $(printf '%s\n6.9\n' "$(uname -r)" | sort -V | head -n 1) == 6.9 ]]; }

# A count of a mount's stats: e2e_stat MNT opens_native
e2e_stat() { sed -n "s/^ *\"$2\": \([0-9]*\),*$/\1/p" "$1/.hearth/stats"; }

# e2e_mount HOME MNT [OPTION...]: in the foreground of a background process, so that what it says is in
# $work/hearth.log and it can be killed by its id, e2e_daemon.
e2e_mount() {
	local home=$1 mnt=$2 i
	shift 2
	mkdir -p "$home" "$mnt"
	"$HEARTH" mount --foreground --home "$home" "$@" "$mnt" 2>>"$work/hearth.log" &
	e2e_daemon=$!
	e2e_pids+=("$e2e_daemon"); e2e_mounts+=("$mnt")
	for ((i = 0; i < 200; i++)); do
		if grep -q " $mnt .* - fuse.hearth " /proc/self/mountinfo && cat "$mnt/.hearth/stats" >/dev/null 2>&1; then
			return 0
		fi
		kill -0 "$e2e_daemon" 2>/dev/null || break
		sleep 0.05              # waits for the mount; nothing is measured
	done
	echo "FAILED to mount:"; tail -n 5 "$work/hearth.log"
	return 1
}
# e2e_kill MNT: the daemon is killed at once, and its mount point cleared for the next one.
e2e_kill() {
	kill -KILL "$e2e_daemon" && wait "$e2e_daemon" 2>/dev/null
	umount -l "$1"
}
e2e_umount() { "$HEARTH" umount "$1" && wait "$e2e_daemon"; }

# e2e_loop SIZE MNT: a fresh ext4 of that size on a loop device; sets e2e_dev.
e2e_loop() {
	local img
	img=$(mktemp "$work/disk.XXXXXX")
	truncate -s "$1" "$img"
	mkfs.ext4 -q -F -m 0 -b 4096 -I 256 -E lazy_itable_init=0,lazy_journal_init=0 "$img" || return 1
	e2e_dev=$(losetup -f --show --direct-io=on "$img") || return 1
	e2e_loops+=("$e2e_dev")
	mkdir -p "$2"
	mount "$e2e_dev" "$2" && e2e_mounts+=("$2")
}

# e2e_throttle NAME DEV BYTES_PER_S: a cgroup (version 1, blkio) whose processes read DEV that fast; sets
# e2e_cgroup, whose cgroup.procs takes process ids.
e2e_throttle() {
	local dir=/sys/fs/cgroup/blkio/hearth-$$-$1
	[[ -d /sys/fs/cgroup/blkio ]] || return 77
	mkdir "$dir" || return 1
	e2e_cgroups+=("$dir"); e2e_cgroup=$dir
	echo "$((16#$(stat -c %t "$2"))):$((16#$(stat -c %T "$2"))) $3" >"$dir/blkio.throttle.read_bps_device"
}

e2e_cleanup() {
	local i p
	for ((i = ${#e2e_mounts[@]} - 1; i >= 0; i--)); do
		umount "${e2e_mounts[i]}" 2>/dev/null || umount -l "${e2e_mounts[i]}" 2>/dev/null
	done
	for p in "${e2e_pids[@]}"; do kill "$p" 2>/dev/null; done
	for p in "${e2e_pids[@]}"; do wait "$p" 2>/dev/null; done
	for p in "${e2e_loops[@]}"; do losetup -d "$p" 2>/dev/null; done
	for p in "${e2e_cgroups[@]}"; do rmdir "$p" 2>/dev/null; done
	rm -rf --one-file-system "$work"
}
trap e2e_cleanup EXIT

e2e_done() {
	if grep -Eq 'AddressSanitizer|ThreadSanitizer|runtime error:' "$work"/*.log 2>/dev/null; then
		failed "no report from a sanitizer"
		grep -Eh -A 12 'AddressSanitizer|ThreadSanitizer|runtime error:' "$work"/*.log | head -n 60
	fi
	[[ $((e2e_ok + e2e_failed)) -gt 0 ]] || exit 77
	[[ $e2e_failed == 0 ]]
	exit
}
