#!/usr/bin/env bash
# make-golden.sh: compute tests/golden/*.ids and *.f32 anew with llama.cpp.
#   tests/golden/make-golden.sh UNIT LLAMA_RESULTS...
# UNIT is the folder of the built test_golden and test_golden_archs; the rest is the command that runs
# llama-results with files named relative to the current folder.  Run from the repository root (make golden
# LLAMA='...').  ONLY=PATTERN in the environment: only the goldens whose name matches.  Goldens are made
# without noise in the result: f32 KV, flash attention off, weights not repacked.
set -euo pipefail
[[ $# -ge 2 ]] || { sed -n '2,7p' "$0" | cut -c3-; exit 2; }
unit=$(realpath "$1"); shift
run=("$@")
work=golden-work.$$
mkdir "$work"
trap 'rm -rf "$work"' EXIT

"$unit/test_golden" --write "$work"
"$unit/test_golden_archs" --write "$work"
stories=../shared/models/stories260K-f32.gguf
[[ ! -e $stories ]] || cp "$stories" "$work/stories260K-f32.gguf"

short="the sun rose over an old stone wall and the hen ran to her nest in the hay"
wide="$short then a thin man in a grey hat ran along the line of the wide road and sold silver corn"
long=$short
for i in 1 2 3 4 5; do
	long+=" then a thin man in a grey hat ran along line number $i of the wide road"
done

results() { # NAME TEXT
	# shellcheck disable=SC2053
	[[ -e $work/$1.gguf && $1 == ${ONLY:-*} ]] || return 0
	"${run[@]}" -m "$work/$1.gguf" -p "$2" -ngl 0 -fa off -ctk f32 -ctv f32 --no-repack -c 512 -t 2 \
		-o "$work/$1.out.gguf" >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
	"$unit/test_golden" --extract "$work/$1.out.gguf" "$1"
	rm "$work/$1.out.gguf"
	echo "$1"
}
results tiny-plain "$short $short"
results tiny-full "$long"
results stories260K-f32 "Once upon a time there was a little girl. $short. She said: what a nice day! And then $short."
for name in $("$unit/test_golden_archs" --names); do
	results "$name" "$wide"
done
