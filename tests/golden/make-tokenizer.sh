#!/usr/bin/env bash
# make-tokenizer.sh: compute tests/golden/tokenizer.hashes anew with llama.cpp.
#   tests/golden/make-tokenizer.sh TEST_TOKENIZER_RANDOM TEST_TOKENIZER_0...
# TEST_TOKENIZER_RANDOM is the built test; the rest is the command that runs llama.cpp's test-tokenizer-0 with
# files named relative to the current folder.  Run from the repository root.  Vocabularies: one for each name
# that tokenizer.ggml.pre may have, made by the test, and those of ../shared where they are there.
# test-tokenizer-0 compares every id; a hash is kept only where all are equal.  It takes about twenty minutes.
set -euo pipefail
[[ $# -ge 2 ]] || { sed -n '2,8p' "$0" | cut -c3-; exit 2; }
tool=$(realpath "$1"); shift
work=golden-work.$$
mkdir "$work"
trap 'rm -rf "$work"' EXIT

same() { # NAME: $work/NAME.gguf with .inp and .out
	local log=$work/log texts
	if ! "${run[@]}" "$work/$1.gguf" >"$log" 2>"$work/err"; then
		echo "$1: $(grep -ac 'failed test' "$work/err") texts differ" >&2
		return 1
	fi
	texts=$(grep -ac '^src: ' "$log")
	[[ $texts -ge 10000 ]] || { echo "$1: only $texts texts were read" >&2; return 1; }
	echo "$1 $("$tool" --hash <"$work/$1.gguf.out")"
	rm "$work/$1.gguf"*
}
run=("$@")
{
	echo "# name, hash of the ids of the texts of tests/unit/random_ids.h; written by tests/golden/make-tokenizer.sh"
	for name in $("$tool" --names); do
		"$tool" --write "$work" "$name"
		same "$name"
	done
	for file in ../shared/vocab/*.gguf ../shared/vocab/*.gguf.xz ../shared/models/stories260K-f32.gguf; do
		[[ -e $file ]] || continue
		name=$(basename "${file%.xz}" .gguf)
		case $file in
		*.xz) xz -dc "$file" ;;
		*) cat "$file" ;;
		esac >"$work/$name.gguf"
		"$tool" --texts "$work/$name.gguf"
		same "$name"
	done
} >"$work/hashes"
mv "$work/hashes" tests/golden/tokenizer.hashes
