#!/usr/bin/env bash
# run.sh - every fuzz target under libFuzzer (clang), SECONDS_EACH seconds each, with ASan and UBSan.
#
# A finding stops the run and leaves its input in $BUILD/fuzz/TARGET; minimise it and add it as a case.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
build=${BUILD:-build}
seconds=${SECONDS_EACH:-60}
passed=0 failed=0
flags=(-std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -g -O1 -fsanitize=fuzzer,address,undefined)
mkdir -p "$build/fuzz"
for target in tests/fuzz/fuzz_*.c; do
	name=$(basename "${target%.c}")
	out=$build/fuzz/$name corpus=$build/fuzz/corpus-$name
	mkdir -p "$corpus"
	# every parser there is, and what the targets share with the unit tests
	if ! clang "${flags[@]}" -o "$out" "$target" engine/gguf*.c engine/jinja*.c engine/tokenizer*.c engine/unicode*.c kernels/kern_type.c \
		tests/unit/gguf_*.c tests/unit/random_text.c tests/unit/tokenizer_vocab.c fs/fs_manifest.c tiering/log.c \
		tiering/cache_mark.c tiering/map_row.c tiering/sums.c \
		-ljansson -lm; then
		failed=$((failed + 1)); continue
	fi
	tests/fuzz/seeds.sh "${name#fuzz_}" | xargs -r cp -t "$corpus"
	dict=tests/fuzz/${name#fuzz_}.dict
	if "$out" -max_total_time="$seconds" -rss_limit_mb=512 -max_len=65536 -print_final_stats=1 \
		-artifact_prefix="$build/fuzz/" $([[ -e $dict ]] && echo "-dict=$dict") "$corpus" 2>"$build/fuzz/$name.log"; then
		echo "ok $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/fuzz/$name.log") executions in $seconds s"
		passed=$((passed + 1))
	else
		echo "FAILED $name"; tail -n 30 "$build/fuzz/$name.log"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[[ $failed == 0 ]]
