#!/usr/bin/env bash
# What outlives the daemon: copies that are still true are used at once, whatever else was done to home, to the
# cache or to the map meanwhile costs warmth and never a wrong byte.
# sanitized: yes
. "$(dirname "$0")/lib/e2e.sh"
. "$(dirname "$0")/lib/tier.sh"
e2e_need_root
e2e_need_fuse
e2e_need jq getfattr setfattr
home=$work/home mnt=$work/mnt nvme=$work/nvme
native=native
e2e_has_passthrough || native=gathered
mkdir -p "$nvme"
at() { echo "$mnt/blobs/$1"; }
up() { e2e_mount "$home" "$mnt" --cache "nvme=$nvme,size=512M" --ram 0 "$@" || exit 1; }
down() { e2e_umount "$mnt" || failed "unmounts: $*"; }
warm() { order warm nvme "$(at "$1")" && tier_until whole_on nvme "$(at "$1")"; }
# The file of the copy of a blob, found by its size.
copy_of() { find "$nvme/copies" -type f -size "$(stat -c %s "$ref/$1")c"; }
quiet() { [[ $(e2e_stat "$mnt" io_errors) == 0 ]]; }

tier_blob "$home" $((6 * mib + 777)); a=$blob
tier_blob "$home" $((4 * mib)); b=$blob
tier_blob "$home" $((192 * mib)); big=$blob

# ---- as it was ----
up
check 'a blob is copied' warm $a
check 'another' warm $b
down first
if [[ $native == native ]]; then
	e2e_mount "$home" "$mnt" --cache "nvme=$nvme,size=512M" --ram 64M || exit 1
	order warm ram "$(at $b)"
	tier_wait 'a copy that nobody opened since is warmed to RAM' bash -c "[[ \$(getfattr --only-values --absolute-names -n user.hearth.warm '$(at $b)') == idle ]]"
	check 'and lies there' test "$(held ram "$(at $b)")" = $((4 * mib))
	down 'warmed'
fi
up
check 'the next daemon has the copy' whole_on nvme "$(at $a)"
check 'and uses it at once' loads_as "$mnt" $native "$(at $a)" "$ref/$a"
says 'nothing was read from home' 0 '^0$' state "$mnt" home served_bytes
says 'nothing was copied' 0 '^0$' state "$mnt" nvme fills
says 'what is used is known' 0 "^$((11 * mib - mib + 4096))$" state "$mnt" nvme used

# ---- killed while it fills ----
part_of() { local n; n=$(held nvme "$1"); [[ $n -gt 0 && $n -lt $(stat -c %s "$1") ]]; }
order warm nvme "$(at $big)"
for ((i = 0; i < 500; i++)); do part_of "$(at $big)" && break; done
e2e_kill "$mnt"
up
if part_of "$(at $big)" || has_event "$mnt" fill "$big"; then
	tier_wait 'a fill that was cut short goes on' whole_on nvme "$(at $big)"
	says 'with what was durable' 0 '"begun, [1-9][0-9]* of 192 extents' cat "$mnt/.hearth/events"
	check 'and is right' loads "$(at $big)" "$ref/$big"
else
	skip 'killed while it fills: it was done before'
fi
order warm none "$(at $big)"
tier_wait 'cooled' none_on nvme "$(at $big)"
order warm nvme "$(at $big)"
cat "$(at $big)" >"$work/read" & reader=$!
for ((i = 0; i < 500; i++)); do part_of "$(at $big)" && break; done
e2e_kill "$mnt"
wait $reader
cmp -n "$(stat -c %s "$work/read")" "$work/read" "$ref/$big" >/dev/null && ok 'what a reader had by then is right' || failed 'what a reader had by then is right'
rm -f "$work/read"
up
check 'after a kill beside a reader: right' loads "$(at $big)" "$ref/$big"
check 'copies from before are used' loads_as "$mnt" $native "$(at $a)" "$ref/$a"
rm "$(at $big)"
no_copy() { [[ -z $(copy_of "$1") ]]; }
tier_wait 'removed' no_copy $big
down 'after kills'

