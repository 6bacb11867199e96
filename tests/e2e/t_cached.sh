#!/usr/bin/env bash
# The mount without passthrough: through the page cache, with large requests, and never stale.
# sanitized: yes
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse
home=$work/home mnt=$work/mnt
mib=1048576

mkdir -p "$home/blobs"
head -c $((64 * mib + 12345)) /dev/urandom >"$home/blobs/big"
head -c 3000 /dev/urandom >"$home/blobs/small"
head -c $((4 * mib)) /dev/urandom >"$home/blobs/kept"
e2e_mount "$home" "$mnt" --native=off || exit 1
says 'status says why it is not native' 0 'native +no: switched off by --native=off' "$HEARTH" status "$mnt"
says 'doctor too' 1 '!! +passthrough .*switched off by --native=off' "$HEARTH" doctor "$mnt"
# by order of the administrator, so nothing is warned of
check 'nothing is warned of' bash -c "! grep -q 'no native reads' '$work/hearth.log'"

bdi=$(awk -v m="$mnt" '$5 == m {print $3}' /proc/self/mountinfo)
says 'read-ahead of the mount' 0 '^4096$' cat "/sys/class/bdi/$bdi/read_ahead_kb"

before=$(e2e_stat "$mnt" reads) bytes=$(e2e_stat "$mnt" read_bytes)
check 'a cold read is right' cmp "$mnt/blobs/big" "$home/blobs/big"
reads=$(($(e2e_stat "$mnt" reads) - before)) bytes=$(($(e2e_stat "$mnt" read_bytes) - bytes))
echo "note cold sequential read: $reads requests, $((bytes / reads)) bytes each"
check 'requests are near 1 MiB' test $((bytes / reads)) -ge $((900 * 1024))
check 'the file was read once' test $bytes -le $((66 * mib))
for bs in 4096 131072 $mib $((3 * mib + 17)); do
	check "a read in blocks of $bs" bash -c "dd if='$mnt/blobs/big' bs=$bs status=none | cmp - '$home/blobs/big'"
done
check 'O_DIRECT' bash -c "dd if='$mnt/blobs/big' bs=1M iflag=direct count=64 status=none | cmp -n $((64 * mib)) - '$home/blobs/big'"
check 'small files' cmp "$mnt/blobs/small" "$home/blobs/small"
check 'a shared mapping' "$tools/map_same" "$mnt/blobs/big" "$home/blobs/big"
check 'all of it counted as cached' test "$(e2e_stat "$mnt" opens_native)" = 0

# kept: once the file is older than two seconds its pages stay over closes
waits_for_age() { while [[ $(($(date +%s) - $(stat -c %Z "$1"))) -le 3 ]]; do sleep 0.2; done; }
reads_of() {    # reads_of FILE: requests for reading it whole
	local before
	before=$(e2e_stat "$mnt" reads)
	cat "$1" >/dev/null
	echo $(($(e2e_stat "$mnt" reads) - before))
}
waits_for_age "$home/blobs/kept"
cat "$mnt/blobs/kept" >/dev/null
check 'an unchanged file is not read again' test "$(reads_of "$mnt/blobs/kept")" = 0
check 'nor a small one' bash -c "cat '$mnt/blobs/small' >/dev/null"
check 'nor a small one, again' test "$(reads_of "$mnt/blobs/small")" = 0

# changed behind the mount, same size: the next open reads it anew
head -c $((4 * mib)) /dev/urandom | dd of="$home/blobs/kept" conv=notrunc bs=1M status=none
check 'changed behind the mount' cmp "$mnt/blobs/kept" "$home/blobs/kept"
waits_for_age "$home/blobs/kept"
cat "$mnt/blobs/kept" >/dev/null
check 'kept again' test "$(reads_of "$mnt/blobs/kept")" = 0
head -c $((4 * mib)) /dev/urandom | dd of="$mnt/blobs/kept" conv=notrunc bs=1M status=none
check 'changed through the mount' cmp "$mnt/blobs/kept" "$home/blobs/kept"
head -c 100 /dev/urandom | dd of="$mnt/blobs/kept" conv=notrunc bs=1 seek=$mib status=none
check 'a few bytes of it' cmp "$mnt/blobs/kept" "$home/blobs/kept"
head -c 100 /dev/urandom >"$home/blobs/new" && mv "$home/blobs/new" "$home/blobs/small"
sleep 1.2       # attributes and names are good for one second
check 'replaced behind the mount' cmp "$mnt/blobs/small" "$home/blobs/small"
truncate -s 1000 "$mnt/blobs/kept"
check 'cut through the mount' cmp "$mnt/blobs/kept" "$home/blobs/kept"
if e2e_umount "$mnt"; then ok 'unmounts'; else failed 'unmounts'; fi
e2e_done
