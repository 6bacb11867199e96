#!/usr/bin/env bash
# Every wrong start ends with exit status 1 or 2 and a line with the reason, and mounts nothing.
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse

mkdir -p "$work/home/blobs" "$work/home/inside" "$work/mnt" "$work/other"
echo file >"$work/file"
echo data >"$work/home/blobs/f"
ln -s home "$work/link"
mnt=$work/mnt

mounted() { grep -c " $1 .* - fuse.hearth " /proc/self/mountinfo; }

# refused WHAT STATUS PATTERN COMMAND...: as says, and one line (two with the usage), and nothing mounted
refused() {
	local what=$1 status=$2 pattern=$3 out rc lines
	shift 3
	out=$("$@" 2>&1 </dev/null); rc=$?
	lines=$(wc -l <<<"$out")
	if [[ $rc == "$status" && $lines -le $status ]] && grep -Eq -- "^(hearth|mount.hearth|usage).*$pattern" <<<"$out"; then
		ok "$what"
	else
		failed "$what: exit $rc (not $status), $lines lines, wanted /$pattern/:"; sed 's/^/    /' <<<"$out" | head -n 5
	fi
	[[ $(mounted "$mnt") == 0 ]] || { failed "$what: something is mounted"; umount -l "$mnt"; }
}
hearth_mount() { timeout 20 "$HEARTH" mount "$@"; }

# ---- the command line ----
says 'no command' 2 '^usage: hearth COMMAND' "$HEARTH"
refused 'an unknown command' 2 "unknown command 'frob'" "$HEARTH" frob
refused 'no mountpoint' 2 'the mountpoint is missing' hearth_mount --home "$work/home"
refused 'two mountpoints' 2 'more than one mountpoint' hearth_mount --home "$work/home" "$mnt" "$work/other"
refused 'no --home' 2 '--home is missing' hearth_mount "$mnt"
refused '--home without value' 2 "option 'home' needs a value" hearth_mount "$mnt" --home
refused '--home twice' 2 "option 'home' is given twice" hearth_mount --home a --home b "$mnt"
refused 'a flag twice' 2 'is given twice' hearth_mount -f --foreground --home "$work/home" "$mnt"
refused 'a flag with a value' 2 'takes no value' hearth_mount --foreground=1 --home "$work/home" "$mnt"
refused 'an unknown option' 2 "unknown option '--hoem=x'" hearth_mount --hoem=x "$mnt"
refused 'an unknown letter' 2 "unknown option '-z'" hearth_mount -z --home "$work/home" "$mnt"
refused 'an unknown -o word' 2 "unknown mount option 'frob'" hearth_mount -o "home=$work/home,frob" "$mnt"
refused 'home in -o and as option' 2 'is given twice' hearth_mount --home "$work/home" -o "home=$work/home" "$mnt"
refused 'a wrong --native' 2 "'auto', 'home' or 'off'" hearth_mount --home "$work/home" --native=perhaps "$mnt"
refused 'umount without a place' 2 'say which' "$HEARTH" umount
refused 'umount of no mount' 1 'not a hearth mount' "$HEARTH" umount "$mnt"
refused 'status of no mount' 1 'not on a hearth mount' "$HEARTH" status "$mnt"
refused 'ls of no mount' 1 'not on a hearth mount' "$HEARTH" ls "$mnt"
refused 'ls of no place' 1 'No such file' "$HEARTH" ls "$work/none"
refused 'run of no model' 1 'neither a file' "$HEARTH" run '../none/../passwd' hello