# ---- the map is lost or damaged ----
garbage() { head -c "$(stat -c %s "$1")" /dev/urandom >"$work/g"; cat "$work/g" >"$1"; }
damage() {      # damage WHAT: of the map
	case $1 in
	'the map removed') rm "$nvme"/map.db* ;;
	'only its main file removed') rm "$nvme/map.db" ;;
	'its log removed') rm -f "$nvme/map.db-wal" ;;
	'the map empty') : >"$nvme/map.db" ;;
	'the map cut in the middle') truncate -s 5000 "$nvme/map.db" ;;
	'the map of garbage') garbage "$nvme/map.db" ;;
	'its log of garbage') head -c 50000 /dev/urandom >"$nvme/map.db-wal" ;;
	'a page of garbage') head -c 4096 /dev/urandom | dd of="$nvme/map.db" bs=4096 seek=2 conv=notrunc status=none ;;
	'a directory in its place') rm -f "$nvme"/map.db*; mkdir "$nvme/map.db" ;;
	esac
}
for w in 'the map removed' 'only its main file removed' 'its log removed' 'the map empty' 'the map cut in the middle' \
	'the map of garbage' 'its log of garbage' 'a page of garbage' 'a directory in its place'; do
	damage "$w"
	up
	check "$w: right" loads "$(at $a)" "$ref/$a"
	check "$w: and another" loads "$(at $b)" "$ref/$b"
	check "$w: copied again" bash -c "setfattr -n user.hearth.warm -v nvme '$(at $a)' '$(at $b)'"
	tier_wait "$w: whole" whole_on nvme "$(at $a)"
	tier_wait "$w: both" whole_on nvme "$(at $b)"
	check "$w: native" loads_as "$mnt" $native "$(at $a)" "$ref/$a"
	check "$w: no copy is left over" test "$(find "$nvme/copies" -type f | wc -l)" = 2
	check "$w: nobody saw an error" quiet
	down "$w"
