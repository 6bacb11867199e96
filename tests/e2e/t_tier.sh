#!/usr/bin/env bash
# Copies on a cache and in RAM: made by reads and orders, served natively, kept or dropped by what happens to the
# file, and never written, whoever has the file open.
# sanitized: yes
. "$(dirname "$0")/lib/e2e.sh"
. "$(dirname "$0")/lib/tier.sh"
e2e_need_root
e2e_need_fuse
e2e_need jq getfattr setfattr
home=$work/home mnt=$work/mnt nvme=$work/nvme
native=native
e2e_has_passthrough || native=gathered
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }

mkdir -p "$nvme" "$home/models/sub"
chmod 755 "$work"
tier_blob "$home" $((5 * mib + 777)); a=$blob
tier_blob "$home" $((3 * mib)); b=$blob
tier_blob "$home" $((9 * mib + 4096)); c=$blob
tier_blob "$home" 3000; small=$blob
e2e_mount "$home" "$mnt" --cache "nvme=$nvme,size=64M" --ram 0 || exit 1
hold_start
at() { echo "$mnt/blobs/$1"; }

# ---- the first load, and the second ----
says 'nothing is known of it yet' 0 '^mean=0.000 max=0.000$' xattr heat "$(at $a)"
check 'an open before' hold open 0 "$(at $a)"
ino=$(cat "$work/answer")
check 'mapped' hold map 0
check 'the first load is gathered, byte for byte' loads_as "$mnt" gathered "$(at $a)" "$ref/$a"
check 'reads in more than one tick fill the cache' fill nvme "$(at $a)"
tier_wait 'and it says so' has_event "$mnt" complete $a
check 'and was admitted first' has_event "$mnt" admit $a
check 'all of it' whole_on nvme "$(at $a)"
says 'the map says so' 0 '^0 6 (ram\+)?nvme\+home$' xattr map "$(at $a)"
says 'the reason too' 0 '^nvme: admitted: there was room.*6 of 6 extents' xattr why "$(at $a)"
says 'it is counted' 0 "^$((5 * mib + 4096))$" state "$mnt" nvme used
check 'the copy has its bytes' cmp -n $((5 * mib + 777)) "$nvme"/copies/* "$ref/$a"
check 'a small file is served' loads "$(at $small)" "$ref/$small"
says 'a small file is never tiered' 0 'smaller than an extent' xattr why "$(at $small)"

if [[ $native == native ]]; then
	flips=$(e2e_stat "$mnt" mode_flips)
	check 'the second load is native, with the first still open' loads_as "$mnt" native "$(at $a)" "$ref/$a"
	says 'that took one flip' 0 "^$((flips + 1))$" e2e_stat "$mnt" mode_flips
	reads=$(e2e_stat "$mnt" read_bytes)
	check 'a mapping' "$tools/map_same" "$(at $a)" "$ref/$a"
	says 'native reads do not reach the daemon' 0 "^$reads$" e2e_stat "$mnt" read_bytes
	check 'a native one is held' hold open 1 "$(at $a)"
	check 'the same inode number' grep -qx "$ino" "$work/answer"
	check 'an open through the old one' cmp "/proc/$HOLDER_PID/fd/$(find "/proc/$HOLDER_PID/fd" -lname "*$a" -printf '%f\n' | sort -n | head -n 1)" "$ref/$a"
	says 'no more flips' 0 "^$((flips + 1))$" e2e_stat "$mnt" mode_flips
else
	skip 'native opens of copies: no passthrough here'
fi
check 'the old descriptor lives on' hold same 0 "$ref/$a"
check 'the old mapping too' hold mapsame 0 "$ref/$a"
check 'its inode number is the same' test "ok $(stat -c %i "$(at $a)")" = "$ino"
hold close 0; hold unmap 0; hold close 1
says 'no request failed' 0 '^0$' e2e_stat "$mnt" io_errors

# ---- changes of names and attributes keep the copy ----
kept() {        # kept WHAT FILE: the copy is there, used at once and right
	check "$1: the copy stays" whole_on nvme "$2"
	check "$1: it is used at once" loads_as "$mnt" $native "$2" "$ref/$a"
}
chmod 640 "$(at $a)"; kept chmod "$(at $a)"
chown 65534:65534 "$(at $a)"; kept chown "$(at $a)"
# another time may hide other bytes, so the copy may be compared first
fills=$(state "$mnt" nvme fills)
touch -d '2001-02-03 04:05:06' "$(at $a)"
check 'utimens: right' loads "$(at $a)" "$ref/$a"
tier_wait 'utimens: used again' loads_as "$mnt" $native "$(at $a)" "$ref/$a"
says 'utimens: copied once only' 0 "^$fills$" state "$mnt" nvme fills
setfattr -n user.mine -v x "$(at $a)"; kept setxattr "$(at $a)"
setfattr -x user.mine "$(at $a)"; kept removexattr "$(at $a)"
ln "$(at $a)" "$mnt/models/linked"; kept link "$mnt/models/linked"
mv "$mnt/models/linked" "$mnt/models/named"; kept rename "$mnt/models/named"
rm "$(at $a)"; kept 'unlink of another name' "$mnt/models/named"
refuse 'nothing was taken for a change behind' has_event "$mnt" changed
mv "$mnt/models/named" "$(at $a)"
chmod 644 "$(at $a)"

# the last name goes while clients have it
hold open 0 "$(at $a)"; hold map 0
rm "$(at $a)"
tier_wait 'the last name gone: the copy goes' bash -c "! ls '$nvme'/copies/* 2>/dev/null | grep -q ."
check 'an old descriptor has its bytes' hold same 0 "$ref/$a"
check 'an old mapping too' hold mapsame 0 "$ref/$a"
if [[ $native == native ]]; then
	check 'its bytes still count' test "$(state "$mnt" nvme leaving)" = $((5 * mib + 4096))
	hold close 0
	check 'as long as it is mapped' test "$(state "$mnt" nvme leaving)" = $((5 * mib + 4096))
else
	hold close 0
fi
hold unmap 0
tier_wait 'then they are free' bash -c "[[ \$(jq '.tiers[1].used' '$mnt/.hearth/stats') == 0 ]]"

# ---- a writer while readers have the copy ----
check 'another is filled' fill nvme "$(at $b)"
hold open 0 "$(at $b)"; hold map 0
exec 9<"$(echo "$nvme"/copies/*)"
check 'opened for writing beside native readers' hold rw 1 "$(at $b)"
check 'written' hold write 1 1048600 'these bytes are new'
check 'synced' hold sync 1
cp "$ref/$b" "$ref/$b.new"
printf 'these bytes are new' | dd of="$ref/$b.new" bs=1 seek=1048600 conv=notrunc status=none
check 'home has them' cmp "$home/blobs/$b" "$ref/$b.new"
check 'a new open sees them' hold open 2 "$(at $b)"
check 'by read' hold same 2 "$ref/$b.new"
check 'by load' loads "$(at $b)" "$ref/$b.new"
if [[ $native == native ]]; then
	check 'the old mapping keeps the old bytes' hold mapsame 0 "$ref/$b"
fi
check 'the copy was never written' cmp /proc/self/fd/9 "$ref/$b"
exec 9<&-
for i in 0 1 2; do hold close $i; done
hold unmap 0
check 'loaded again' loads "$(at $b)" "$ref/$b.new"
check 'copied again' fill nvme "$(at $b)"
check 'the new copy is right' loads_as "$mnt" $native "$(at $b)" "$ref/$b.new"
check 'an open for writing with no reader' bash -c "printf more | dd of='$(at $b)' bs=1 seek=7 conv=notrunc status=none"
printf more | dd of="$ref/$b.new" bs=1 seek=7 conv=notrunc status=none
check 'what it wrote is read' loads "$(at $b)" "$ref/$b.new"
truncate -s $((2 * mib + 5)) "$(at $b)"; truncate -s $((2 * mib + 5)) "$ref/$b.new"
check 'cut short' loads "$(at $b)" "$ref/$b.new"
check 'and copied' fill nvme "$(at $b)"
check 'with its bytes' loads "$(at $b)" "$ref/$b.new"

# ---- scans ----
tier_blob "$home" $((4 * mib)); d=$blob
tier_blob "$home" $((2 * mib)); e=$blob
says 'a checksum through the mount' 0 "^${d#sha256-} " sha256sum "$(at $d)"
check 'a copy through the mount' cmp "$(at $d)" "$ref/$d"
check 'something else is loaded after' fill nvme "$(at $e)"
check 'a scan does not fill' none_on nvme "$(at $d)"
says 'nor heat' 0 '^mean=0.000 max=0.000$' xattr heat "$(at $d)"
says 'a load heats' 0 '^mean=(0\.[1-9]|[1-9])' xattr heat "$(at $e)"

# ---- orders ----
order warm nvme "$(at $d)"
tier_wait 'warm fills without a read' whole_on nvme "$(at $d)"
tier_wait 'and ends' bash -c "[[ \$(getfattr --only-values --absolute-names -n user.hearth.warm '$(at $d)') == idle ]]"
check 'warmed: native' loads_as "$mnt" $native "$(at $d)" "$ref/$d"
order warm none "$(at $d)"
tier_wait 'cool drops it' none_on nvme "$(at $d)"
check 'and home serves' loads "$(at $d)" "$ref/$d"
order warm none "$(at $d)"
tier_wait 'cool again' none_on nvme "$(at $d)"
mkdir "$home/pinned"
mv "$(at $d)" "$mnt/pinned/$d"
order warm nvme "$mnt/pinned"
tier_wait 'warm of a directory' whole_on nvme "$mnt/pinned/$d"
order warm none "$mnt/pinned"
tier_wait 'cool of a directory' none_on nvme "$mnt/pinned/$d"
order pin nvme "$(at $c)"
tier_wait 'a pin fills without a read' whole_on nvme "$(at $c)"
says 'it reads back' 0 '^nvme$' xattr pin "$(at $c)"
says 'pinned bytes are counted' 0 "^$((10 * mib))$" state "$mnt" nvme pinned
order pin nvme "$mnt/pinned"
tier_wait 'a pinned directory fills what it holds' whole_on nvme "$mnt/pinned/$d"
says 'a file there is pinned' 0 '^nvme$' xattr pin "$mnt/pinned/$d"
order pin none "$mnt/pinned/$d"
says 'but not when it says otherwise' 0 '^none$' xattr pin "$mnt/pinned/$d"
setfattr -x user.hearth.pin "$mnt/pinned/$d"
says 'the directory again' 0 '^nvme$' xattr pin "$mnt/pinned/$d"
setfattr -x user.hearth.pin "$mnt/pinned"
says 'unpinned' 0 '^none$' xattr pin "$mnt/pinned/$d"
tier_wait 'which is counted' bash -c "[[ \$(jq '.tiers[1].pinned' '$mnt/.hearth/stats') == $((10 * mib)) ]]"

# ---- larger than the cache ----
tier_blob "$home" $((80 * mib + 100)); big=$blob
for i in 1 2 3; do check "larger than the cache, load $i" loads "$(at $big)" "$ref/$big"; done
some() {
	dd if="$1" of=/dev/null bs=1M iflag=direct status=none
	[[ $(held nvme "$1") -gt $((8 * mib)) ]]
}
tier_wait 'a part of it is held' some "$(at $big)"
check 'with it, the bytes are right' loads_as "$mnt" gathered "$(at $big)" "$ref/$big"
check 'the limit holds' test "$(state "$mnt" nvme used)" -le $((64 * mib))
check 'what is pinned stays' whole_on nvme "$(at $c)"
says 'warm of what cannot fit' 0 '' order warm nvme "$(at $big)"
rm "$(at $big)"

# ---- asking ----
for w in tier heat map why pin warm verified; do
	check "$w: anyone may read" nobody getfattr --only-values --absolute-names -n user.hearth.$w "$(at $c)"
done
for w in pin warm verified; do
	says "$w: who may not write may not order" 1 'Permission denied' nobody setfattr -n user.hearth.$w -v nvme "$(at $c)"
	chmod 666 "$(at $c)"
	says "$w: nor who is not the owner" 1 'Operation not permitted' nobody setfattr -n user.hearth.$w -v nvme "$(at $c)"
	chmod 644 "$(at $c)"
done
chown 65534 "$(at $e)"
check 'the owner may' nobody setfattr -n user.hearth.pin -v nvme "$(at $e)"
check 'none is listed' bash -c "! getfattr -R -d -m - --absolute-names '$mnt/blobs' '$mnt/pinned' 2>&1 | grep hearth"
attributes() { getfattr -R -d -m - --absolute-names "$1" 2>&1 | grep -i hearth; }
cp -a "$mnt/blobs" "$work/copy"
refuse 'cp -a copies none' attributes "$work/copy"
check 'but the bytes' cmp "$work/copy/$c" "$ref/$c"
if command -v rsync >/dev/null; then
	rsync -aX "$mnt/blobs/" "$work/synced" >/dev/null
	refuse 'rsync -X copies none' attributes "$work/synced"
else
	skip 'rsync -X: there is no rsync'
fi
check 'metrics are OpenMetrics' awk -f "$(dirname "$0")/openmetrics.awk" "$mnt/.hearth/metrics"
refuse 'and the checker sees a fault' bash -c "sed '/^# EOF/i hearth_opens_total 1' '$mnt/.hearth/metrics' | awk -f '$(dirname "$0")/openmetrics.awk'"
check 'stats are JSON' jq -e '[.tiers[].name] == ["ram", "nvme", "home"] and (.tiers[1].size == 67108864)' "$mnt/.hearth/stats"
check 'events are JSON lines, numbered' jq -se '[.[].seq] == [range(.[0].seq; .[0].seq + length)] and all(.[]; .time and .type)' "$mnt/.hearth/events"
check 'a plan' cat "$mnt/.hearth/plan"
says 'a trace' 0 '^[0-9]+,[0-9]+,[0-9]+,[0-9]+,read,(home|nvme)$' head -n 50 "$mnt/.hearth/trace"
check 'no error all the while' test "$(e2e_stat "$mnt" io_errors)" = 0
if e2e_umount "$mnt"; then ok 'unmounts'; else failed 'unmounts'; fi

# ---- another way of mounting ----
e2e_mount "$home" "$mnt" --cache "nvme=$nvme,size=64M" --ram 0 --native=home || exit 1
says 'a pin outlives the daemon' 0 '^nvme$' xattr pin "$(at $c)"
check 'so does the copy' whole_on nvme "$(at $c)"
check '--native=home: copies are gathered' loads_as "$mnt" gathered "$(at $c)" "$ref/$c"
check 'from the cache' test "$(state "$mnt" nvme served_bytes)" -ge $((9 * mib))
says 'and not from home' 0 '^0$' state "$mnt" home served_bytes
order pin none "$(at $c)"
if e2e_umount "$mnt"; then ok 'unmounts'; else failed 'unmounts'; fi
e2e_mount "$home" "$mnt" --cache "nvme=$nvme,size=64M" --ram 0 --native=off || exit 1
says 'unpinned for good' 0 '^none$' xattr pin "$(at $c)"
check '--native=off: copies are gathered' loads_as "$mnt" gathered "$(at $c)" "$ref/$c"
check 'from the cache' test "$(state "$mnt" nvme served_bytes)" -ge $((9 * mib))
if e2e_umount "$mnt"; then ok 'unmounts'; else failed 'unmounts'; fi

mkdir "$work/slow"
e2e_mount "$home" "$mnt" --cache "nvme=$nvme,size=64M" --cache "slow=$work/slow,size=128M" --ram 0 || exit 1
tier_blob "$home" $((2 * mib)); f=$blob
says 'two caches' 0 '^ram=[0-9]+ nvme=0 slow=0 home=2097152$' xattr tier "$(at $f)"
check 'a load goes to the faster one' fill nvme "$(at $f)"
check 'not to the slower one' none_on slow "$(at $f)"
order warm slow "$(at $f)"
tier_wait 'unless somebody says so' whole_on slow "$(at $f)"
says 'on both' 0 '^0 2 (ram\+)?nvme\+slow\+home$' xattr map "$(at $f)"
check 'right' loads_as "$mnt" $native "$(at $f)" "$ref/$f"
tier_blob "$home" $((100 * mib)); g=$blob
order pin slow "$(at $g)"
tier_wait 'a pin to the slower one' whole_on slow "$(at $g)"
check 'right too' loads "$(at $g)" "$ref/$g"
if e2e_umount "$mnt"; then ok 'unmounts'; else failed 'unmounts'; fi

# ---- RAM ----
locked() { sed -n 's/^VmLck:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$e2e_daemon/status"; }
locks() { [[ $(locked) -ge $(($1 / 1024)) ]]; }
in_ram() { grep -q ' ram\|^[0-9]* [0-9]* ram' <(xattr map "$1" | tail -n 1); }
ram_tests() {   # ram_tests WHERE
	order warm ram "$(at $c)"
	tier_wait "warm ram, $1: ends" bash -c "[[ \$(getfattr --only-values --absolute-names -n user.hearth.warm '$(at $c)') == idle ]]"
	check "warm ram, $1: it is there" test "$(held ram "$(at $c)")" = $((9 * mib + 4096))
	check "warm ram, $1: counted" test "$(state "$mnt" ram used)" -gt 0
	check "warm ram, $1: right" loads_as "$mnt" $native "$(at $c)" "$ref/$c"
	order pin ram "$(at $c)"
	if [[ $(state "$mnt" ram note) == null ]]; then
		tier_wait "pin ram, $1: pages are locked" locks $((9 * mib))
		says "pin ram, $1: the reason" 0 '^ram: .*[1-9][0-9]* bytes locked.*pinned' xattr why "$(at $c)"
	else
		skip "pin ram, $1: $(state "$mnt" ram note)"
	fi
	order pin none "$(at $c)"
	order warm none "$(at $c)"
	tier_wait "cool, $1: let go" bash -c "[[ \$(jq '.tiers[0].locked' '$mnt/.hearth/stats') == 0 ]]"
	check "cool, $1: unlocked" test "$(locked)" = 0
	check "cool, $1: right" loads "$(at $c)" "$ref/$c"
}
if [[ $native == native ]]; then
	e2e_mount "$home" "$mnt" --ram 64M || exit 1
	says 'RAM alone' 0 '^ram=[0-9]+ home=9441280$' xattr tier "$(at $c)"
	ram_tests 'no cache'
	if e2e_umount "$mnt"; then ok 'unmounts'; else failed 'unmounts'; fi
	e2e_mount "$home" "$mnt" --cache "nvme=$nvme,size=64M" --ram 64M || exit 1
	ram_tests 'over a cache'
	if e2e_umount "$mnt"; then ok 'unmounts'; else failed 'unmounts'; fi
else
	skip 'the RAM tier: no passthrough here'
fi

rm -r "$nvme" "$work/slow"
for n in $c $small $e $f $g; do cmp "$home/blobs/$n" "$ref/$n" || failed "home's $n is as it was"; done
ok 'home is whole without its caches'
e2e_done
