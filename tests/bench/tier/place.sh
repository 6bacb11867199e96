# place.sh - where tier.sh, stream.sh and kv.sh measure: a slow and a fast disk, control groups, a mount; after lib.sh.
#
#	place_make DISK_MIB [NVME_MIB]          $disk and $nvme, ext4 on loop devices; 1 and a line where that cannot be
#	place_limit MB_PER_S                    limit reads from the slow disk for the whole bench; 0: no limit
#	place_memory NAME MIB                   a control group, 0: without a limit; $place_procs is the file to join it by
#	place_run FILE MIB COMMAND...           run it in a new one of those, output to FILE; $place_peak is the most MiB it had
#	place_mount PROCS [OPTION...]           mount $home on $mnt, its daemon in that group (- : this one)
#	place_umount                            unmount it
#	place_undo                              undo what place_memory and place_mount did, in any state
#	place_end                               undo the rest
#
# Everything runs in one control group with the limit, the daemon and its threads included: a limit holds for who
# submits a request.
place_group=                            # with the limit on reads
place_home_group=                       # where this shell came from
place_memories=
place_mounted=
daemon=                                 # the pid of what serves the mount
place_child=                            # a process in the background
place_extra= place_extra_dev=           # another disk, of one group of rows

place_say()
{
	printf '%s\n' "$*"
}

