#!/bin/sh
# No marks of unfinished work, no paths of one machine and no package hosts in files that are committed or
# about to be.  The patterns are written so that this file does not match itself.
files=$(git ls-files --cached --others --exclude-standard 2>/dev/null)
[ -n "$files" ] || files=$(find . -type f -not -path './.git/*' -not -path './build/*')
bad=0
look() {                # WHAT PATTERN
	printf '%s\n' "$files" | tr '\n' '\0' | xargs -0 grep -sInE -e "$2" /dev/null | cut -c 1-160 | sed "s|^|$1: |"
}
out=$(
	look "unfinished" '(^|[^A-Za-z0-9_])([T]ODO|[F]IXME|[X]XX|[H]ACK)([^A-Za-z0-9_]|$)'
	look "machine path" '(^|[^A-Za-z0-9_.])/([w]ork|[h]ome/[A-Za-z0-9]|[U]sers)(/|[A-Za-z0-9])'
	look "package host" '([d]eb\.debian\.org|[a]rchive\.ubuntu\.com|[r]egistry\.npmjs\.org|[p]ypi\.org|[p]ythonhosted\.org|[p]roxy\.golang\.org|[s]tatic\.crates\.io)'
)
[ -z "$out" ] || { printf '%s\n' "$out"; bad=1; }
exit $bad
