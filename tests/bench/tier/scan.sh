# scan.sh - row f: decode-like reading of a model while somebody sums the whole store.

scan_rounds=12
scan_seconds=2

# in_group COMMAND...
in_group()
{
	sh -c 'echo $$ >"$0" && exec "$@"' "$scan_procs" "$@"
}

# scan_sample SIDE DIR: decode through the mount while DIR's blobs are summed from the disk
scan_sample()
{
	for n in $(seq 2 "$blobs"); do
		"$tool" drop "$home/$(blob "$n")" || true
		[ "$peers" -eq 1 ] || "$tool" drop "$mnt/$(blob "$n")" || true
	done
	# the last first: the one that is decoded, and is in memory, would be summed at the processor's speed
	sh -c 'echo $$ >"$0" && exec sha256sum "$@"' "$scan_procs" $(printf '%s\n' "$2"/blobs/* | sort -r) >"$BENCH_WORK/sums" &
	place_child=$!
	value=$(in_group "$tool" decode "$mnt/$(blob 1)" 1 $scan_seconds) || bench_fail "the decode ended"
	if kill "$place_child" 2>/dev/null; then
		wait "$place_child" 2>/dev/null || true
	else
		place_say "the store was summed before the decode's $scan_seconds s were over: BENCH_MIB is too small"
	fi
	place_child=
	echo "$1 ${value% *}" >>"$BENCH_WORK/samples"
	echo "${value#* }" >>"$BENCH_WORK/share.$1"
	echo "$1 $value" | awk '{ print $1, $2 / $3 }' >>"$BENCH_WORK/per_cpu"
}

scan_rows()
{
	memory=$((size + 768))
	bench_title "f  decode through the mount while the store is summed: through it, beside outside it; all in $memory MiB"
	want $(seq "$blobs")
	place_limit "$slow"
	place_memory scan "$memory" || { place_say "f: not measured, no control group limits memory" && return 0; }
	scan_procs=$place_procs
	mount_procs=$place_procs
	begin $((size + size / 4)) "${size}M"
	for n in 1 2 3; do
		in_group "$tool" decode "$mnt/$(blob 1)" 1 1 >"$BENCH_WORK/warm"
	done
	: >"$BENCH_WORK/samples"
	rm -f "$BENCH_WORK"/share.* "$BENCH_WORK/per_cpu"
	tier_before=$("$tool" xattr "$mnt/$(blob 1)" user.hearth.tier 2>/dev/null || echo unknown)
	value=$(in_group "$tool" decode "$mnt/$(blob 1)" 1 $scan_seconds)
	place_say "alone: ${value% *} GB/s with ${value#* } of a processor"
	for n in $(seq $scan_rounds); do
		case $((n % 2)) in
		0) scan_sample ours "$mnt" && scan_sample other "$home" ;;
		1) scan_sample other "$home" && scan_sample ours "$mnt" ;;
		esac
	done
	bench_row "f decode during sha256sum" rate GB/s 0.95 "$BENCH_WORK/samples"
	bench_row "f the same a second of its processor time" rate GB/s "" "$BENCH_WORK/per_cpu"
	place_say "the decode had $(median <"$BENCH_WORK/share.ours") of a processor, and $(median <"$BENCH_WORK/share.other")" \
		"with the other: where these differ much, somebody else was busy"
	tier_after=$("$tool" xattr "$mnt/$(blob 1)" user.hearth.tier 2>/dev/null || echo unknown)
	place_say "the model before: $tier_before; after: $tier_after"
	[ "$have_cache" -eq 0 ] || holds "a model that was only summed is not on the fast disk" \
		[ "$(in_tier nvme "$mnt/$(blob "$blobs")")" -eq 0 ]
	end
}
