#!/bin/sh
# stream.sh - models larger than memory: hearth-run beside llama.cpp's mapping, in control groups of equal memory.
#
# Usage: make bench NAME=stream [MODELS="Q4_K_M MOE"] [SPEEDS="150 500 0"] [SHARES="75 50 25"] [ROUNDS=3] [TOKENS=4]
#    or: BUILD=build [...] tests/bench/stream.sh
#
# The models of runner.sh lie on ext4 on a loop device with direct I/O, whose reads a control group limits to so many MB/s
# (0: bare).  A run gets a new control group of SHARE percent of the model's bytes plus 128 MiB, with nothing of
# the model in memory before it; the same for llama.cpp (--repack 0 -lm mmap), which runs with a read-ahead of
# 128 KiB, 1 and 8 MiB in the first round and with the best of these in the others.  Ours is given as its budget what
# the group has but for a little that the kernel takes.  Speeds are those of TOKENS tokens behind the first one, two and
# three times as many at 50 and 75 %, where a throttled device would give away its first burst; of a mixture eight times
# as many behind the first 64, 128 and 192, since what is held of it depends on what is used.  The context is 256.  A run of
# llama.cpp that is not through after PATIENCE seconds (240) is ended, and said.
#
#  speed      tokens a second, beside llama.cpp
#  prefill    a prompt of 1024 tokens after one like it, at the least share
#  mount      the same as speed through a hearth mount, daemon and runner in one group, the memory divided between the two
#  read       the bytes that were read a second, beside the device's; a target where the disk is what bounds the speed
#  predicted  by --estimate, just before
#  peak       the most memory that a run had in a group without a limit, which filled its context, beside its budget and
#             what it may exceed it by; and what --estimate said
. tests/bench/lib.sh
. tests/bench/tier/place.sh
. tests/bench/runner/models.sh

run=$BUILD/hearth-run
device_tool=$BUILD/tests/tier_bench
list=${MODELS:-Q4_K_M MOE}
speeds=${SPEEDS:-150 500 0}
shares=${SHARES:-75 50 25}
rounds=${ROUNDS:-3}
least_tokens=${TOKENS:-4}
context=256              # llama-bench's for so few tokens
threads=2
fixed=128               # MiB of a group besides the share
kernel_mib=4            # of a group, for what the kernel has there of its own
daemon_mib=48           # and for hearth's daemon
prompt=1024
patience=${PATIENCE:-240}
read_ahead=4096         # KiB, of the device and the mount

drop()
{
	dd if="$1" iflag=nocache count=0 status=none
}

# field NAME < what --estimate printed: MB of that line
field()
{
	awk -v name="$1" 'index($0, "  " name) == 1 { print $(NF - 1); exit }'
}

# ours FILE BUDGET CONTEXT TESTS: to $BENCH_WORK/ours, in a group of $memory MiB; prints the speed of the last test
ours()
{
	drop "$1"
	place_run "$BENCH_WORK/ours" "$memory" "$run" -m "$1" -t $threads -c "$3" --ram-budget "$2M" --bench "$4" --repetitions 1 ||
		place_say "ours ended with $?" >&2
	of ours " ${4##*,} " 6
}

# peers READ_AHEAD OPTION...: llama-bench's table to $BENCH_WORK/theirs
peers()
{
	place_read_ahead "$1" "$disk"
	shift
	drop "$file"
	(cd "$disk" && place_run "$BENCH_WORK/theirs" "$memory" timeout "$patience" "$here/$oracle" run "$llama" llama-bench \
		-m "${file##*/}" -t $threads --repack 0 -lm mmap -r 1 -o csv "$@") 2>/dev/null ||
		[ $? -ne 124 ] || place_say "    llama.cpp is not through after $patience s (read-ahead $kib KiB)" >&2
}

# rate_of COLUMN VALUE: of the row of that table with that value
rate_of()
{
	awk -v column="$1" -v value="$2" '
		NR == 1 { n = split($0, name, ","); for (i = 1; i <= n; i++) col[name[i]] = i; next }
		{ gsub(/^"|"$/, ""); split($0, v, "\",\""); if (v[col[column]] == value) print v[col["avg_ts"]] }' "$BENCH_WORK/theirs"
}

# theirs READ_AHEAD
theirs()
{
	peers "$1" --no-warmup -p 0 -n "$before,$tokens"
	rate_of n_gen "$tokens"
}

# prefill: both behind a prompt like it
prefill()
{
	got=$(ours "$file" "$mine" $prompt "pp$prompt")
	kib=$best
	[ "$kib" -gt 0 ] 2>/dev/null || kib=1024
	peers "$kib" -p $prompt -n 0
	keep prefill "$got" "$(rate_of n_prompt $prompt)"
	place_read_ahead "$read_ahead" "$disk"
}

# The best of the read-aheads; $best is that, KiB.
theirs_best()
{
	: >"$BENCH_WORK/tries"
	for kib in ${best:-128 1024 8192}; do
		[ "$kib" = none ] || theirs "$kib" | awk -v kib="$kib" '{ print $1, kib }' >>"$BENCH_WORK/tries"
	done
	sort -gr "$BENCH_WORK/tries" | head -1 >"$BENCH_WORK/most"
	read -r rate best <"$BENCH_WORK/most" || { place_say "    llama.cpp gave no speed"; rate=; best=none; }
	place_read_ahead "$read_ahead" "$disk"
}

target()
{
	case $1:$2 in
	75:0) echo 1.8 ;;
	*:0) echo 1 ;;
	75:*) echo 3 ;;
	50:*) echo 1.6 ;;
	25:*) echo 1.15 ;;
	esac
}

