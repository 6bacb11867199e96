#!/usr/bin/env bash
# The runner reading its model through the mount: logits of every position against llama.cpp's (f32 KV,
# NMSE <= 1e-8), the same bits as from the plain directory, and the greedy references teacher-forced.
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse
runner=$BUILD/hearth-run
golden=$PWD/tests/golden
models=$PWD/../shared/models

mkdir -p "$work/home"
"$BUILD/tests/unit/test_golden" --write "$work/home" >/dev/null
if [[ -d $models ]]; then cp "$models"/*.gguf "$work/home/"; else skip "stories260K and the greedy references: need ../shared/models"; fi
e2e_mount "$work/home" "$work/mnt" || exit 1

logits() {              # MODEL NAME OUT
	"$runner" -m "$1" --tokens "$(tr -s '[:space:]' ',' <"$golden/$2.ids" | sed 's/,$//')" -n 0 \
		-ctk f32 -ctv f32 --logits "$3" >/dev/null 2>"$work/run.log" || cat "$work/run.log"
}
for name in tiny-plain tiny-full stories260K-f32; do
	[[ -e $work/home/$name.gguf ]] || continue
	positions=$(wc -w <"$golden/$name.ids")
	width=$(($(stat -c %s "$golden/$name.f32") / 4 / positions))
	logits "$work/mnt/$name.gguf" "$name" "$work/mounted"
	logits "$work/home/$name.gguf" "$name" "$work/plain"
	out=$("$tools/nmse" "$golden/$name.f32" "$work/mounted" "$width" 1e-8) &&
		ok "$name: $out" || failed "$name: ${out:-no logits}"
	check "$name: the same bits through the mount as from the plain directory" cmp "$work/plain" "$work/mounted"
done

# The unit test of the references names ../shared/models: let that be the mount, in a name space of its own.
if [[ -d $models ]]; then
	opens=$(e2e_stat "$work/mnt" opens_native)
	check "greedy references and perplexities hold with the models on the mount" \
		unshare -m bash -c 'mount --make-rprivate / && mount --bind "$1" ../shared/models && "$2"' _ \
		"$work/mnt" "$BUILD/tests/unit/test_greedy"
	check "and they were read natively" test "$(e2e_stat "$work/mnt" opens_native)" -gt "$opens"
fi

# As a user does it: by name, on a store.
mkdir -p "$work/home/blobs" "$work/home/manifests/registry.ollama.ai/library/tale"
digest=$(sha256sum <contrib/demo-model/hearth-demo.gguf | cut -d ' ' -f 1)
cp contrib/demo-model/hearth-demo.gguf "$work/home/blobs/sha256-$digest"
printf '{"schemaVersion":2,"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:%s","size":%d}]}' \
	"$digest" "$(stat -c %s contrib/demo-model/hearth-demo.gguf)" >"$work/home/manifests/registry.ollama.ai/library/tale/latest"
story() { "$runner" -m "$1" -p "Once upon a time" -n 100 --temp 0 2>/dev/null; }
says "a story from the mount is the story from the file" 0 "^$(story contrib/demo-model/hearth-demo.gguf | head -n 1 | sed 's/[].[*^$()+?{|]/./g')$" \
	story "$work/mnt/blobs/sha256-$digest"
e2e_umount "$work/mnt"
e2e_done
