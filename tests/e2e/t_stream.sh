#!/usr/bin/env bash
# Weights and caches that do not fit, wherever they lie: the same bits as in memory, within the budget, and one line when a
# disk is full.
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse
e2e_need mkfs.ext4 losetup
runner=$BUILD/hearth-run
mib=1048576

mkdir -p "$work/home"
model=$work/home/wide.gguf
"$BUILD/tests/runner_bench" kv "$model" || e2e_done
sync "$model"
ids=$(seq -s , 300 340)

# logits OUT MODEL [OPTION...]: of all tokens, in batches of 8; in the order $order a pass through the model each
order=batch
logits() {
	local out=$1 m=$2
	shift 2
	"$runner" -m "$m" --tokens "$ids" -n 0 -c 64 -b 8 -ub 8 -t 2 --prefill-order $order --logits "$out" "$@" >/dev/null 2>"$work/run.log" || { cat "$work/run.log"; return 1; }
}
forget() { dd if="$1" iflag=nocache count=0 status=none; }

check 'logits with the model in memory' logits "$work/want" "$model" --ram-budget none
least=$("$runner" -m "$model" --tokens 1 -n 0 -c 64 -b 8 -ub 8 --logits /dev/null --ram-budget 1M 2>&1 | sed -n 's/.* need \([0-9]*\).*/\1/p')
check 'the least budget is said' test "${least:-0}" -gt 1
check 'it is enough' logits "$work/got" "$model" --ram-budget "$((least + 1))M"
check 'and gives the same bits' cmp "$work/want" "$work/got"
refuses() { ! logits "$work/got" "$model" --ram-budget "$1"; }
check 'a MiB less is refused' refuses "$((least - 1))M"
budget=$((least + 20))

# same WHAT MODEL [OPTION...]: read past memory, and the same
same() {
	local what=$1 m=$2
	shift 2
	forget "$m"
	rm -f "$work/got"
	logits "$work/got" "$m" --ram-budget "${budget}M" --perf "$@"
	check "$what: the same bits" cmp "$work/want" "$work/got"
	check "$what: weights were read again and again" grep -Eq 'stream +[5-9] passes, [3-9][0-9]\.[0-9] MB' "$work/run.log"
}
same 'a plain file' "$model"
check 'and the time is divided' grep -Eq 'time +[0-9.]+ s read from disk, of that [0-9.]+ s waited for; [0-9.]+ s computed' "$work/run.log"

order=layer
forget "$model"
rm -f "$work/got"
logits "$work/got" "$model" --ram-budget "${budget}M" --perf
check 'layer by layer: the same bits' cmp "$work/want" "$work/got"
check 'and one pass for all tokens' grep -Eq 'passes over the weights: 1$' "$work/run.log"
order=batch

# A device that reads no less than 4096 bytes, at multiples of that.
truncate -s 160M "$work/sectors.img"
mkfs.ext4 -q -F -m 0 -b 4096 "$work/sectors.img"
if dev=$(losetup -f --show --sector-size 4096 --direct-io=on "$work/sectors.img"); then
	e2e_loops+=("$dev")
	mkdir "$work/sectors"
	mount "$dev" "$work/sectors" && e2e_mounts+=("$work/sectors")
	cp "$model" "$work/sectors/" && sync "$work/sectors/wide.gguf"
	same 'sectors of 4096 bytes' "$work/sectors/wide.gguf"
	same 'with the cache there too' "$work/sectors/wide.gguf" --kv-disk "$work/sectors"
else
	skip 'sectors of 4096 bytes: no such loop device here'
fi
mkdir "$work/memory"
mount -t tmpfs -o size=128M none "$work/memory" && e2e_mounts+=("$work/memory")
cp "$model" "$work/memory/"
logits "$work/got" "$work/memory/wide.gguf" --ram-budget "${budget}M"
check 'a file in memory: the same bits' cmp "$work/want" "$work/got"
rm "$work/memory/wide.gguf"

# The most memory of a run, page cache and all.
group=/sys/fs/cgroup/memory/hearth-$$
if [[ -d ${group%/*} ]] && mkdir "$group"; then
	e2e_cgroups+=("$group")
	forget "$model"
	(echo "$BASHPID" >"$group/cgroup.procs" && logits "$work/got" "$model" --ram-budget "${budget}M")
	peak=$(($(cat "$group/memory.max_usage_in_bytes") / mib))
	echo "note: a budget of $budget MiB, at most $peak MiB used"
	check 'the budget holds' test "$peak" -le $((budget + 16))
else
	skip 'the most memory of a run: no control groups of version 1 here'
fi

# The mount: native, with a part of the file pinned to memory; served by the daemon; gathered while a copy is made.
e2e_mount "$work/home" "$work/mnt" --ram 32M || exit 1
"$HEARTH" warm --tier ram --wait "$work/mnt/wide.gguf" >/dev/null 2>&1
rm -f "$work/got"
logits "$work/got" "$work/mnt/wide.gguf" --ram-budget "${budget}M" --perf
check 'a mount that holds a part: the same bits' cmp "$work/want" "$work/got"
e2e_umount "$work/mnt"
e2e_mount "$work/home" "$work/mnt" --native=off || exit 1
same 'a mount without native reads' "$work/mnt/wide.gguf"
e2e_umount "$work/mnt"
mkdir "$work/nvme"
e2e_mount "$work/home" "$work/mnt" --cache "nvme=$work/nvme,size=200M" || exit 1
same 'a gathered file' "$work/mnt/wide.gguf"
e2e_umount "$work/mnt"

# A disk that is full: the reason, and nothing that a later run would take for a cache.
e2e_loop 8M "$work/full" || exit 1
long=$(seq -s , 1 3000)
full() { "$runner" -m "$model" --tokens "$1" -n 4 -c 4096 -t 2 --temp 0 --kv-disk "$work/full" --kv-keep "${@:2}"; }
says 'a full disk is said' 1 'full: the KV cache cannot be written: No space left on device' full "$long" --perf
says 'and a short prompt begins anew' 0 'prompt +5 tokens' full 1,300,301,302,303 --perf
says 'the next one goes on there' 0 'prompt +1 tokens' full 1,300,301,302,303,304 --perf
e2e_done
