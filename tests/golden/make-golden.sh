#!/usr/bin/env bash
# make-golden.sh: compute tests/golden/*.ids and *.f32 anew with llama.cpp.
#   tests/golden/make-golden.sh TEST_GOLDEN LLAMA_RESULTS...
# TEST_GOLDEN is the built test_golden; the rest is the command that runs llama-results with files named
# relative to the current folder.  Run from the repository root.  Goldens are made on a machine without
# noise in the result: f32 KV, flash attention off, weights not repacked.
set -euo pipefail
[[ $# -ge 2 ]] || { sed -n '2,6p' "$0" | cut -c3-; exit 2; }
tool=$(realpath "$1"); shift
work=golden-work.$$
mkdir "$work"
trap 'rm -rf "$work"' EXIT

"$tool" --write "$work"
stories=../shared/models/stories260K-f32.gguf
[[ ! -e $stories ]] || cp "$stories" "$work/stories260K-f32.gguf"

short="the sun rose over an old stone wall and the hen ran to her nest in the hay"
long=$short
for i in 1 2 3 4 5; do
	long+=" then a thin man in a grey hat ran along line number $i of the wide road"
done

results() { # NAME TEXT
	[[ -e $work/$1.gguf ]] || return 0
	"${run[@]}" -m "$work/$1.gguf" -p "$2" -ngl 0 -fa off -ctk f32 -ctv f32 --no-repack -c 512 -t 2 \
		-o "$work/$1.out.gguf" >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
	"$tool" --extract "$work/$1.out.gguf" "$1"
}
run=("$@")
results tiny-plain "$short $short"
results tiny-full "$long"
results stories260K-f32 "Once upon a time there was a little girl. $short. She said: what a nice day! And then $short."
