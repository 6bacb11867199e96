# lib.sh - what the benches share; to be sourced by tests/bench/NAME.sh, which runs in the repository root.
#
#	. tests/bench/lib.sh
#	bench_begin NAME                        the CSV, the work directory $BENCH_WORK; all is cleaned up at exit
#	bench_space DIR MIB                     1 when DIR's file system has less than that free
#	bench_memory MIB                        1 when less memory than that can be had without swapping
#	bench_read_ahead FILE                   print the read-ahead of the file's device, KiB
#	bench_machine DIR                       print the machine and DIR's file system
#	bench_loop DEV_VAR IMAGE DIR MIB        make an ext4 of that size on a loop device and mount it (root)
#	bench_throttle DEVICE MB_PER_S          limit reads from DEVICE for this shell and its later children (root)
#	bench_mount HOME DIR [OPTION...]        hearth mount
#	bench_umount DIR                        hearth umount
#	bench_stat DIR NAME                     print a value of the mount's statistics
#	bench_title TEXT                        begin a table
#	bench_row NAME KIND UNIT TARGET FILE    medians of FILE's lines "ours VALUE" and "other VALUE"
#	bench_end                               say where the CSV is
#	until_true SECONDS COMMAND...           run it until it holds; 1 when it did not by then
#	median                                  of numbers, one a line
#	holds TEXT COMMAND...                   say when it does not; that counts as a target missed
#
# KIND is rate or time; ratio is ours/other of rates and other/ours of times, so it is better when larger.  TARGET
# may be empty, or +-0.15 where the two should differ by no more than that.  BENCH_DIR=DIR says where to work; else TMPDIR or /tmp, or /var/tmp where that is no disk.
set -eu

BUILD=${BUILD:-build}
bench_hearth=$BUILD/hearth
bench_mounts=
bench_loops=
bench_group=
bench_missed=0

bench_fail()
{
	echo "bench: $*" >&2
	exit 1
}

until_true()
{
	tries=$(($1 * 10))
	shift
	while ! "$@"; do
		[ $tries -gt 0 ] || return 1
		tries=$((tries - 1))
		sleep 0.1
	done
}

median()
{
	sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'
}

holds()
{
	text=$1
	shift
	"$@" && return 0
	echo "does not hold: $text"
	bench_missed=$((bench_missed + 1))
}

bench_is_root()
{
	[ "$(id -u)" -eq 0 ]
}

# Where to work: a file system whose files can leave memory.
bench_dir()
{
	for d in "${BENCH_DIR:-}" "${TMPDIR:-/tmp}" /var/tmp; do
		[ -n "$d" ] || continue
		case $(df -PT "$d" | awk 'NR == 2 { print $2 }') in
		tmpfs | ramfs | rootfs) [ "$d" != "${BENCH_DIR:-}" ] || bench_fail "BENCH_DIR is in memory" ;;
		*) echo "$d" && return 0 ;;
		esac
	done
	bench_fail "no directory on a disk: say BENCH_DIR=DIR"
}

bench_begin()
{
	[ -x "$bench_hearth" ] || bench_fail "'$bench_hearth' is missing: run 'make'"
	bench_csv=$BUILD/bench/$1.csv
	mkdir -p "$BUILD/bench"
	BENCH_WORK=$(bench_dir)
	BENCH_WORK=$(mktemp -d "$BENCH_WORK/hearth-bench.XXXXXX")
	trap bench_cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	echo "name,ours,other,unit,ratio,target" >"$bench_csv.part"
}

# Undo everything, newest first, whatever state it is in.
bench_cleanup()
{
	trap - EXIT INT TERM HUP
	set +e
	for m in $bench_mounts; do
		mountpoint -q "$m" || continue
		"$bench_hearth" umount "$m" 2>/dev/null || umount "$m" 2>/dev/null || umount -l "$m"
	done
	for d in $bench_loops; do
		losetup -d "$d"
	done
	if [ -n "$bench_group" ]; then
		bench_leave
		rmdir "$bench_group"
	fi
	rm -f "$bench_csv.part"
	rm -rf --one-file-system "$BENCH_WORK"
}

bench_space()
{
	[ "$(df -Pm "$1" | awk 'NR == 2 { print $4 }')" -ge "$2" ]
}

bench_memory()
{
	[ "$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)" -ge "$1" ]
}

# The read-ahead of the device under a file, in KiB.
bench_read_ahead()
{
	cat "/sys/class/bdi/$(stat -c '%Hd:%Ld' "$1")/read_ahead_kb" 2>/dev/null || echo unknown
}

