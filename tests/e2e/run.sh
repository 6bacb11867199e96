#!/usr/bin/env bash
# run.sh [NAME...] - run every tests/e2e/t_NAME.sh; a script there is all the registration a test needs.
#
# A line a script, its log in $BUILD/log/e2e/NAME.log, the end of it when it fails.  Counts are of the
# script's own 'ok', 'FAILED' and 'skip' lines; a script that ends badly without one counts as a failure.
# Under a sanitizer (HEARTH_SANITIZED) only the scripts run that say so in a comment '# sanitized: yes'.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
export BUILD=${BUILD:-build}
limit=${HEARTH_LONG:+7200}
limit=${limit:-600}
passed=0 failed=0 skipped=0

mkdir -p "$BUILD/log/e2e"
names=("$@")
if [[ ${#names[@]} == 0 ]]; then
	for t in tests/e2e/t_*.sh; do t=${t##*/t_}; names+=("${t%.sh}"); done
fi
for name in "${names[@]}"; do
	script=tests/e2e/t_$name.sh log=$BUILD/log/e2e/$name.log
	if [[ -n ${HEARTH_SANITIZED:-} ]] && ! grep -q '^# sanitized: yes' "$script"; then continue; fi
	start=$SECONDS
	timeout --kill-after=30 "$limit" bash "$script" >"$log" 2>&1 </dev/null; rc=$?
	ok=$(grep -c '^ok ' "$log"); bad=$(grep -c '^FAILED ' "$log"); skip=$(grep -c '^skip ' "$log")
	[[ $rc == 0 || $rc == 77 || $bad -gt 0 ]] || bad=1
	printf '%-16s %4d passed %3d failed %3d skipped  %3d s%s\n' "$name" "$ok" "$bad" "$skip" $((SECONDS - start)) \
		"$([[ $rc == 124 ]] && echo '  (ran past its limit)')"
	grep '^skip ' "$log" | sed 's/^/    /'
	grep '^note ' "$log" | sed 's/^note /    /'
	[[ $bad == 0 ]] || tail -n 60 "$log" | sed 's/^/    | /'
	passed=$((passed + ok)); failed=$((failed + bad)); skipped=$((skipped + skip))
done
echo "$passed passed, $failed failed, $skipped skipped"
[[ $failed == 0 ]]
