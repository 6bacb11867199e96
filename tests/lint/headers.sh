#!/bin/sh
# Every header compiles alone, with each instruction set that sees other text in it, and its guard is its path.
deps=${DEPS:-build/deps}/libfuse
if [ -e "$deps/VERSION" ]; then
	fuse="-isystem $deps/include"
else
	fuse=$(pkg-config --cflags fuse3 2>/dev/null) || { echo "libfuse is not there: make deps"; exit 77; }
fi
bad=0
compiles() {            # HEADER FLAG...
	header=$1
	shift
	# shellcheck disable=SC2086
	${CC:-gcc} -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -Wall -Wextra -Wundef -Wstrict-prototypes -Werror -fmax-errors=1 \
		-I. $fuse -DHEARTH_VERSION='""' "$@" -fsyntax-only -x c "$header" || bad=1
}
for h in $(find fs tiering engine kernels tests -name '*.h' | sort); do
	guard=$(echo "$h" | tr 'a-z./-' 'A-Z___')
	if ! grep -qx "#ifndef $guard" "$h" || ! grep -qx "#define $guard" "$h"; then
		echo "$h: no guard $guard"
		bad=1
	fi
	compiles "$h"
	case $(uname -m):$h in
	x86_64:kernels/*)
		compiles "$h" -mavx2 -mfma -mf16c
		compiles "$h" -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mfma -mf16c ;;
	esac
done
exit $bad
