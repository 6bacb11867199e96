#!/bin/sh
# policy.sh - the placement policy beside published ones, by replay: hits and moves (admissions) per request.
#
# Usage: make bench NAME=policy [TRACE=FILE]
#
# TRACE is a trace that hearth recorded (tiering/trace.h); then it alone is replayed, at 10, 25, 50 and 75 % of the
# extents in it, and policy-trace.csv is written.  Ticks are those recorded; all extents count the same, as large as
# the trace says or not; of a blob, what the trace never asks for is not there; a peer knows of no scans.
#
# All extents have one size and a request is a tick.  loop: 2000 extents, 100 passes.  loop + scans: every tenth pass
# is followed by a scan of 3000 extents never read before or again.  model loads: 24 models of 1 to 20 times 40 extents,
# read whole, Zipf 0.9, popularity reshuffled half-way.  mixed: the same with 12 bursts of 25 passes over a model of 1250
# extents and 9 scans of everything.  MoE: the routing of Qwen3-30B, an extent an expert, a prompt's pass counts each
# once; sizes are shares of all experts.  Only the line "scans classed" knows what a scan is.
#
# Rows of loops are against the optimum, the others against the best of LRU, ARC, LIRS, S3-FIFO and W-TinyLFU at that
# size; a move row holds when hearth has at most a third of that policy's.  Rows of moves once full leave out the
# filling of the empty tier, which is the same for all and, in a trace as short as the routing, much of it.  The peers are our own and are checked
# against sequences worked out by hand first.
. tests/bench/lib.sh

route=../shared/traces/moe-qwen3-30b.route

if [ -n "${TRACE:-}" ]; then
	bench_begin policy-trace
	"$BUILD/tests/policy_bench" "$BENCH_WORK/rows" --trace "$TRACE" || bench_fail "the replay failed"
	bench_title "against the best of those published"
else
	bench_begin policy
	"$BUILD/tests/policy_bench" "$BENCH_WORK/rows" "$route" || bench_fail "the replay failed"
	bench_title "targets"
fi
while IFS='|' read -r name kind unit target ours other; do
	printf 'ours %s\nother %s\n' "$ours" "$other" >"$BENCH_WORK/samples"
	bench_row "$name" "$kind" "$unit" "$target" "$BENCH_WORK/samples"
done <"$BENCH_WORK/rows"
bench_end
