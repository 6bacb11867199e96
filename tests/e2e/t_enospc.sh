#!/usr/bin/env bash
# A full home: the writer is told ENOSPC, what was there stays, and after removing something it goes on.
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse
e2e_need mkfs.ext4 losetup
e2e_loop 64M "$work/disk" || e2e_skip_all "needs a loop device"

mkdir -p "$work/disk/home/blobs" "$work/disk/home/manifests/registry.ollama.ai/library/m"
for native in auto off; do
	e2e_mount "$work/disk/home" "$work/mnt" --native=$native || exit 1
	check "$native: a file that fits" "$tools/pull_like" "$work/mnt" 1 20000000
	says "$native: one that does not is told ENOSPC" 1 '^errno 28 (write|close)-blob' "$tools/pull_like" "$work/mnt" 2 100000000
	says "$native: again" 1 '^errno 28 ' "$tools/pull_like" "$work/mnt" 3 100000000
	check "$native: the first is whole" "$tools/pull_like" --check "$work/mnt/blobs/sha256-$(printf '%064x' 1)" 1 20000000
	check "$native: on home too" "$tools/pull_like" --check "$work/disk/home/blobs/sha256-$(printf '%064x' 1)" 1 20000000
	check "$native: statfs is the disk's" test "$(stat -f -c '%b %f %a %c %d' "$work/mnt")" = "$(stat -f -c '%b %f %a %c %d' "$work/disk")"
	says "$native: doctor says so" 1 '!! +free space +.* less than a twentieth' "$HEARTH" doctor "$work/mnt"
	check "$native: fallocate is refused as on ext4" bash -c "! fallocate -l 50M '$work/mnt/blobs/f' 2>'$work/err' && grep -q 'No space left' '$work/err'"
	check "$native: removing works" rm -f "$work/mnt/blobs/f" "$work/mnt/blobs/sha256-$(printf '%064x' 2)-partial" "$work/mnt/blobs/sha256-$(printf '%064x' 3)-partial"
	check "$native: then there is room" "$tools/pull_like" "$work/mnt" 4 20000000
	check "$native: and it is whole" "$tools/pull_like" --check "$work/disk/home/blobs/sha256-$(printf '%064x' 4)" 4 20000000
	check "$native: clear up" rm -rf "$work/mnt/blobs" "$work/mnt/manifests"
	mkdir -p "$work/mnt/blobs" "$work/mnt/manifests/registry.ollama.ai/library/m"
	if e2e_umount "$work/mnt"; then ok "$native: unmounts"; else failed "$native: unmounts"; fi
done
e2e_done
