#!/usr/bin/env bash
# Every wrong cache, size and order ends with one line that says which and why, and leaves nothing behind.
# sanitized: yes
. "$(dirname "$0")/lib/e2e.sh"
. "$(dirname "$0")/lib/tier.sh"
e2e_need_root
e2e_need_fuse
e2e_need jq getfattr setfattr
home=$work/home mnt=$work/mnt nvme=$work/nvme
mkdir -p "$mnt" "$nvme" "$work/other" "$home/models"
tier_blob "$home" $((3 * mib)); a=$blob
tier_blob "$home" 3000; small=$blob
echo file >"$work/file"

mounted() { grep -q " $1 .* - fuse.hearth " /proc/self/mountinfo; }
# refused WHAT STATUS PATTERN OPTION...: that exit status, one line (two with the usage), nothing mounted
refused() {
	local what=$1 status=$2 pattern=$3 out rc lines
	shift 3
	out=$(timeout 30 "$HEARTH" mount --home "$home" "$@" "$mnt" 2>&1 </dev/null); rc=$?
	out=$(grep -v "lies on home's own file system" <<<"$out")       # a warning about the one before
	lines=$(grep -c . <<<"$out")
	if [[ $rc == "$status" && $lines == "$status" ]] && grep -Eq -- "^hearth( mount)?: .*$pattern" <<<"$out"; then
		ok "$what"
	else
		failed "$what: exit $rc (not $status), $lines lines, wanted /$pattern/:"; sed 's/^/    /' <<<"$out" | head -n 5
	fi
	if mounted "$mnt"; then failed "$what: something is mounted"; umount -l "$mnt"; fi
}
cache() { refused "$1" 1 "$2" --cache "$3"; }

# ---- how it is written ----
cache 'a cache without a size' 'is not of the form NAME=DIR,size=SIZE' "nvme=$nvme"
cache 'without a name' 'is not of the form NAME=DIR,size=SIZE' "$nvme,size=1G"
cache 'without a directory' 'is not of the form NAME=DIR,size=SIZE' 'nvme=,size=1G'
cache 'nothing at all' 'is not of the form NAME=DIR,size=SIZE' ''
for s in '' 0 x 1Q 1GG -1 1.5G 0x10 99999999999999999999 20000000T ' 1G'; do
	cache "a size of '$s'" "'$s' is no size" "nvme=$nvme,size=$s"
done
for n in ram home; do cache "the name '$n'" "'ram' and 'home' are no names" "$n=$nvme,size=64M"; done
cache "the name 'none'" "'none'" "none=$nvme,size=64M"
for n in NVME 1a n_v averylongnameofacache 'a b'; do
	cache "the name '$n'" 'a name is a letter' "$n=$nvme,size=64M"
done
refused 'one name twice' 1 "cache name 'nvme' is taken" --cache "nvme=$nvme,size=64M" --cache "nvme=$work/other,size=64M"
refused 'one directory twice' 1 'in use by another hearth, or named twice' --cache "nvme=$nvme,size=64M" --cache "ssd=$nvme,size=64M"
many=()
for i in 1 2 3 4 5; do mkdir -p "$work/many/$i"; many+=(--cache "c$i=$work/many/$i,size=64M"); done
refused 'five caches' 1 '5 caches: there may be 4' "${many[@]}"
says '--cache without a value' 2 "option 'cache' needs a value" "$HEARTH" mount --home "$home" "$mnt" --cache
for r in '' x 1Q 101% -1 -5% 5%% 1e99 0x10 'G' ' 1G' nan; do
	refused "--ram of '$r'" 1 "'$r' is (no amount of memory|not between)" --ram "$r"
done
refused '--ram twice' 2 "option 'ram' is given twice" --ram 1G --ram 2G
refused '--native of nonsense' 2 "'auto', 'home' or 'off'" --native=cache

# ---- which directory ----
cache 'no such directory' "cache '$work/none': No such file or directory; make the directory" "nvme=$work/none,size=64M"
cache 'a file' "cache '$work/file': Not a directory" "nvme=$work/file,size=64M"
mkdir "$work/foreign"; echo mine >"$work/foreign/data"
cache 'a directory of somebody else' "'$work/foreign' is not empty and is no cache" "nvme=$work/foreign,size=64M"
check 'which is as it was' test "$(ls -A "$work/foreign")" = data
cache 'home itself' 'are one directory or lie in each other' "nvme=$home,size=64M"
cache 'inside home' 'are one directory or lie in each other' "nvme=$home/models,size=64M"
cache 'around home' 'are one directory or lie in each other' "nvme=$work,size=64M"
ln -s home/models "$work/sly"
cache 'inside home, by a link' 'are one directory or lie in each other' "nvme=$work/sly,size=64M"
check 'home is as it was' test -z "$(find "$home" \( -name 'hearth*' -o -name copies -o -name 'map.db*' -o -name probe \))"
cache 'too small' 'its size is below 64 MiB' "nvme=$nvme,size=63M"
cache 'more than there is' 'is more than its file system has' "nvme=$nvme,size=4000T"
mount -t tmpfs -o ro none "$work/other" && e2e_mounts+=("$work/other")
cache 'read-only' "'$work/other' is on a file system that is mounted read-only" "nvme=$work/other,size=64M"
umount "$work/other"
cp -r "$nvme" "$work/newer" 2>/dev/null
printf 'hearth-cache 2\n' >"$work/newer/hearth-cache"
cache 'a mark of another format' "newer/hearth-cache'.*; empty the directory" "nvme=$work/newer,size=64M"
printf '\0\377garbage' >"$work/newer/hearth-cache"
cache 'a mark of garbage' "newer/hearth-cache'.*; empty the directory" "nvme=$work/newer,size=64M"

