#!/bin/sh
# run.sh [NAME...] - the repository's rules; see docs/testing.md.
#
# Each rule is a script NAME.sh beside this one: it runs in the root of the repository, prints the places
# that break the rule, and exits 0 (kept), 77 (cannot be looked at here; it prints why) or anything else
# (broken).  BUILD says where programs and archives are.  Exit status 1 when a rule is broken; the last
# line is 'N passed, N failed, N skipped'.
set -u
cd "$(dirname "$0")/../.." || exit 2
export BUILD="${BUILD:-build}" LC_ALL=C
passed=0 failed=0 skipped=0

[ $# -gt 0 ] || set -- $(cd tests/lint && ls *.sh | sed -n 's/\.sh$//p' | grep -vx run)
for name in "$@"; do
	out=$(sh "tests/lint/$name.sh" 2>&1)
	case $? in
	0)  echo "ok $name"; passed=$((passed + 1)) ;;
	77) echo "skipped $name: $out"; skipped=$((skipped + 1)) ;;
	*)  echo "FAILED $name"; printf '%s\n' "$out" | sed 's/^/    /'; failed=$((failed + 1)) ;;
	esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
