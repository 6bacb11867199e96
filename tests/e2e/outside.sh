#!/usr/bin/env bash
# outside.sh - suites by others, where somebody has them: PJDFSTEST=DIR (pjdfstest, built, with its tests/
# folder) and FSX=PATH (a program fsx that takes -N COUNT and a file).
#
# Each runs on a plain directory first and then on the mount; what fails on both is the suite's or the
# kernel's, what fails on the mount alone is ours.  Device nodes are refused by the mount (it is nodev), so
# pjdfstest's cases about them differ and are printed like all the rest.
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse
[[ -n ${PJDFSTEST:-}${FSX:-} ]] || e2e_skip_all "say PJDFSTEST=DIR or FSX=PATH"

# The failed cases of pjdfstest in directory $1, a line 'FILE CASE' each.
pjdfstest() {
	mkdir -p "$1/pjd"
	(cd "$1/pjd" && find "$PJDFSTEST/tests" -name '*.t' | sort | while read -r t; do
		bash "$t" 2>/dev/null | sed -n "s|^not ok \([0-9]*\).*|${t#"$PJDFSTEST/tests/"} \1|p"
	done)
}

mkdir -p "$work/plain"
e2e_mount "$work/home" "$work/mnt" || exit 1
if [[ -n ${PJDFSTEST:-} ]]; then
	e2e_need perl
	PJDFSTEST=$(cd "$PJDFSTEST" && pwd)
	pjdfstest "$work/plain" >"$work/plain.failed"
	pjdfstest "$work/mnt" >"$work/mnt.failed"
	echo "note pjdfstest: $(wc -l <"$work/plain.failed") cases fail on the plain directory, $(wc -l <"$work/mnt.failed") on the mount"
	if out=$(comm -13 <(sort "$work/plain.failed") <(sort "$work/mnt.failed")) && [[ -z $out ]]; then
		ok "pjdfstest: nothing fails on the mount alone"
	else
		failed "pjdfstest: these fail on the mount alone"
		printf '%s\n' "$out" | head -n 200
	fi
fi
if [[ -n ${FSX:-} ]]; then
	check "fsx on the plain directory" "$FSX" -N "${FSX_OPS:-100000}" "$work/plain/fsx"
	check "fsx on the mount" "$FSX" -N "${FSX_OPS:-100000}" "$work/mnt/fsx"
	check "fsx on the mount, without maps" "$FSX" -N "${FSX_OPS:-100000}" -R -W "$work/mnt/fsx-rw"
fi
e2e_umount "$work/mnt"
echo "$e2e_ok passed, $e2e_failed failed, $e2e_skipped skipped"
e2e_done
