#!/usr/bin/env bash
# fio writes, reads back and verifies by checksum on the mount, with several engines.
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse
e2e_need fio
size=${HEARTH_LONG:+512m}; size=${size:-24m}

verify() {              # NAME OPTION...
	local name=$1
	shift
	rm -f "$work/mnt"/fio.*
	check "fio $name" fio --aux-path="$work" --name="fio" --directory="$work/mnt" --size="$size" --numjobs=2 --verify=crc32c \
		--verify_fatal=1 --do_verify=1 --random_generator=tausworthe64 --group_reporting --minimal "$@"
}

for mode in auto off; do
	e2e_mount "$work/home" "$work/mnt" --native "$mode" || exit 1
	verify "psync, random 4k-256k, $mode" --ioengine=psync --rw=randwrite --bsrange=4k-256k
	verify "psync, direct, $mode" --ioengine=psync --rw=randwrite --bs=64k --direct=1
	verify "mmap, random 4k, $mode" --ioengine=mmap --rw=randwrite --bs=4k --size=8m
	verify "libaio, direct, depth 16, $mode" --ioengine=libaio --rw=randwrite --bs=128k --direct=1 --iodepth=16
	verify "io_uring, depth 16, $mode" --ioengine=io_uring --rw=randwrite --bs=32k --iodepth=16
	verify "sync, in a row, fsync every 32, $mode" --ioengine=sync --rw=write --bs=32k --fsync=32
	e2e_umount "$work/mnt"
	rm -rf "${work:?}/home"
done
e2e_done
