#!/bin/sh
# Every source file has a line in its folder's code map (docs/design-FOLDER.md) and every line a file.
# A line is '- `name.c` what it is', or '- `name.[ch]`' for a source and its header.
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
bad=0
for folder in fs tiering engine kernels; do
	map=docs/design-$folder.md
	[ -e "$map" ] || { echo "$map is missing"; bad=1; continue; }
	sed -n 's/^- `\([a-z0-9_]*\.[^`]*\)`.*/\1/p' "$map" |
		sed 's/^\(.*\)\.\[ch\]$/\1.c\n\1.h/' | sort >"$tmp/map"
	(cd "$folder" && ls *.c *.h *.cu 2>/dev/null) | sort >"$tmp/files"
	uniq -d "$tmp/map" | sed "s|^|$map: twice: |" >"$tmp/out"
	sort -u -o "$tmp/map" "$tmp/map"
	comm -23 "$tmp/files" "$tmp/map" | sed "s|^|$map: no line for |" >>"$tmp/out"
	comm -13 "$tmp/files" "$tmp/map" | sed "s|^|$map: no such file: |" >>"$tmp/out"
	[ ! -s "$tmp/out" ] || { cat "$tmp/out"; bad=1; }
done
exit $bad