# ---- whose ----
e2e_mount "$home" "$mnt" --cache "nvme=$nvme,size=64M" --ram 0 || exit 1
mkdir "$work/home2" "$work/mnt2"
says 'in use by another hearth' 1 "cache '$nvme' is in use by another hearth" \
	timeout 30 "$HEARTH" mount --home "$work/home2" --cache "nvme=$nvme,size=64M" "$work/mnt2"
refuse 'nothing is mounted there' mounted "$work/mnt2"
check 'the first goes on' loads "$mnt/blobs/$a" "$ref/$a"

# ---- orders ----
f=$mnt/blobs/$a
for v in frob '' home RAM nvmes ' nvme' "$(printf 'x%.0s' {1..100})"; do
	says "pin '${v:0:8}'" 1 'Invalid argument' setfattr -n user.hearth.pin -v "$v" "$f"
	says "warm '${v:0:8}'" 1 'Invalid argument' setfattr -n user.hearth.warm -v "$v" "$f"
	says "verified '${v:0:8}'" 1 'Invalid argument' setfattr -n user.hearth.verified -v "$v" "$f"
done
says 'pin of a directory to nonsense' 1 'Invalid argument' setfattr -n user.hearth.pin -v frob "$mnt/blobs"
says 'warm of a directory to nonsense' 1 'Invalid argument' setfattr -n user.hearth.warm -v frob "$mnt/blobs"
says 'verify a directory' 1 'Invalid argument' setfattr -n user.hearth.verified -v now "$mnt/blobs"
says 'warm ram without a RAM tier' 1 'Invalid argument' setfattr -n user.hearth.warm -v ram "$f"
says 'warm a small file' 1 'Invalid argument' setfattr -n user.hearth.warm -v nvme "$mnt/blobs/$small"
says 'verify a small file' 1 'Invalid argument' setfattr -n user.hearth.verified -v now "$mnt/blobs/$small"
for x in tier heat map why stats frob; do
	says "user.hearth.$x is not for writing" 1 'Operation not permitted' setfattr -n user.hearth.$x -v x "$f"
done
check 'after all that it is served' loads "$f" "$ref/$a"
says 'and nothing was ordered' 0 '^none$' xattr pin "$f"
if e2e_umount "$mnt"; then ok 'unmounts'; else failed 'unmounts'; fi

says "another store's" 1 "cache '$nvme' belongs to another store, whose home was '$home'" \
	timeout 30 "$HEARTH" mount --home "$work/home2" --cache "nvme=$nvme,size=64M" "$work/mnt2"
refuse 'nothing is mounted there' mounted "$work/mnt2"

# ---- fstab's form ----
ln -s "$HEARTH" "$work/mount.hearth"
helper() { timeout 30 "$work/mount.hearth" "$home" "$mnt" "$@"; }
says 'fstab: a cache without a size' 1 'is not of the form NAME=DIR,size=SIZE' helper -o "cache=nvme=$nvme,ram=50%"
says 'fstab: a size without a cache' 2 "unknown mount option 'size=1G'" helper -o "ram=50%,size=1G"
says 'fstab: a wrong amount' 1 "'much' is no amount of memory" helper -o "cache=nvme=$nvme,size=64M,ram=much"
refuse 'nothing is mounted' mounted "$mnt"
check "fstab's form" helper -o "rw,cache=nvme=$nvme,size=64M,ram=50%,cache=slow=$work/many/1,size=128M,noauto,nofail"
check 'serves' loads "$mnt/blobs/$a" "$ref/$a"
says 'the caches' 0 '^ram nvme slow home $' jq -j '.tiers[].name + " "' "$mnt/.hearth/stats"
says 'their sizes' 0 '^67108864 134217728 $' jq -j '.tiers[1, 2].size | tostring + " "' "$mnt/.hearth/stats"
total=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024))
budget=$(jq '.tiers[0].budget' "$mnt/.hearth/stats")
check "half of memory ($total) is $budget" test "$budget" -gt 0 -a "$budget" -le $((total / 2 + 1))
check 'unmounts' "$HEARTH" umount "$mnt"
e2e_done
