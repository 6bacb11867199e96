#!/usr/bin/env bash
# run.sh GROUP... - run groups of tests and add them up; the last line is 'N passed, N failed, N skipped'.
#
#   lint       the repository's rules
#   unit       cmocka programs in unit and fault, then each fuzz target over its regression files
#   e2e        over real mounts (root)
#   sanitized  unit again (for TSan: what has threads), and the random and racing e2e tests, under
#              ASan + UBSan and under TSan
#
# BUILD says where the programs are; what a test printed is in $BUILD/log/GROUP/NAME.log.  What failed is
# said where it failed and once more before the last line: of a long run often only the end is kept.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
export BUILD=${BUILD:-build}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1 no_huge_pages_for_shadow=0 suppressions=$PWD/tests/tsan.supp}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}

passed=0 failed=0 skipped=0
fuzz_inputs=0
unit_limit=$([[ -n ${HEARTH_LONG:-} ]] && echo 7200 || echo 1500)       # seconds; the random ones take most

add() { passed=$((passed + $1)); failed=$((failed + $2)); skipped=$((skipped + $3)); }

# failure NAME LOG - remembers the lines of LOG that say what went wrong (the last ones where none does).
failures=
failure() {
	local lines
	lines=$(grep -E '^[ |]*FAILED|^ *not ok|\[  FAILED  \] [^0-9]|\[  ERROR|\[   LINE|ERROR: |SUMMARY: |runtime error|panic|died|seed' "$2" | head -n 20)
	failures+="failed: $1 ($BUILD)"$'\n'"$(sed 's/^/    /' <<<"${lines:-$(tail -n 12 "$2")}")"$'\n'
}

# One program of many tests: cmocka's lines are counted; one that dies counts as one failure more.
run_cmocka() {
	local name=$1 log=$BUILD/log/unit/$1.log program=$2 rc ok bad skip from=$SECONDS
	timeout "$unit_limit" "$program" >"$log" 2>&1 </dev/null; rc=$?
	ok=$(grep -c '^\[       OK \]' "$log")
	skip=$(grep -c '^\[  SKIPPED \] [^0-9]' "$log")
	bad=$(awk '/^\[==========\] .*run\./ {exit} /^\[  FAILED  \] [^0-9]/ {n++} END {print n + 0}' "$log")
	[[ $rc == 0 || $bad -gt 0 ]] || bad=1
	[[ $rc != 0 || $((ok + bad + skip)) -gt 0 ]] || bad=1          # a program without tests proves nothing
	printf '  %-34s %4d passed %3d failed %3d skipped %5d s\n' "$name" "$ok" "$bad" "$skip" $((SECONDS - from))
	[[ $bad == 0 ]] || { tail -n 40 "$log"; failure "$name" "$log"; }
	add "$ok" "$bad" "$skip"
}

# Fuzz targets with their own driver: regression files, then seeded random mutations.
run_fuzzer() {
	local name=$1 log=$BUILD/log/unit/$1.log program=$2 n
	local -a files=()
	mapfile -t files < <(tests/fuzz/seeds.sh "${name#fuzz_}")
	n=$([[ -n ${HEARTH_LONG:-} ]] && echo 2000000 || echo 50000)
	[[ $name != fuzz_kept ]] || n=$((n / 10))       # it writes a file each time
	if timeout 900 "$program" -n "$n" -s 1 "${files[@]}" >"$log" 2>&1 </dev/null; then
		printf '  %-34s %s\n' "$name" "$(tail -n 1 "$log")"
		fuzz_inputs=$((fuzz_inputs + n + ${#files[@]}))
		add 1 0 0
	else
		printf '  %-34s FAILED\n' "$name"
		tail -n 40 "$log"
		failure "$name" "$log"
		add 0 1 0
	fi
}

group_unit() {
	local t
	echo "unit ($BUILD)"
	mkdir -p "$BUILD/log/unit"
	for t in tests/unit/test_*.c tests/fault/test_*.c; do
		[[ -e $t ]] || continue
		# a test of one thread tells ThreadSanitizer nothing and takes it minutes
		[[ $BUILD != */tsan ]] || [[ $t =~ pool|session|stream|test_golden|ring|test_map\.c ]] || grep -q pthread_create "$t" || continue
		t=${t#tests/}; t=${t%.c}
		run_cmocka "$(basename "$t")" "$BUILD/tests/$t"
	done
	for t in tests/fuzz/fuzz_*.c; do
		[[ -e $t ]] || continue
		t=$(basename "${t%.c}")
		run_fuzzer "$t" "$BUILD/tests/fuzz/$t"
	done
}

# A script that ends with the plain closing line of its own.
run_script() {
	local group=$1 log counts
	shift
	log=$BUILD/log/$group.log
	echo "$group ($BUILD)"
	mkdir -p "$BUILD/log"
	"$@" 2>&1 </dev/null | tee "$log" | sed 's/^/  /'
	counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$log" | tail -n 1)
	# shellcheck disable=SC2086
	if [[ -n $counts ]]; then add $counts; else echo "  $group: no closing line"; add 0 1 0; counts="0 1 0"; fi
	[[ $counts == *" 0 "* ]] || failure "$group" "$log"
}

group_lint() { run_script lint tests/lint/run.sh; }
group_e2e() { run_script e2e tests/e2e/run.sh; }

sanitized() {
	local name=$1 san=$2
	echo "building for $name"
	if ! make --no-print-directory -s tests BUILD="$BUILD/$name" SAN="$san" CFLAGS="-O1 -g" >"$BUILD/log/build-$name.log" 2>&1; then
		tail -n 20 "$BUILD/log/build-$name.log"
		failure "build of $name" "$BUILD/log/build-$name.log"
		add 0 1 0
		return
	fi
	local outer=$BUILD
	BUILD=$outer/$name
	group_unit
	HEARTH_SANITIZED=$name run_script e2e tests/e2e/run.sh
	BUILD=$outer
}

group_sanitized() {
	sanitized asan "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
	sanitized tsan "-fsanitize=thread"
}

for g in "$@"; do
	case $g in
	lint|unit|e2e|sanitized) "group_$g" ;;
	*) echo "run.sh: unknown group '$g'" >&2; exit 2 ;;
	esac
done
printf '%s' "$failures"
echo "fuzz inputs: $fuzz_inputs; logs in $BUILD/log"
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed == 0 ]]