bench_machine()
{
	awk -F ': *' -v cores="$(nproc)" -v kernel="$(uname -r)" -v load="$(cut -d ' ' -f 1 /proc/loadavg)" \
		'FILENAME == "/proc/cpuinfo" && /^model name/ && cpu == "" { cpu = $2 }
		 FILENAME == "/proc/meminfo" && /^MemTotal/ { mem = $2 / 1048576 }
		 END { printf "machine: %s, %d cores, %.1f GiB, Linux %s, load %s\n", cpu, cores, mem, kernel, load }' \
		/proc/cpuinfo /proc/meminfo
	df -PT "$1" | awk 'NR == 2 { printf "home: %s on %s\n", $2, $1 }'
}

# ---- devices ----

bench_loop()
{
	truncate -s "$4M" "$2"
	mkfs.ext4 -q -F -m 0 -E lazy_itable_init=0,lazy_journal_init=0 "$2" || return 1
	bench_dev=$(losetup --direct-io=on --show -f "$2") || return 1
	bench_loops="$bench_dev $bench_loops"
	mkdir -p "$3"
	mount -o noatime "$bench_dev" "$3" || return 1
	bench_mounts="$3 $bench_mounts"
	eval "$1=\$bench_dev"
}

# Into the group, or out of it into its parent.
bench_leave()
{
	echo $$ >"${bench_group%/*}/cgroup.procs"
}

bench_throttle()
{
	id=$(cat "/sys/class/block/${1##*/}/dev")
	if [ -e /sys/fs/cgroup/blkio/blkio.throttle.read_bps_device ]; then
		bench_group=/sys/fs/cgroup/blkio/hearth-bench.$$
		mkdir "$bench_group" || return 1
		echo "$id $(($2 * 1000000))" >"$bench_group/blkio.throttle.read_bps_device" || return 1
	elif grep -qw io /sys/fs/cgroup/cgroup.controllers 2>/dev/null; then
		bench_group=/sys/fs/cgroup/hearth-bench.$$
		mkdir "$bench_group" || return 1
		echo +io >/sys/fs/cgroup/cgroup.subtree_control || return 1
		echo "$id rbps=$(($2 * 1000000))" >"$bench_group/io.max" || return 1
	else
		return 1
	fi
	echo $$ >"$bench_group/cgroup.procs"
}

# ---- mounts ----

bench_mount()
{
	home=$1
	at=$2
	shift 2
	mkdir -p "$at"
	"$bench_hearth" mount --home "$home" "$@" "$at" || bench_fail "cannot mount '$home'"
	bench_mounts="$at $bench_mounts"
}

bench_umount()
{
	"$bench_hearth" umount "$1" || bench_fail "cannot unmount '$1'"
}

bench_stat()
{
	sed -n 's/^.*"'"$2"'": *\([^,]*\),*$/\1/p' "$1/.hearth/stats"
}

# ---- rows ----

bench_title()
{
	printf '\n%s\n%-44s %12s %12s %-8s %7s %7s %7s\n' "$1" '' ours other unit ratio target spread
}

# spread: half the distance between the quartiles, relative to the median, the larger of the two sides'.
bench_row()
{
	sort -k 1,1 -k 2,2g "$5" | awk -v name="$1" -v kind="$2" -v unit="$3" -v target="$4" -v csv="$bench_csv.part" '
		{ v[$1, ++n[$1]] = $2 }
		function at(side, q,    x, i) {
			x = 1 + q * (n[side] - 1)
			i = int(x)
			return i == n[side] ? v[side, i] : v[side, i] + (x - i) * (v[side, i + 1] - v[side, i])
		}
		function spread(side) {
			return 50 * (at(side, 0.75) - at(side, 0.25)) / at(side, 0.5)
		}
		END {
			if (n["ours"] == 0 || n["ours"] != n["other"])
				exit 3
			ours = at("ours", 0.5)
			other = at("other", 0.5)
			ratio = kind == "time" ? other / ours : ours / other
			wide = spread("ours") > spread("other") ? spread("ours") : spread("other")
			below = target != "" && ratio < target
			if (substr(target, 1, 2) == "+-")
				below = ratio < 1 - substr(target, 3) || ratio > 1 + substr(target, 3)
			printf "%-44s %12.4g %12.4g %-8s %7.3f %7s %6.0f%% %s\n", name, ours, other, unit, ratio, target, \
				wide, below ? "missed" : ""
			printf "%s,%.5g,%.5g,%s,%.4f,%s\n", name, ours, other, unit, ratio, target >>csv
			exit below
		}' && return 0
	[ $? -eq 1 ] || bench_fail "no samples of '$1'"
	bench_missed=$((bench_missed + 1))
}

bench_end()
{
	mv "$bench_csv.part" "$bench_csv"
	[ "$bench_missed" -eq 0 ] || printf '\n%d targets missed\n' "$bench_missed"
	printf '\nwritten: %s\n' "$bench_csv"
}