done
# ---- the cache is emptied ----
again() {       # again WHAT: mounted; it is right, and can be copied
	check "$1: right" loads "$(at $a)" "$ref/$a"
	check "$1: copied again" warm $a
	check "$1: right again" loads_as "$mnt" $native "$(at $a)" "$ref/$a"
	check "$1: nobody saw an error" quiet
}
up; warm $a; down
rm "$nvme"/copies/*
up; again 'the copies removed'; down
: >"$(copy_of $a)"
up; again 'a copy empty'; down
fallocate --punch-hole --offset 0 --length $((7 * mib)) "$(copy_of $a)"
up; again 'a copy of holes'; down
rm -r "${nvme:?}"/*
up; again 'everything removed'
rm "$nvme"/copies/*
again 'the copies removed under the daemon'
down 'emptied'

# ---- home changes while nobody looks ----
other() {       # other NAME: home's file gets other bytes, in place; so does what we expect
	head -c "$(stat -c %s "$home/blobs/$1")" /dev/urandom >"$ref/$1"
	dd if="$ref/$1" of="$home/blobs/$1" bs=1M conv=notrunc status=none
}
few() {         # few NAME: a few bytes only
	printf 'changed behind' | dd of="$home/blobs/$1" bs=1 seek=$((2 * mib + 9)) conv=notrunc status=none
	cp "$home/blobs/$1" "$ref/$1"
}
change() {      # change WHAT NAME
	local f=$home/blobs/$2
	case $1 in
	bytes) other "$2" ;;
	'a few bytes') few "$2" ;;
	'bytes, and the time set back') touch -r "$f" "$work/time"; other "$2"; touch -r "$work/time" "$f" ;;
	'a few bytes, and the time set back') touch -r "$f" "$work/time"; few "$2"; touch -r "$work/time" "$f" ;;
	'another file') cp "$f" "$f.new"; mv "$f.new" "$f"; other "$2" ;;
	longer) echo longer >>"$f"; cp "$f" "$ref/$2" ;;
	shorter) truncate -s -100 "$f"; cp "$f" "$ref/$2" ;;
	esac
}
for w in bytes 'a few bytes' 'bytes, and the time set back' 'a few bytes, and the time set back' 'another file' longer shorter; do
	up; warm $b; down
	change "$w" $b
	up
	check "$w, unmounted: the new ones are served" loads "$(at $b)" "$ref/$b"
	check "$w, unmounted: and again" loads "$(at $b)" "$ref/$b"
	warm $b
	tier_wait "$w, unmounted: copied anew" loads_as "$mnt" $native "$(at $b)" "$ref/$b"
	change "$w" $b
	sleep 1.1       # attributes are good for one second
	check "$w, mounted: the new ones are served" loads "$(at $b)" "$ref/$b"
	check "$w, mounted: and again" loads "$(at $b)" "$ref/$b"
	check "$w: nobody saw an error" quiet
	down "$w"
done
up; warm $b; down
chmod 600 "$home/blobs/$b"
up
check 'only the mode: right' loads "$(at $b)" "$ref/$b"
tier_wait 'only the mode: compared, and native again' loads_as "$mnt" $native "$(at $b)" "$ref/$b"
says 'only the mode: the copy was kept' 0 '^0$' state "$mnt" nvme fills
down 'mode'
chmod 644 "$home/blobs/$b"
mv "$home/blobs/$b" "$work/away"
up
tier_wait 'the file removed meanwhile: its copy goes' no_copy $b
down 'removed'
mv "$work/away" "$home/blobs/$b"

# ---- a copy is damaged ----
hurt() {        # hurt NAME OFFSET
	printf 'DAMAGE' | dd of="$(copy_of "$1")" bs=1 seek="$2" conv=notrunc status=none
}
mended() { cmp -s -n "$(stat -c %s "$ref/$1")" "$(copy_of "$1")" "$ref/$1"; }
up; loads "$(at $a)" "$ref/$a"; warm $a; down
hurt $a $((2 * mib + 5)); hurt $a $((6 * mib + 700))
up --native=home
check 'damaged: gathered reads have home'\''s bytes' loads_as "$mnt" gathered "$(at $a)" "$ref/$a"
check 'damaged: an event says so' has_event "$mnt" bad-sum $a
says 'damaged: it is counted' 0 '^2$' state "$mnt" nvme bad_sums
tier_wait 'damaged: whole again' whole_on nvme "$(at $a)"
tier_wait 'damaged: mended' mended $a
check 'damaged: nobody saw an error' quiet
down 'damaged'

says_verified() { xattr verified "$(at "$1")" | grep -Eq "$2"; }
hurt $a $((3 * mib)); hurt $a 0
up
order verified now "$(at $a)"
tier_wait 'verify: ends well, for home is right' says_verified $a '^ok 2'
check 'verify: the copy was not' has_event "$mnt" bad-sum $a
tier_wait 'verify: whole again' whole_on nvme "$(at $a)"
tier_wait 'verify: mended' mended $a
check 'verify: served' loads "$(at $a)" "$ref/$a"
# a copy that clients had natively can only be replaced
check 'verify: it is open natively' loads_as "$mnt" $native "$(at $a)" "$ref/$a"
exec 9<"$(at $a)"
hurt $a $((5 * mib))
order verified now "$(at $a)"
tier_wait 'verify, while it is open: the damage is seen' bash -c "[[ \$(jq '.tiers[1].bad_sums' '$mnt/.hearth/stats') -ge 3 ]]"
check 'verify, while it is open: a new open is right' loads "$(at $a)" "$ref/$a"
exec 9<&-
order warm nvme "$(at $a)"
tier_wait 'verify, while it is open: replaced' mended $a
tier_wait 'verify, while it is open: whole' whole_on nvme "$(at $a)"

sly=sha256-$(printf '%064x' 12345)
cp "$ref/$b" "$ref/$sly"; cp "$ref/$b" "$home/blobs/$sly"
order verified now "$(at $sly)"
tier_wait 'verify: a file that is not what its name says' says_verified $sly '^bad 2.* sha256 is not the one in its name'
check 'verify: is told' has_event "$mnt" verify-failed $sly
check 'verify: and served' loads "$(at $sly)" "$ref/$sly"
check 'verify: nobody saw an error' quiet
down 'verify'
up
check 'verified: kept over a restart' says_verified $a '^ok 2'
check 'a failure too' says_verified $sly '^bad 2'
check 'what was verified is native at once' loads_as "$mnt" $native "$(at $a)" "$ref/$a"
down 'the last'
e2e_done
