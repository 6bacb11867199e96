#!/bin/sh
# tier.sh - what the tiers do: loads, loops and scans on a slow disk with a fast one before it, beside ext4.
#
# Usage: make bench NAME=tier [ROWS=abcdefgh], or BUILD=build [ROWS=...] [BENCH_DIR=DIR] [BENCH_...] tests/bench/tier.sh
#
#  a  the first load of a model from the slow disk, while the copy on the fast one is made, beside the disk's speed
#  b  the second load, native and cold, beside the same bytes on the fast disk's ext4
#  c  a load of what is pinned to memory, beside the page cache
#  d  a model 1.33 times the memory given for it, read by a mapping again and again, beside ext4 in as much memory
#  e  three models in turn where the fast disk holds two: hits beside the optimum's, and moves
#  f  decode-like reading while the whole store is summed through the mount, beside the same while home is summed
#  g  from one model to another where the fast disk holds one: seconds until 90 % come from there
#  h  processor time a GiB; time to mount and memory of the daemon with four million extents
#
# BENCH_MIB (512) is the size of a model, BENCH_LOOP_MIB (5120) that of row d's, BENCH_SLOW (150) the slow disk's
# MB/s, BENCH_FLIP_S (120) the most that row g waits, BENCH_EXTENTS (4000000) the extents of row h.  All takes a
# quarter of an hour, half of it row d.  BENCH_PEERS=1 puts ext4 on our side too: what the ratios then miss 1 by is noise.
#
# Disks are ext4 on loop devices with direct I/O.  Reads from the slow one are limited by a control group in which the
# whole bench runs, the daemon included; the fast one is the bare disk.  Both disks and the mount get the same
# read-ahead, which is printed.  Row d and f give memory by another control group: ours holds daemon and reader.
. tests/bench/lib.sh
. tests/bench/tier/place.sh
. tests/bench/tier/load.sh
. tests/bench/tier/loop.sh
. tests/bench/tier/model.sh
. tests/bench/tier/scan.sh
. tests/bench/tier/cost.sh

tool=$BUILD/tests/tier_bench
rows=${ROWS:-abcdefgh}
size=${BENCH_MIB:-512}                  # of a model, MiB
blobs=9                                 # models: three first loads of each kind
fills=6                                 # of memory in row c
loop_size=${BENCH_LOOP_MIB:-5120}       # of row d's model,
loop_memory=$((loop_size * 3 / 4))      # and what it has
slow=${BENCH_SLOW:-150}                 # MB/s
flip_limit=${BENCH_FLIP_S:-120}
extents=${BENCH_EXTENTS:-4000000}
read_ahead=4096                         # KiB: what hearth gives its mount for gathered reads
peers=${BENCH_PEERS:-0}

# blob N: its path in home and in the mount
blob()
{
	printf 'blobs/sha256-%064d' "$1"
}

# want N...: models, made where they are not there yet, out of memory
want()
{
	mkdir -p "$home/blobs"
	for n in "$@"; do
		[ -e "$home/$(blob "$n")" ] || "$tool" make "$home/$(blob "$n")" "$size" "$n" || bench_fail "no model"
		"$tool" drop "$home/$(blob "$n")"
	done
}

# begin CACHE_MIB RAM OPTION...: mount with a new cache of that size and so much for the tier in memory, where this
# hearth can.  CACHE_MIB 0: no cache.  RAM 0: memory is left to the kernel; -: as hearth has it by itself.
begin()
{
	cache_size=$1
	shift
	if [ "$peers" -eq 1 ]; then
		mnt=$home
		return 0
	fi
	mnt=$BENCH_WORK/mnt
	rm -rf "$nvme/cache"
	mkdir "$nvme/cache"
	again "$@"
}

# again RAM OPTION...: the same mount once more, with what its cache holds
again()
{
	ram=$1
	shift
	if [ "$have_ram" -eq 1 ] && [ "$ram" != - ]; then
		set -- --ram "$ram" "$@"
	fi
	if [ "$have_cache" -eq 1 ] && [ "$cache_size" -gt 0 ]; then
		set -- --cache "nvme=$nvme/cache,size=${cache_size}M" "$@"
	fi
	place_mount "${mount_procs:--}" "$@"
}

