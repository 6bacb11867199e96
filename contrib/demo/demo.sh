#!/usr/bin/env bash
# demo.sh [MODEL.gguf] - hearth's main job in half a minute: a store, a mount, a story told through it.
#
# Lays the model into a store in Ollama's layout (blob and manifest) in a private directory, mounts it,
# lets hearth-run tell a story from the mount, shows where the bytes are, unmounts, removes the store.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
model=${1:-contrib/demo-model/hearth-demo.gguf}
hearth=$build/hearth

[[ -r $model ]] || { echo "demo: cannot read the model '$model'" >&2; exit 1; }
if [[ $(id -u) != 0 ]]; then
	echo "demo: not root, so this mount is read through the daemon; 'sudo make demo' shows native reads"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/hearth-demo.XXXXXX")
cleanup() {
	if grep -q " $work/mnt fuse.hearth \| $work/mnt .*fuse.hearth" /proc/self/mountinfo; then
		"$hearth" umount --lazy "$work/mnt" || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT

bold='' plain=''
if [[ -t 1 ]]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
digest_of() { printf '%s' "$1" | sha256sum | cut -d ' ' -f 1; }

say "1. a store in Ollama's layout: blobs by digest, a manifest by name"
home=$work/home
mkdir -p "$home/blobs" "$home/manifests/registry.ollama.ai/library/hearth-demo" "$work/mnt"
digest=$(sha256sum "$model" | cut -d ' ' -f 1)
cp "$model" "$home/blobs/sha256-$digest"
config='{"model_format":"gguf","model_family":"llama","os":"linux","architecture":"amd64","rootfs":{}}'
printf '%s' "$config" >"$home/blobs/sha256-$(digest_of "$config")"
cat >"$home/manifests/registry.ollama.ai/library/hearth-demo/latest" <<MANIFEST
{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:$(digest_of "$config")","size":${#config}},"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:$digest","size":$(stat -c %s "$model")}]}
MANIFEST
(cd "$home" && find . -type f | sort)

say "2. hearth mount --home $home $work/mnt"
"$hearth" mount --home "$home" "$work/mnt"
"$hearth" status "$work/mnt"

say "3. a story, read through the mount"
blob=$work/mnt/blobs/sha256-$digest
"$build/hearth-run" -m "$blob" -p "${DEMO_PROMPT:-Once upon a time}" -n 400 --temp 0.7 --seed "${DEMO_SEED:-1}" --perf

say "4. where its bytes are"
"$hearth" ls "$work/mnt"
for name in tier map verified; do
	echo "getfattr --only-values -n user.hearth.$name BLOB"
	getfattr --absolute-names --only-values -n "user.hearth.$name" "$blob" | sed 's/^/    /'
	echo
done

say "5. hearth umount $work/mnt"
"$hearth" umount "$work/mnt"
cmp "$model" "$home/blobs/sha256-$digest"
echo "unmounted; home is as it was: a plain directory, every file whole"
