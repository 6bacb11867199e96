#!/usr/bin/env bash
# stress-ng's file stressors with their own verification, all at once, on the mount.
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse
e2e_need stress-ng
seconds=${HEARTH_LONG:+120}; seconds=${seconds:-8}
stressors=(access chmod chown copy-file dentry dir dirdeep dirmany fallocate fcntl file-ioctl filename flock
	fpunch fstat getdent hdd iomix link lockf locka lockofd mmap open readahead rename revio seek symlink
	sync-file touch utime xattr)

known=$(stress-ng --help 2>&1)
args=()
for s in "${stressors[@]}"; do
	if grep -q -- "--$s N" <<<"$known"; then args+=("--$s" 1); fi
done
e2e_mount "$work/home" "$work/mnt" || exit 1
check "${#args[@]} of stress-ng's arguments are known here" test ${#args[@]} -ge 40
check "stress-ng, $((${#args[@]} / 2)) stressors for $seconds s" stress-ng --temp-path "$work/mnt" --verify --timeout "$seconds" \
	--hdd-bytes 32M --fallocate-bytes 32M --iomix-bytes 16M --mmap-file --mmap-bytes 16M --copy-file-bytes 128M \
	--readahead-bytes 16M --revio-bytes 16M --sync-file-bytes 16M --metrics-brief --oomable "${args[@]}"
check "the mount is still there" test -d "$work/mnt/.hearth"
e2e_umount "$work/mnt"
check "nothing is left behind in home" test -z "$(find "$work/home" -mindepth 1 -maxdepth 1 -not -name '.hearth*')"
e2e_done