# ---- places ----
refused 'home is missing' 1 "home '$work/none': No such file" hearth_mount --home "$work/none" "$mnt"
refused 'home is a file' 1 "home '$work/file' is not a directory" hearth_mount --home "$work/file" "$mnt"
refused 'the mountpoint is missing' 1 "mountpoint '$work/none': No such file" hearth_mount --home "$work/home" "$work/none"
refused 'the mountpoint is a file' 1 "mountpoint '$work/file' is not a directory" hearth_mount --home "$work/home" "$work/file"
mkdir -p "$mnt/below"
refused 'home inside the mountpoint' 1 'lies inside the mountpoint' hearth_mount --home "$mnt/below" "$mnt"
rmdir "$mnt/below"
refused 'the mountpoint inside home' 1 'lies inside home' hearth_mount --home "$work/home" "$work/home/inside"
ln -s home/inside "$work/sly"
refused 'the same through a link' 1 'lies inside home' hearth_mount --home "$work/home" "$work/sly"
mount -t tmpfs none "$work/home/inside"; e2e_mounts+=("$work/home/inside")
refused 'home spans file systems' 1 "spans file systems: '$work/home/inside'" hearth_mount --home "$work/home" "$mnt"
umount "$work/home/inside"

if setpriv --reuid 65534 --regid 65534 --clear-groups true 2>/dev/null; then
	nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups timeout 20 "$@"; }
	cp "$HEARTH" "$work/hearth"; chmod 755 "$work" "$work/hearth"
	if [[ -w /dev/fuse ]] && nobody test -w /dev/fuse; then
		refused 'home may not be read' 1 'Permission denied' nobody "$work/hearth" mount --home /root "$mnt"
	else
		refused 'an unprivileged user without the device' 1 "cannot open '/dev/fuse': Permission denied; run as root" \
			nobody "$work/hearth" mount --home "$work/home" "$mnt"
	fi
	mkdir -m 700 "$work/closed"; mkdir "$work/closed/home"
	refused 'home out of reach' 1 'Permission denied' nobody "$work/hearth" mount --home "$work/closed/home" "$mnt"
else
	skip 'an unprivileged user: setpriv does not work here'
fi
if unshare -m true 2>/dev/null; then
	refused 'no /dev/fuse' 1 "cannot open '/dev/fuse': No such file.*modprobe fuse" unshare -m bash -c \
		"mount -t tmpfs none /dev && '$HEARTH' mount --home '$work/home' '$mnt'"
else
	skip 'no /dev/fuse: unshare -m does not work here'
fi

# ---- already there ----
e2e_mount "$work/home" "$mnt" || exit 1
already() {
	says "$1" 1 "$2" timeout 20 "$HEARTH" mount --home "$3" "$4"
	[[ $(mounted "$mnt") == 1 && $(mounted "$work/other") == 0 && $(cat "$mnt/blobs/f") == data ]] || failed "$1: the first mount is not as it was"
}
already 'home mounted, the same place' 'already a hearth mount|already mounted by another hearth' "$work/home" "$mnt"
already 'home mounted, another place' 'already mounted by another hearth' "$work/home" "$work/other"
already 'home mounted, through a link' 'already mounted by another hearth' "$work/link" "$work/other"
already 'the mount as home' 'already mounted by another hearth' "$mnt" "$work/other"
mkdir "$work/home2"
already 'another home, the same place' 'already a hearth mount' "$work/home2" "$mnt"
if e2e_umount "$mnt"; then ok 'unmounts'; else failed 'unmounts'; fi

