#!/bin/sh
# What an object exports starts with the first word of its file's name: tier_open from tier.c, fs_op_read
# from fs_data.c, kern_add_avx2 from kern_simd_avx2.c.
command -v nm >/dev/null || { echo "nm is not installed"; exit 77; }
found=0 bad=0
for lib in "$BUILD/libfs.a" "$BUILD/libengine.a"; do
	[ -e "$lib" ] || continue
	found=1
	# "archive:member.o:value TYPE symbol"; names with two underscores are the compiler's own
	nm -A -g --defined-only "$lib" 2>/dev/null | awk '
	{
		split($1, where, ":")
		member = where[2]
		word = member; sub(/\.o$/, "", word); sub(/_.*/, "", word)
		symbol = $NF
		if (symbol ~ /^__/ || symbol == word || index(symbol, word "_") == 1)
			next
		print member ": exports " symbol ", which does not start with " word "_"
		bad = 1
	}
	END { exit bad }' || bad=1
done
[ $found = 1 ] || { echo "no archives in $BUILD"; exit 77; }
exit $bad
