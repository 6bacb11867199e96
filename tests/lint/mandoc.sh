#!/bin/sh
# The man pages have no error and no warning.
command -v mandoc >/dev/null || { echo "mandoc is not installed"; exit 77; }
out=$(mandoc -T lint -W warning docs/man/*.[1-8])
[ -z "$out" ] || { printf '%s\n' "$out"; exit 1; }
