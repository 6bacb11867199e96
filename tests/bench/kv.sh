#!/bin/sh
# kv.sh - a KV cache on disk: memory, prefill and decode behind long contexts, beside the same run with it in memory.
#
# Usage: make bench NAME=kv [DEPTHS="16384 32768 100000"] [SPEED=500] [TOKENS=8], or: BUILD=build [...] tests/bench/kv.sh
#
# The model has 2 layers of 8 heads and 8 KV heads of 64: 4 KiB of cache a token in F16.  Its cache lies on ext4 on a loop
# device with direct I/O, whose reads a control group limits to SPEED MB/s.  Each run is in a control group of its own
# without a limit, which tells the most memory that it had.
#
#  prefill    tokens a second up to that depth, beside the cache in memory
#  decode     bytes of cache that are read a second, beside the device's
#  memory     the most of a run, beside that of the least depth: it should not grow
. tests/bench/lib.sh
. tests/bench/tier/place.sh
. tests/bench/runner/models.sh

run=$BUILD/hearth-run
device_tool=$BUILD/tests/tier_bench
depths=${DEPTHS:-16384 32768 100000}
megabytes=${SPEED:-500}
tokens=${TOKENS:-8}
threads=2
read_ahead=4096

# one NAME OPTION...: at $depth, into $BENCH_WORK/NAME
one()
{
	name=$1
	shift
	place_run "$BENCH_WORK/$name" 0 "$run" -m "$models/KV.gguf" -t $threads -c $((depth + tokens + 1)) \
		--bench "tg$tokens@d$depth" --repetitions 1 "$@" || bench_fail "the run ended"
}

pair()
{
	printf 'ours %s\nother %s\n' "$1" "$2" >"$BENCH_WORK/pair"
}

measure()
{
	one memory
	memory_peak=$place_peak
	one spilled --kv-disk "$disk"
	pair "$(of spilled 'to there' 6)" "$(of memory 'to there' 6)"
	bench_row "$depth tokens, prefill" rate t/s "" "$BENCH_WORK/pair"
	pair "$(of spilled "tg$tokens @" 6)" "$(of memory "tg$tokens @" 6)"
	bench_row "$depth tokens, decode" rate t/s "" "$BENCH_WORK/pair"
	pair "$(of spilled 'from disk' 7)" "$device"
	bench_row "$depth tokens, cache read" rate GB/s 0.85 "$BENCH_WORK/pair"
	least=${least:-$place_peak}
	pair "$place_peak" "$least"
	bench_row "$depth tokens, memory" time MiB 0.95 "$BENCH_WORK/pair"
	place_say "    in memory: $memory_peak MiB"
}

measure_all()
{
	get_model KV
	most=$(printf '%s\n' $depths | sort -g | tail -1)
	place_make $((most / 256 * 5 / 4 + 1024)) || return 0
	place_limit "$megabytes"
	dd if=/dev/urandom of="$disk/probe" bs=1M count=512 status=none
	sync "$disk/probe"
	device=$(for i in 1 2 3; do "$device_tool" device "$disk/probe" $((i * 100)) 128; done | median)
	rm "$disk/probe"
	bench_title "cache of 4 KiB a token on a disk of $speed, $threads threads"
	for depth in $depths; do
		measure
	done
}

[ -x "$device_tool" ] || bench_fail "'$device_tool' is missing: run 'make tests'"
bench_begin kv
trap place_end EXIT
bench_machine "$BENCH_WORK"
measure_all
bench_end