place_device()
{
	bench_loop place_dev "$BENCH_WORK/$1.image" "$BENCH_WORK/$1" "$2" || return 1
	[ "$(cat "/sys/class/block/${place_dev##*/}/loop/dio")" = 1 ] ||
		place_say "$1: no direct I/O below the loop device, its figures contain the page cache"
}

place_make()
{
	bench_is_root || { place_say "nothing can be measured: disks and control groups take root"; return 1; }
	place_device disk "$1" || { place_say "nothing can be measured: no loop device"; return 1; }
	disk_dev=$place_dev
	disk=$BENCH_WORK/disk
	place_read_ahead "$read_ahead" "$disk"
	if [ $# -gt 1 ]; then
		place_device nvme "$2" || { place_say "nothing can be measured: no second loop device"; return 1; }
		nvme_dev=$place_dev
		nvme=$BENCH_WORK/nvme
		place_read_ahead "$read_ahead" "$nvme"
	fi
	place_join || place_say "no limit on reads: no control group has one; rows say (bare) for what should be slow"
}

place_read_ahead()
{
	kib=$1
	shift
	for d in "$@"; do
		echo "$kib" >"/sys/class/bdi/$(stat -c '%Hd:%Ld' "$d")/read_ahead_kb" 2>/dev/null ||
			place_say "the read-ahead of $d cannot be set"
	done
}

# ---- control groups ----

# The group that this shell is in: of controller $1 in version 1, of all in version 2.
place_where()
{
	sed -n "s/^[0-9]*:$1:\(.*\)/\1/p" /proc/self/cgroup
}

place_join()
{
	if [ -e /sys/fs/cgroup/blkio/blkio.throttle.read_bps_device ]; then
		place_home_group=/sys/fs/cgroup/blkio$(place_where blkio)
		place_group=/sys/fs/cgroup/blkio/hearth-bench.$$
		mkdir "$place_group" || return 1
		echo $$ >"$place_group/cgroup.procs"
	elif grep -qw io /sys/fs/cgroup/cgroup.controllers 2>/dev/null; then
		place_home_group=/sys/fs/cgroup$(place_where '')
		place_group=/sys/fs/cgroup/hearth-bench.$$
		echo '+io +memory' >/sys/fs/cgroup/cgroup.subtree_control || return 1
		mkdir "$place_group" "$place_group/main" || return 1
		echo '+memory' >"$place_group/cgroup.subtree_control" || return 1
		echo $$ >"$place_group/main/cgroup.procs"
	else
		return 1
	fi
}

place_limit()
{
	limit=$1
	id=$(cat "/sys/class/block/${disk_dev##*/}/dev")
	if [ -z "$place_group" ]; then
		limit=0
	elif [ -e "$place_group/blkio.throttle.read_bps_device" ]; then
		echo "$id $(($1 * 1000000))" >"$place_group/blkio.throttle.read_bps_device"
	elif [ "$1" -eq 0 ]; then
		echo "$id rbps=max" >"$place_group/io.max"
	else
		echo "$id rbps=$(($1 * 1000000))" >"$place_group/io.max"
	fi
	speed=bare
	[ "$limit" -eq 0 ] || speed="$limit MB/s"
}

place_memory()
{
	if [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
		group=/sys/fs/cgroup/memory/hearth-bench.$$.$1
		mkdir "$group" || return 1
		place_memories="$group $place_memories"
		[ "$2" -eq 0 ] || echo $(($2 * 1048576)) >"$group/memory.limit_in_bytes" || return 1
	elif [ -n "$place_group" ] && [ -e "$place_group/main" ]; then
		group=$place_group/$1
		mkdir "$group" || return 1
		place_memories="$group $place_memories"
		[ "$2" -eq 0 ] || echo $(($2 * 1048576)) >"$group/memory.max" || return 1
	else
		return 1
	fi
	place_procs=$group/cgroup.procs
}

place_run()
{
	place_out=$1
	place_memory run "$2" || bench_fail "no control group limits memory"
	shift 2
	place_rc=0
	sh -c 'echo $$ >"$0" && exec "$@"' "$place_procs" "$@" >"$place_out" || place_rc=$?
	place_peak=$(cat "$group/memory.max_usage_in_bytes" "$group/memory.peak" 2>/dev/null | awk '{ print $1 / 1048576; exit }')
	place_remove "$group"
	place_memories=${place_memories#"$group "}
	return $place_rc
}

# A group can be removed once the last of its processes is gone, which may take a moment; what is there after a second
# was started here and is ended.
place_remove()
{
	n=0
	while [ -d "$1" ] && ! rmdir "$1" 2>/dev/null && [ $n -lt 100 ]; do
		[ $n -ne 10 ] || while read -r pid; do
			kill "$pid"
		done <"$1/cgroup.procs"
		sleep 0.1
		n=$((n + 1))
	done
	[ ! -d "$1" ] || place_say "$1 cannot be removed"
}

# ---- the mount ----

place_mount()
{
	place_mount_procs=$1
	shift
	mkdir -p "$mnt"
	[ "$place_mount_procs" != - ] || place_mount_procs=/dev/null
	place_mounted=$mnt
	daemon=
	sh -c 'echo $$ >"$0" && exec "$@"' "$place_mount_procs" "$bench_hearth" mount --home "$home" "$@" "$mnt" ||
		bench_fail "cannot mount '$home' with: $*"
	daemon=$(bench_stat "$mnt" pid)
	[ "$(bench_read_ahead "$mnt")" = "$read_ahead" ] || place_read_ahead "$read_ahead" "$mnt"
}

place_umount()
{
	"$bench_hearth" umount "$mnt" || bench_fail "cannot unmount '$mnt'"
	place_mounted=
}

# Whoever still reads has been told to end and may take a moment for it.
place_unmount_now()
{
	n=0
	while mountpoint -q "$mnt" && ! "$bench_hearth" umount "$mnt" 2>/dev/null && [ $n -lt 50 ]; do
		sleep 0.1
		n=$((n + 1))
	done
	! mountpoint -q "$mnt" || umount -l "$mnt"
	[ -z "$daemon" ] || until_true 5 test ! -e "/proc/$daemon" || kill "$daemon"
	place_mounted=
}

place_undo()
{
	trap - EXIT INT TERM HUP
	set +e
	[ -z "$place_child" ] || { kill "$place_child"; wait "$place_child"; } 2>/dev/null
	place_child=
	[ -z "$place_mounted" ] || place_unmount_now
	[ -z "$place_extra" ] || ! mountpoint -q "$place_extra" || umount "$place_extra" || umount -l "$place_extra"
	[ -z "$place_extra_dev" ] || losetup -d "$place_extra_dev"
	[ -z "$place_extra" ] || rm -f "$place_extra.image"
	for g in $place_memories; do
		place_remove "$g"
	done
	place_memories=
}

place_end()
{
	trap - EXIT INT TERM HUP
	set +e
	place_undo
	if [ -n "$place_group" ]; then
		echo $$ >"$place_home_group/cgroup.procs"
		[ ! -d "$place_group/main" ] || place_remove "$place_group/main"
		place_remove "$place_group"
	fi
	bench_cleanup
}
