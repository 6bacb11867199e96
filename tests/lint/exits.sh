#!/bin/sh
# Nothing outside a program's main file ends the process.  Allowed: the forked child of fs/fs_mount.c, which
# is the daemon and must not run the parent's atexit handlers.
allowed='fs/fs_mount.c:_exit'
bad=0
for f in $(ls fs/*.[ch] tiering/*.[ch] engine/*.[ch] kernels/*.[ch] kernels/*.cu 2>/dev/null); do
	case $f in *_main.c) continue ;; esac
	awk -f tests/lint/strip.awk "$f" | awk -v file="$f" -v allowed="$allowed" '
	{
		line = $0
		while (match(line, /(^|[^_A-Za-z0-9.>])(_?exit|_Exit|quick_exit|abort|assert)[ \t]*\(/)) {
			call = substr(line, RSTART, RLENGTH)
			gsub(/[^_A-Za-z]/, "", call)
			if (file ":" call != allowed) { print file ":" NR ": " call "()"; bad = 1 }
			line = substr(line, RSTART + RLENGTH)
		}
	}
	END { exit bad }' || bad=1
done
exit $bad
