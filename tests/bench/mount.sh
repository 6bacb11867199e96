#!/bin/sh
# mount.sh - reads through the mount beside reads of the same file from home's directory.
#
# Usage: make bench NAME=mount, or BUILD=build [BENCH_DIR=DIR] [BENCH_MIB=1024] tests/bench/mount.sh
#
# Warm rows read a file that is in the page cache; before each sample of a cold row its pages are dropped on both
# sides.  Cold rows are taken from the disk as it is and from a loop device of fixed speed on it, which varies less.
# Both sides have the read-ahead of home's disk, which is printed.
#
# Rows without a target are for information: open+close, mmap+munmap, stat, those called cached, which are of a
# mount without passthrough, where the daemon answers the reads, and a cold load with the advice that llama.cpp
# gives: its POSIX_FADV_SEQUENTIAL doubles the read-ahead on ext4, and does not reach the file behind a native open.
. tests/bench/lib.sh

tool=$BUILD/tests/bench_read
size=${BENCH_MIB:-1024}                 # of the model, MiB
window=16                               # one warm sample of read(2),
map_window=64                           # and of a mapping that is touched; populated is the whole file, as
                                        # llama.cpp does: a fresh open's first mmap costs 1 to 2 us more
warm_samples=384                        # of each side: whole walks of a 1 GiB file in any of these
cold_window=64                          # one cold sample
slow_mb=500                             # the throttled device's MB/s, given in slices of 0.1 s,
slow_window=256                         # one sample from it: five slices and a part of the sixth,
slow_idle=300                           # and the ms before it after which a new slice begins
blob=blobs/sha256-0000000000000000000000000000000000000000000000000000000000000001

# row NAME CASE KIND UNIT TARGET ROUNDS WINDOW [IDLE]
row()
{
	"$tool" run "$2" "$mnt/$blob" "$home/$blob" "$6" "$7" "${8:-0}" >"$BENCH_WORK/samples" ||
		bench_fail "'$1' did not run"
	bench_row "$1" "$3" "$4" "$5" "$BENCH_WORK/samples"
}

# rounds WALKS WINDOW: enough for that many walks through the file
rounds()
{
	echo $(($1 * (size / $2)))
}

# warm_rows PREFIX TARGET RANDOM_TARGET SAMPLES WHOLE_SAMPLES: of the file as sequential reads from the disk have
# left it in the page cache, in larger folios than writing it did
warm_rows()
{
	n=$4
	"$tool" verify "$mnt/$blob" "$home/$blob"
	row "$1warm read 1 MiB" read rate GB/s "$2" "$n" $window
	row "$1warm mmap touch" mmap rate GB/s "$2" "$n" $map_window
	row "$1warm mmap populate" populate rate GB/s "$2" "$5" "$size"
	row "$1warm random read 4 KiB" random rate kIO/s "$3" "$n" $window
	row "$1open+close" open time us "" 101 $window
	row "$1mmap+munmap of a page" map-call time us "" 101 $window
	row "$1stat" stat time us "" 101 $window
}

# cold_rows PREFIX WHERE TARGET WALKS WINDOW IDLE
cold_rows()
{
	n=$(rounds "$4" "$5")
	row "$1cold read 1 MiB $2" cold-read rate GB/s "$3" "$n" "$5" "$6"
	row "$1cold mmap touch $2" cold-mmap rate GB/s "$3" "$n" "$5" "$6"
	row "$1cold mmap populate $2" cold-populate rate GB/s "$3" "$n" "$5" "$6"
}

make_home()
{
	home=$1
	mkdir -p "$home/blobs"
	"$tool" make "$home/$blob" "$size"
}

# begin TITLE [OPTION...]: mount home and see that both sides hold what was written
begin()
{
	title=$1
	shift
	mnt=$BENCH_WORK/mnt
	bench_mount "$home" "$mnt" "$@"
	"$tool" verify "$mnt/$blob" "$home/$blob"
	ours_ra=$(bench_read_ahead "$mnt/$blob")
	other_ra=$(bench_read_ahead "$home/$blob")
	bench_title "$title; read-ahead: mount $ours_ra KiB, home $other_ra KiB"
}

# The counters prove that the rows are what they are called.
end()
{
	echo "opens: $(bench_stat "$mnt" opens_native) native, $(bench_stat "$mnt" opens_cached) cached;" \
		"the daemon read $(($(bench_stat "$mnt" read_bytes) / 1048576)) MiB"
	bench_umount "$mnt"
}

on_disk()
{
	make_home "$BENCH_WORK/home"
	begin "native"
	native=$(bench_stat "$mnt" native)
	if [ "$native" = true ]; then
		cold_rows "" "(disk)" 0.97 4 $cold_window 0
		row "cold load as llama.cpp (disk)" cold-llama rate GB/s "" "$(rounds 2 $cold_window)" $cold_window
		warm_rows "" 0.97 0.85 $warm_samples $((warm_samples / 2))
	else
		echo "not measured: $(bench_stat "$mnt" native_refused)"
	fi
	end
	begin "cached, for information" --native=off
	cold_rows "cached " "(disk)" "" 1 $cold_window 0
	warm_rows "cached " "" "" $((warm_samples / 4)) $((warm_samples / 16))
	end
	rm -rf "$home"
}

on_throttled_loop()
{
	bench_is_root || { printf '\nno throttled device: that takes root\n' && return 0; }
	if ! bench_loop dev "$BENCH_WORK/image" "$BENCH_WORK/disk" $((size + size / 16 + 64)) ||
	   ! bench_throttle "$dev" $slow_mb; then
		printf '\nno throttled device: no loop device, or no control group that limits reads\n'
		return 0
	fi
	make_home "$BENCH_WORK/disk/home"
	if [ "$native" = true ]; then
		begin "native, ext4 on a loop device (direct I/O: $(cat "/sys/class/block/${dev##*/}/loop/dio")) at $slow_mb MB/s"
		cold_rows "" "($slow_mb MB/s)" 0.97 2 $slow_window $slow_idle
		end
	fi
	begin "cached, the same device, for information" --native=off
	row "cached cold read 1 MiB ($slow_mb MB/s)" cold-read rate GB/s "" "$(rounds 1 $slow_window)" $slow_window $slow_idle
	end
}

[ "$size" -ge 1024 ] && [ $((size % slow_window)) -eq 0 ] || bench_fail "BENCH_MIB: 1024 or more, in steps of $slow_window"
bench_begin mount
bench_space "$BENCH_WORK" $((size + size / 16 + 1024)) || bench_fail "no room: try BENCH_DIR=DIR"
bench_memory $((2 * size + 512)) || bench_fail "not enough memory to hold $size MiB twice"
bench_machine "$BENCH_WORK"
echo "model: $size MiB; medians of $warm_samples samples (warm), $(rounds 4 $cold_window) of $cold_window MiB" \
	"(cold), $(rounds 2 $slow_window) of $slow_window MiB ($slow_mb MB/s), ours and other by turns"
on_disk
on_throttled_loop
bench_end
