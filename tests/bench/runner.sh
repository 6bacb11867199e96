#!/bin/sh
# runner.sh - tokens a second of hearth-run beside llama.cpp's llama-bench, same files, same threads.
#
# Usage: make bench NAME=runner [TYPES="Q4_0 Q4_K_M ..."] [TESTS="pp128 pp512 tg32"] [ROUNDS=9] [THREADS=2] [DEPTH=0],
#    or: BUILD=build [...] tests/bench/runner.sh
#
# The files are one model of 1.1 billion random weights (tests/bench/runner/model.c), quantised by llama-quantize; MOE is
# a mixture of 1.3 billion in Q4_K_M whose router follows the shares of a recorded one's experts (TRACE).  Each
# round runs hearth-run and llama-bench, by turns first, and every third one llama-bench once more; that against the run
# before is what the machine's noise does to a ratio, and is printed too.  The peer runs with its defaults, so with repacked weights; in
# place of its warm-up, which is a whole test, it computes 32 tokens first.
# DEPTH=16384 measures pp128 and tg8 behind so many tokens instead.  The peer needs ten minutes to get there, so that there
# each side gets there once and ROUNDS repetitions follow, of which means are printed, not medians of pairs, and the peer
# is not run again.
#
# Files stay in the build folder, 2.2 GB for F16 and 0.6 to 1.2 GB a type.
. tests/bench/lib.sh
. tests/bench/runner/models.sh

run=$BUILD/hearth-run
types=${TYPES:-Q4_0 Q4_K_M Q6_K Q8_0 F16 MXFP4 Q5_K_M IQ4_XS MOE}
tests=${TESTS:-pp128 pp512 tg32}
rounds=${ROUNDS:-9}
threads=${THREADS:-2}
depth=${DEPTH:-0}

# ours FILE TESTS REPETITIONS: "TEST VALUE" lines
ours()
{
	"$run" -m "$models/$1" --bench "$(echo $2 | tr ' ' ,)" --repetitions "$3" -t "$threads" | awk -F '|' '
		$2 !~ /model|---|disk/ && $5 !~ /,/ && NF > 6 { gsub(/ /, "", $5); split($6, v, "+"); print $5, v[1] }'
}

# numbers pp|tg TESTS: "128,512" of "pp128 pp512 tg32"
numbers()
{
	echo $2 | tr ' ' '\n' | sed -n "s/^$1\([0-9]*\).*/\1/p" | paste -sd, -
}

# theirs FILE TESTS REPETITIONS: the same of llama-bench
theirs()
{
	pp=$(numbers pp "$2") tg=$(numbers tg "$2")
	[ "$depth" -gt 0 ] || pp=32${pp:+,$pp}
	peer llama-bench -m "$1" -t "$threads" --no-warmup -p "${pp:-0}" -n "${tg:-0}" -d "$depth" -r "$3" -o csv 2>/dev/null | awk '
		NR == 1 { n = split($0, name, ","); for (i = 1; i <= n; i++) col[name[i]] = i; next }
		{ gsub(/^"|"$/, "")
		  split($0, v, "\",\"")
		  test = v[col["n_prompt"]] > 0 ? "pp" v[col["n_prompt"]] : "tg" v[col["n_gen"]]
		  if (v[col["n_depth"]] > 0) test = test "@d" v[col["n_depth"]]
		  if (v[col["n_prompt"]] != 32) print test, v[col["avg_ts"]] }'
}

# keep SIDE < lines: into the samples of each test
keep()
{
	while read -r test value; do
		echo "$1 $value" >>"$BENCH_WORK/$test"
	done
}

# measure TYPE TESTS ROUNDS REPETITIONS
measure()
{
	rm -f "$BENCH_WORK"/pp* "$BENCH_WORK"/tg*
	i=0
	while [ "$i" -lt "$3" ]; do
		if [ $((i % 2)) -eq 0 ]; then
			ours "$1.gguf" "$2" "$4" | keep ours
			theirs "$1.gguf" "$2" "$4" | keep other
		else
			theirs "$1.gguf" "$2" "$4" | keep other
			ours "$1.gguf" "$2" "$4" | keep ours
		fi
		if [ $((i % 3)) -eq 0 ] && [ "$depth" -eq 0 ]; then
			for f in "$BENCH_WORK"/pp* "$BENCH_WORK"/tg*; do
				[ ! -e "$f" ] || sed -n 's/^other/first/p' "$f" | tail -1 >>"$f"
			done
			theirs "$1.gguf" "$2" "$4" | keep again
		fi
		i=$((i + 1))
	done
}

# target TYPE TEST: what is promised
target()
{
	case $2:$1 in
	*@*) case $2 in tg*) echo 3 ;; *) echo 1.5 ;; esac ;;
	tg*:Q5_K_M | tg*:IQ4_XS) echo 1.25 ;;
	tg*) echo 0.97 ;;
	pp*:Q8_0) echo 3 ;;
	pp*:F16) echo 2 ;;
	pp*:Q5_K_M | pp*:Q6_K | pp*:IQ4_XS) echo 1.2 ;;
	pp*) echo 1.0 ;;
	esac
}

# rows TYPE: of the samples; the peer's second runs beside its first ones have no target
rows()
{
	for f in "$BENCH_WORK"/pp* "$BENCH_WORK"/tg*; do
		[ -e "$f" ] || continue
		test=$(basename "$f")
		grep '^o' "$f" >"$BENCH_WORK/pair"
		bench_row "$1 $test" rate t/s "$(target "$1" "$test")" "$BENCH_WORK/pair"
		grep -q '^again' "$f" || continue
		sed -n 's/^again/ours/p; s/^first/other/p' "$f" >"$BENCH_WORK/pair"
		bench_row "$1 $test, the peer against itself" rate t/s "" "$BENCH_WORK/pair"
	done
}

bench_begin runner
get_peer
bench_machine "$models"
for type in $types; do
	get_model "$type"
	if [ "$depth" -gt 0 ]; then
		bench_title "$type, $threads threads, behind $depth tokens"
		measure "$type" "pp128@d$depth tg8@d$depth" 1 "$rounds"
	else
		bench_title "$type, $threads threads"
		measure "$type" "$tests" "$rounds" 1
	fi
	rows "$type"
done
"$run" -m "$models/${types%% *}.gguf" --bench tg32 -t "$threads" | tail -1
bench_end
