#!/usr/bin/env bash
# A cache that is full, dies under load, turns read-only, comes back: gathered reads and new opens see none of it.
# The cache lies on loop devices; one that fails and heals is a loop device over a mount of a hearth whose own
# file calls fail when told to.
# sanitized: yes
. "$(dirname "$0")/lib/e2e.sh"
. "$(dirname "$0")/lib/tier.sh"
e2e_need_root
e2e_need_fuse
e2e_need jq getfattr setfattr mkfs.ext4 losetup
home=$work/home mnt=$work/mnt disk=$work/disk
native=native
e2e_has_passthrough || native=gathered
at() { echo "$mnt/blobs/$1"; }
up() { e2e_mount "$home" "$mnt" --cache "nvme=$disk,size=$size" --ram 0 "$@" || exit 1; }
down() { if e2e_umount "$mnt"; then ok "$*: unmounts"; else failed "$*: unmounts"; fi; }
warm() { order warm nvme "$(at "$1")" && tier_until whole_on nvme "$(at "$1")"; }
out_of_service() { [[ $(state "$mnt" nvme state) == 'out of service' && -n $(state "$mnt" nvme reason) ]]; }
in_service() { [[ $(state "$mnt" nvme state) == ok ]]; }

# Eight readers, each opening and reading again and again until told to end; one that meets an error or a wrong
# byte says so and ends.
readers_start() {
	local i
	readers=()
	rm -f "$work/stop" "$work"/reader.*
	for i in 1 2 3 4 5 6 7 8; do
		(
			n=0
			while [[ ! -e $work/stop ]]; do
				b=${blobs[$(((i + n) % ${#blobs[@]}))]}
				if ((i % 2)); then
					dd if="$mnt/blobs/$b" bs=1M iflag=direct status=none | cmp - "$ref/$b"
				else
					"$tools/map_same" "$mnt/blobs/$b" "$ref/$b"
				fi || { echo "reader $i, round $n"; exit 1; }
				n=$((n + 1))
			done
			echo "$n" >"$work/rounds.$i"
		) >"$work/reader.$i" 2>&1 &
		readers+=($!)
		e2e_pids+=($!)
	done
}
readers_end() { # readers_end WHAT
	local p bad=0 rounds
	touch "$work/stop"
	for p in "${readers[@]}"; do wait "$p" || bad=$((bad + 1)); done
	rounds=$(($(cat "$work"/rounds.* 2>/dev/null | paste -sd+)))
	if [[ $bad == 0 && $rounds -gt 8 ]]; then ok "$1: 8 readers saw nothing"; else failed "$1: $bad readers met errors, $rounds rounds"; cat "$work"/reader.* | head -n 8; fi
}

tier_blob "$home" $((64 * mib + 99)); a=$blob        # more than the daemon keeps in buffers
tier_blob "$home" $((56 * mib)); b=$blob
tier_blob "$home" $((60 * mib)); c=$blob
blobs=("$a" "$b" "$c")

# ---- full ----
e2e_loop 400M "$disk" || e2e_skip_all "needs a loop device"
rm -r "$disk/lost+found"
size=300M
up
check 'full: one that fits' warm $a
fallocate -l $(($(stat -f -c '%a * %S' "$disk") - mib)) "$disk/filler"
order warm nvme "$(at $b)"
for i in 1 2 3; do check "full: served from home, $i" loads "$(at $b)" "$ref/$b"; done
check 'full: what is there is used' loads_as "$mnt" $native "$(at $a)" "$ref/$a"
check 'full: not copied' none_on nvme "$(at $b)"
check 'full: that is no failure' in_service
rm "$disk/filler"
tier_wait 'full: room again, and it is copied' whole_on nvme "$(at $b)"
check 'full: right' loads_as "$mnt" $native "$(at $b)" "$ref/$b"
says 'full: nobody saw an error' 0 '^0$' e2e_stat "$mnt" io_errors
down full

# ---- dies ----
up --native=home
warm $a; warm $b
readers_start
tier_wait 'dies: readers read from the cache' bash -c "[[ \$(jq '.tiers[1].served' '$mnt/.hearth/stats') -gt 150 ]]"
order warm nvme "$(at $c)"
check 'dies' "$tools/powercut" "$disk"
tier_wait 'dies: out of service' out_of_service
says 'dies: with the reason' 0 'failed: ' state "$mnt" nvme reason
says 'dies: metrics say so' 0 '^hearth_tier_in_service\{tier="nvme"\} 0$' cat "$mnt/.hearth/metrics"
for n in "${blobs[@]}"; do check 'dies: a new open' loads "$(at "$n")" "$ref/$n"; done
readers_end dies
says 'dies: no request failed' 0 '^0$' e2e_stat "$mnt" io_errors
check 'dies: warm of it is refused' bash -c "! setfattr -n user.hearth.warm -v nvme '$(at $c)' 2>'$work/err'; grep -q 'Input/output error' '$work/err'"
down dies
says 'dies: a dead device is refused' 1 "^hearth: .*'$disk.*: Input/output error" timeout 30 "$HEARTH" mount --home "$home" --cache "nvme=$disk,size=$size" "$mnt"
tier_until umount "$disk"
mount "$e2e_dev" "$disk" || exit 1

# natively open on it while it dies: only what is open then has the device's errors
up
check 'dies, native: the copies of before' loads "$(at $a)" "$ref/$a"
warm $a
check 'dies, native: one' loads_as "$mnt" $native "$(at $a)" "$ref/$a"
check 'dies, native: powercut' "$tools/powercut" "$disk"
for n in "${blobs[@]}"; do check 'dies, native: a new open' loads "$(at "$n")" "$ref/$n"; done
tier_wait 'dies, native: those found it out' out_of_service
for n in "${blobs[@]}"; do check 'dies, native: an open after' loads "$(at "$n")" "$ref/$n"; done
says 'dies, native: no request failed' 0 '^0$' e2e_stat "$mnt" io_errors
down 'dies, native'
tier_until umount "$disk"
mount "$e2e_dev" "$disk" || exit 1

# ---- turns read-only, as a file system does that finds itself damaged ----
trigger=/sys/fs/ext4/${e2e_dev##*/}/trigger_fs_error
if [[ -w $trigger ]]; then
	mount -o remount,errors=remount-ro "$disk"
	up --native=home
	warm $a
	readers_start
	echo 'a test' >"$trigger"
	tier_blob "$home" $((2 * mib))
	refused=0       # when the readers were faster
	order warm nvme "$(at $blob)" 2>/dev/null || refused=1
	tier_wait 'read-only: out of service' out_of_service
	for n in "${blobs[@]}"; do check 'read-only: a new open' loads "$(at "$n")" "$ref/$n"; done
	readers_end 'read-only'
	says 'read-only: no request failed' 0 "^$refused$" e2e_stat "$mnt" io_errors
	down 'read-only'
	says 'read-only: then it is refused' 1 "^hearth: cache '$disk'.* read-only|Read-only" \
		timeout 30 "$HEARTH" mount --home "$home" --cache "nvme=$disk,size=$size" "$mnt"
else
	skip "turns read-only: no $trigger"
fi
umount "$disk"

# ---- fails and heals ----
arm() { echo "$1" >"$work/fault.new"; mv "$work/fault.new" "$work/fault"; }
mkdir -p "$work/outer" "$work/device" "$work/healing"
truncate -s 400M "$work/outer/disk.img"
arm count
"$tools/hearth-fault" "@$work/fault" mount --foreground --home "$work/outer" --native=off --ram 0 "$work/device" 2>"$work/outer.err" &
outer=$!
e2e_pids+=($outer); e2e_mounts+=("$work/device")
check 'heals: the device' tier_until test -e "$work/device/disk.img"
dev=$(losetup -f --show --direct-io=on "$work/device/disk.img") || e2e_done
e2e_loops+=("$dev")
# without a journal, whose failure would be for good
mkfs.ext4 -q -F -m 0 -b 4096 -O ^has_journal -E lazy_itable_init=0 "$dev" && mount -o errors=continue "$dev" "$work/healing" || e2e_done
e2e_mounts+=("$work/healing")
rm -r "$work/healing/lost+found"
disk=$work/healing
up --native=home
warm $a; warm $b
# of whole copies only: a map whose commit fails is written no more until the next start (rule R9), and then no cache
# of that daemon comes back; a fill that is under way commits
all=("${blobs[@]}")
blobs=("$a" "$b")
readers_start
blobs=("${all[@]}")
tier_wait 'heals: readers read from the cache' bash -c "[[ \$(jq '.tiers[1].served' '$mnt/.hearth/stats') -gt 150 ]]"
arm any:0+:EIO
tier_wait 'heals: out of service' out_of_service
for n in "${blobs[@]}"; do check 'heals: a new open while it fails' loads "$(at "$n")" "$ref/$n"; done
arm count
tier_wait 'heals: back in service' in_service
tier_wait 'heals: it is said' has_event "$mnt" cache-back
before=$(state "$mnt" nvme served)
used_again() {
	dd if="$(at $a)" bs=1M iflag=direct status=none of="$work/read" && cmp "$work/read" "$ref/$a" &&
		[[ $(state "$mnt" nvme served) -gt $before ]]
}
readers_end heals
tier_wait 'heals: its copies are used again' used_again
says 'heals: no request failed' 0 '^0$' e2e_stat "$mnt" io_errors
check 'heals: a fill works' warm $c
down heals
up
check 'heals: the next daemon' loads "$(at $c)" "$ref/$c"
tier_wait 'heals: compared, and native again' loads_as "$mnt" $native "$(at $c)" "$ref/$c"
# its data cannot be read any more while its files still open: nobody but a look at it tells the daemon
for f in "$disk"/copies/*; do dd if="$f" iflag=nocache count=0 status=none; done
arm any:0+:EIO
for i in 1 2 3; do check "reads fail: a new open, $i" loads "$(at $c)" "$ref/$c"; done
tier_wait 'reads fail: out of service' out_of_service
check 'reads fail: an open after' loads "$(at $c)" "$ref/$c"
arm count
tier_wait 'reads fail: back in service' in_service
says 'reads fail: no request failed' 0 '^0$' e2e_stat "$mnt" io_errors
down 'heals, after'
tier_until umount "$work/healing"; losetup -d "$dev"
tier_wait 'heals, after: the loop device is gone' "$HEARTH" umount "$work/device"
wait $outer
for n in "${blobs[@]}"; do check 'home is as it was' cmp "$home/blobs/$n" "$ref/$n"; done
e2e_done