end()
{
	[ "$peers" -eq 1 ] || place_umount
}

# in_tier TIER FILE: bytes of it there, 0 when nothing says so
in_tier()
{
	{ "$tool" xattr "$2" user.hearth.tier 2>/dev/null || true; } | tr ' ' '\n' |
		awk -F = -v tier="$1" '$1 == tier { n = $2 } END { printf "%d\n", n }'
}

whole_in()
{
	[ "$(in_tier "$1" "$2")" -ge "$(stat -c %s "$2")" ]
}

# of_tier TIER FIELD: a number of the mount's statistics about a tier
of_tier()
{
	awk -v tier="\"$1\"" -v field="\"$2\":" '
		/{/ { name = value = "" }
		$1 == "\"name\":" { name = $2; sub(/,$/, "", name) }
		$1 == field { value = $2; sub(/,$/, "", value) }
		/}/ { if (name == tier && value != "") { print value; exit } name = value = "" }' "$mnt/.hearth/stats"
}

now()
{
	cut -d ' ' -f 1 /proc/uptime
}

since()
{
	now | awk -v from="$1" '{ printf "%.2f\n", $1 - from }'
}

# group ROWS FUNCTION: run it when any of its rows is wanted, in a shell of its own; what it leaves is undone
group()
{
	case $rows in
	*["$1"]*) ;;
	*) return 0 ;;
	esac
	set +e
	(
		set -e
		trap place_undo EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM HUP
		bench_missed=0
		"$2"
		echo "$bench_missed" >>"$BENCH_WORK/missed"
	)
	status=$?
	set -e
	[ $status -lt 128 ] || exit $status
	[ $status -ne 0 ] || return 0
	place_say "row $1: not measured to its end"
	echo 1 >>"$BENCH_WORK/missed"
}

# What this hearth can do, and what the peers' run does not need.
abilities()
{
	have_cache=0
	have_ram=0
	if [ "$peers" -eq 1 ]; then
		place_say "BENCH_PEERS: ext4 on both sides"
		return 0
	fi
	"$bench_hearth" mount --help >"$BENCH_WORK/help"
	if grep -q -e --cache "$BENCH_WORK/help"; then have_cache=1; else place_say "this hearth has no --cache"; fi
	if grep -q -e --ram "$BENCH_WORK/help"; then have_ram=1; else place_say "this hearth has no --ram"; fi
}

measure()
{
	disk_mib=$((blobs * size + 512))
	case $rows in *d*) disk_mib=$((disk_mib + 2 * loop_size)) ;; esac
	nvme_mib=$(((blobs + 3) * size + 512))
	disk_mib=$((disk_mib + disk_mib / 16))
	nvme_mib=$((nvme_mib + nvme_mib / 16))
	bench_space "$BENCH_WORK" $((disk_mib + nvme_mib + 1024)) ||
		bench_fail "no room for $((disk_mib + nvme_mib + 1024)) MiB: try BENCH_DIR=DIR, or a smaller BENCH_MIB and BENCH_LOOP_MIB"
	place_make "$disk_mib" "$nvme_mib" || return 0
	home=$disk/home
	place_limit "$slow"
	place_say "read-ahead: slow disk $(bench_read_ahead "$disk") KiB, fast disk $(bench_read_ahead "$nvme") KiB," \
		"the mount is set to the same"
	group abc load_rows
	group d loop_rows
	group e model_rows
	group f scan_rows
	group g flip_rows
	group h cost_rows
	bench_missed=$(awk '{ n += $1 } END { print n + 0 }' "$BENCH_WORK/missed")
}

[ $((size % 64)) -eq 0 ] && [ "$size" -ge 128 ] || bench_fail "BENCH_MIB: 128 or more, in steps of 64"
[ -x "$tool" ] || bench_fail "'$tool' is missing: run 'make tests'"
bench_begin tier
trap place_end EXIT
: >"$BENCH_WORK/missed"
bench_machine "$BENCH_WORK"
abilities
measure
bench_end
