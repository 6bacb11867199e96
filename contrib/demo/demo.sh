#!/usr/bin/env bash
# demo.sh [MODEL.gguf] - hearth's main job in half a minute: a store, a mount, a story told through it.
#
# Lays the model into a store in Ollama's layout (blob and manifest) in a private directory, mounts it with a cache
# beside it, lets hearth-run tell a story from the mount, has the model go from home to the cache and into RAM,
# shows where its bytes are at each step, unmounts, removes the store.
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
# the page cache's copy of home's file goes, so that what is shown is what hearth did
forget() { sync -d "$1"; dd if="$1" iflag=nocache count=0 status=none; }
digest_of() { printf '%s' "$1" | sha256sum | cut -d ' ' -f 1; }

# a cache is worth it on a faster disk than home's; here it only has to be another directory
cache=$work/cache
size=$(( ($(stat -c %s "$model") >> 20) * 2 + 64 ))M

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

say "2. hearth mount --home $home --cache nvme=$cache,size=$size $work/mnt"
mkdir -p "$cache"
"$hearth" mount --home "$home" --cache "nvme=$cache,size=$size" "$work/mnt" 2>"$work/said" || { cat "$work/said" >&2; exit 1; }
"$hearth" status "$work/mnt"

say "3. a story, read through the mount"
blob=$work/mnt/blobs/sha256-$digest
"$build/hearth-run" -m "$blob" -p "${DEMO_PROMPT:-Once upon a time}" -n 400 --temp 0.7 --seed "${DEMO_SEED:-1}" --perf

say "4. where its bytes are, once nobody remembers them"
"$hearth" cool "$blob"
forget "$home/blobs/sha256-$digest"
"$hearth" ls "$work/mnt"

say "5. hearth warm --tier nvme --wait hearth-demo: from home to the cache"
"$hearth" warm --tier nvme --wait "$blob"
"$hearth" ls "$work/mnt"

say "6. hearth warm --tier ram --wait hearth-demo: and into memory, locked there"
"$hearth" warm --tier ram --wait "$blob"
"$hearth" ls "$work/mnt"
"$hearth" why "$blob"

say "7. the same story, now from memory"
"$build/hearth-run" -m "$blob" -p "${DEMO_PROMPT:-Once upon a time}" -n 400 --temp 0.7 --seed "${DEMO_SEED:-1}" --perf
for name in tier map; do
	echo "getfattr --only-values -n user.hearth.$name BLOB"
	getfattr --absolute-names --only-values -n "user.hearth.$name" "$blob" | sed 's/^/    /'
	echo
done

say "8. hearth umount $work/mnt"
"$hearth" umount "$work/mnt"
cmp "$model" "$home/blobs/sha256-$digest"
echo "unmounted; home is as it was: a plain directory, every file whole"