device_rate()
{
	drop "$file"
	for i in 1 2 3; do
		"$device_tool" device "$file" $((i * size / 5)) $((size / 6))
	done | median
}

# through_mount: as ours, half of what the group has for weights kept by the daemon
through_mount()
{
	held=$((size * share / 200))
	drop "$file"
	place_memory mount "$memory"
	place_mount "$place_procs" --ram "${held}M"
	"$bench_hearth" warm --tier ram --wait "$mnt/${file##*/}" >/dev/null 2>&1 || :  # as much of it as has room
	sh -c 'echo $$ >"$0" && exec "$@"' "$place_procs" "$run" -m "$mnt/${file##*/}" -t $threads -c $context \
		--ram-budget "$((memory - held - daemon_mib))M" --bench "tg$before,tg$tokens" --repetitions 1 >"$BENCH_WORK/ours" ||
		place_say "ours ended with $?" >&2
	of ours " tg$tokens " 6
	place_umount
	place_remove "$group"
	place_memories=${place_memories#"$group "}
}

# keep NAME: $1 of ours and $2 of the other as a pair of samples, where both are there
keep()
{
	[ -z "$2" ] || [ -z "$3" ] || printf 'ours %s\nother %s\n' "$2" "$3" >>"$BENCH_WORK/$1"
}

row()
{
	[ ! -s "$BENCH_WORK/$1" ] || bench_row "$2" "$3" "$4" "$5" "$BENCH_WORK/$1"
	rm -f "$BENCH_WORK/$1"
}

# One model, one device, one share.
measure()
{
	memory=$((size * share / 100 + fixed))
	mine=$((memory - kernel_mib))
	tokens=$((least_tokens * share / 25))
	before=1
	if [ "$type" = MOE ]; then
		tokens=$((8 * tokens))
		before=$((64 * share / 25))
	fi
	best=
	i=0
	while [ $i -lt "$rounds" ]; do
		drop "$file"
		place_run "$BENCH_WORK/estimate" 0 "$run" -m "$file" -t $threads -c $context --ram-budget "${mine}M" --estimate ||
			bench_fail "no estimate"
		predicted=$(awk '/^predicted/ { print $2 }' "$BENCH_WORK/estimate")
		device=$(device_rate)
		got=$(ours "$file" "$mine" $context "tg$before,tg$tokens")
		keep predicted "$predicted" "$got"
		keep read "$(of ours "from disk" 7)" "$device"
		theirs_best
		keep speed "$got" "$rate"
		keep mount "$(through_mount)" "$rate"
		i=$((i + 1))
	done
	name="$type $share % ($speed)"
	row speed "$name" rate t/s "$(target "$share" "$limit")"
	place_say "    $memory MiB; read-ahead ${best:-?} KiB was the best for llama.cpp, the mount $read_ahead KiB"
	[ "$share" -gt 25 ] || prefill
	row prefill "$name prefill" rate t/s ""
	row mount "$name mount" rate t/s ""
	row read "$name read" rate GB/s "$([ "$limit" -eq 0 ] || ! grep -q 'bound by the disk' "$BENCH_WORK/estimate" || echo 0.9)"
	row predicted "$name predicted" rate t/s +-0.15
}

# The most memory that a run has, at every budget.
peaks()
{
	bench_title "$type, peak memory without a limit"
	drop "$file"
	"$run" -m "$file" -t $threads -c $context --ram-budget 1G --estimate >"$BENCH_WORK/estimate" || bench_fail "no estimate"
	least=$(field 'the least budget that works' <"$BENCH_WORK/estimate" | awk '{ print int($1 * 1e6 / 1048576) + 52 }')
	for share in 75 50 25 10; do
		mine=$((size * share / 100 + least))
		drop "$file"
		"$run" -m "$file" -t $threads -c $context --ram-budget "${mine}M" --estimate >"$BENCH_WORK/estimate" || bench_fail "no estimate"
		said=$(field 'in all' <"$BENCH_WORK/estimate" | awk '{ print $1 * 1e6 / 1048576 }')
		drop "$file"
		place_run "$BENCH_WORK/ours" 0 "$run" -m "$file" -t $threads -c $context --ram-budget "${mine}M" --bench pp224,tg32@d224 \
			--repetitions 1 || bench_fail "ours ended"
		keep peak "$place_peak" "$(awk -v n="$mine" 'BEGIN { a = n * 1.05; b = n + 16; print (a > b ? a : b) }')"
		keep said "$place_peak" "$said"
		row peak "$type $share % of weights" time MiB 1
		row said "$type $share % estimate" time MiB +-0.05
	done
}

measure_all()
{
	room=512
	for type in $list; do
		get_model "$type"
		room=$((room + $(stat -c %s "$models/$type.gguf") / 1000000))
	done
	bench_space "$BENCH_WORK" $((room + 512)) || bench_fail "no room for $room MiB: try BENCH_DIR=DIR"
	place_make "$room" || return 0
	mnt=$BENCH_WORK/mnt
	home=$disk
	for type in $list; do
		file=$disk/$type.gguf
		cp "$models/$type.gguf" "$file"
		sync "$file"
		size=$(($(stat -c %s "$file") / 1048576))
		place_limit 0
		peaks
		for mb in $speeds; do
			place_limit "$mb"
			[ "$limit" -eq "$mb" ] || continue
			bench_title "$type, $size MiB, $speed"
			for share in $shares; do
				measure
			done
		done
		rm "$file"
	done
}

[ -x "$device_tool" ] || bench_fail "'$device_tool' is missing: run 'make tests'"
bench_begin stream
trap place_end EXIT
get_peer
bench_machine "$BENCH_WORK"
measure_all
bench_end
