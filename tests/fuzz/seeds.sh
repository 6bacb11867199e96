#!/usr/bin/env bash
# seeds.sh TARGET - print the seed and regression files of a fuzz target, one a line.
#
# Files that can be generated are: the malformed headers of tests/unit/gguf_cases.c are written anew.  What
# a fuzzer once found and no generator makes is committed in tests/fuzz/regress/TARGET.
set -euo pipefail
build=${BUILD:-build}
dir=$build/fuzz/seeds/$1
mkdir -p "$dir"
[[ $1 != gguf ]] || "$build/tests/unit/test_gguf" --write-regress "$dir" >/dev/null
find "$dir" "tests/fuzz/regress/$1" -type f 2>/dev/null | sort