# twenty at once: exactly one wins, the others say why
race() {
	local i won=0
	mkdir -p "$work/race"
	for i in {1..20}; do mkdir -p "$work/race/$i"; done
	local -a pids=()
	for i in {1..20}; do
		timeout 60 "$HEARTH" mount --home "$work/home" "$([[ $1 == same ]] && echo "$mnt" || echo "$work/race/$i")" >"$work/race/$i.log" 2>&1 &
		pids+=($!)
	done
	for i in "${!pids[@]}"; do wait "${pids[i]}" && won=$((won + 1)); done
	if [[ $won == 1 && $(grep -c ' - fuse.hearth ' <(grep " $work/" /proc/self/mountinfo)) == 1 ]] &&
	   [[ $(cat "$work"/race/*.log | grep -Ec 'already (mounted by another hearth|a hearth mount)') == 19 ]]; then
		ok "20 mounts at once, $1 place: one wins"
	else
		failed "20 mounts at once, $1 place: $won won"; cat "$work"/race/*.log | sort | uniq -c
	fi
	for i in "$mnt" "$work"/race/*/; do
		[[ $(mounted "${i%/}") == 0 ]] || "$HEARTH" umount "${i%/}" || umount -l "${i%/}"
	done
	rm -rf --one-file-system "$work/race"
}
for ((r = 0; r < 3; r++)); do race same; race another; done

# ---- over home itself ----
check 'mount over home itself' hearth_mount --home "$work/home" "$work/home"
check 'home shows through' grep -q data "$work/home/blobs/f"
check 'a file made through it' bash -c "echo new >'$work/home/blobs/new' && mkdir '$work/home/manifests'"
says 'twice is refused' 1 'already mounted by another hearth' hearth_mount --home "$work/home" "$work/home"
check 'unmount' "$HEARTH" umount "$work/home"
check 'home is complete' test "$(cat "$work/home/blobs/f" "$work/home/blobs/new")$(ls -A "$work/home/manifests")" = $'data\nnew'
check 'and holds nothing of ours' test "$(ls -A "$work/home" | sort | tr '\n' ' ')" = 'blobs inside manifests '

# ---- as mount(8) calls it ----
ln -s "$HEARTH" "$work/mount.hearth"
refused 'mount.hearth without a mountpoint' 2 'mount.hearth HOME MOUNTPOINT' "$work/mount.hearth" "$work/home"
refused 'mount.hearth with an unknown word' 2 'unknown mount option' "$work/mount.hearth" "$work/home" "$mnt" -o rw,frob
helper() {
	local what=$1
	shift
	check "$what" timeout 20 "$work/mount.hearth" "$@"
	check "$what: serves" grep -q data "$mnt/blobs/f"
	check "$what: unmounts" "$HEARTH" umount "$mnt"
}
helper 'mount.hearth' "$work/home" "$mnt"
helper 'mount.hearth -o as fstab has it' "$work/home" "$mnt" -o rw,nosuid,nodev,noauto,nofail,_netdev,x-systemd.automount,native=off
helper 'mount.hearth -n -v -t' "$work/home" "$mnt" -n -v -t hearth -o rw
helper 'mount.hearth with home in the list' hearth "$mnt" -o "home=$work/home"
check 'mount.hearth -f mounts nothing' bash -c "'$work/mount.hearth' '$work/home' '$mnt' -f -o rw && ! grep -q ' $mnt ' /proc/self/mountinfo"
check 'read-only' timeout 20 "$HEARTH" mount -o "home=$work/home,ro" "$mnt"
says 'read-only: no writes' 1 'Read-only file system' touch "$mnt/x"
check 'read-only: unmounts' "$HEARTH" umount "$mnt"

# ---- a dead daemon ----
dead() { e2e_mount "$work/home" "$mnt" && kill -KILL "$e2e_daemon" && { wait "$e2e_daemon"; true; } 2>/dev/null; }
dead
says 'the dead mount is one' 1 'Transport endpoint' cat "$mnt/blobs/f"
says 'status says so' 1 'daemon is dead; mount it again|not connected' "$HEARTH" status "$mnt"
check 'mount again on it' timeout 20 "$HEARTH" mount --home "$work/home" "$mnt"
check 'serves' grep -q data "$mnt/blobs/f"
check 'one mount is left' test "$(mounted "$mnt")" = 1
check 'unmounts' "$HEARTH" umount "$mnt"
dead
check 'umount of a dead mount' "$HEARTH" umount "$mnt"
dead
check 'umount of a dead mount, relative' bash -c "cd '$work' && '$HEARTH' umount mnt"
umount -l "$mnt" 2>/dev/null
mv "$work/home" "$work/samehome"; mnt=$work/samehome
home=$mnt
e2e_mount "$home" "$home" && kill -KILL "$e2e_daemon" && wait "$e2e_daemon" 2>/dev/null
check 'mount again on a dead mount over home itself' timeout 20 "$HEARTH" mount --home "$home" "$home"
check 'serves' grep -q data "$home/blobs/f"
check 'unmounts' "$HEARTH" umount "$home"
e2e_done
