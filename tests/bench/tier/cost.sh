# cost.sh - row h: processor time a GiB, and what four million extents cost.

# Seconds of processor time of the daemon, with all of its threads.
daemon_cpu()
{
	[ "$peers" -eq 1 ] && echo 0 && return 0
	awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hz }' "/proc/$daemon/stat"
}

# cost_sample N: load model N through the mount, then as a file of ext4; the daemon's part also goes to a file of its
# own.  A load before both leaves memory that is ready to be used: a virtual machine's may have to be given to it first.
cost_sample()
{
	"$tool" load read "$home/$(blob "$1")" "$1" >/dev/null
	"$tool" drop "$home/$(blob "$1")"
	cpu=$(daemon_cpu)
	value=$("$tool" load read "$mnt/$(blob "$1")" "$1")
	[ -z "$models" ] || place_still
	echo "$cpu $(daemon_cpu) ${value#* } $size" |
		awk '{ print "ours", ($2 - $1 + $3) * 1024 / $4; print ($2 - $1) * 1024 / $4 >"/dev/stderr" }' \
			>>"$BENCH_WORK/samples" 2>>"$BENCH_WORK/daemon"
	"$tool" drop "$home/$(blob "$1")" || true
	value=$("$tool" load read "$home/$(blob "$1")" "$1")
	echo "other $(echo "${value#* } $size" | awk '{ print $1 * 1024 / $2 }')" >>"$BENCH_WORK/samples"
}

# cost_row NAME N...
cost_row()
{
	name=$1
	shift
	: >"$BENCH_WORK/samples"
	: >"$BENCH_WORK/daemon"
	for n in "$@"; do
		cost_sample "$n"
	done
	bench_row "$name" time s/GiB "" "$BENCH_WORK/samples"
	place_say "of it the daemon: $(median <"$BENCH_WORK/daemon") s/GiB"
}

cost_cpu()
{
	bench_title "h  processor time of reader and daemon a GiB, cold, beside the reader's on ext4"
	want 1 2 3
	place_limit 0
	models=
	if [ "$peers" -eq 0 ] && [ "$have_cache" -eq 0 ]; then
		begin 0 - --native=off
		cost_row "h CPU, cached read" 1 2 3
		end
		begin 0 -
		cost_row "h CPU, native read" 1 2 3
		end
		return 0
	fi
	[ "$peers" -eq 1 ] || models="1 2 3"
	begin $((4 * size)) 0
	cost_row "h CPU, gathered read and fill" 1 2 3
	[ "$peers" -eq 1 ] || until_true 60 whole_in nvme "$mnt/$(blob 3)" || bench_fail "no copy was made"
	[ "$peers" -eq 1 ] || "$tool" drop "$nvme"/cache/copies/*
	cost_row "h CPU, native read" 1 2 3
	end
}

# A fast disk of so many GiB that is hardly there: its image is sparse, its files are allocated and never written.
cost_disk()
{
	place_extra=$BENCH_WORK/large
	mkdir "$place_extra"
	truncate -s "$1G" "$place_extra.image" && mkfs.ext4 -q -F -m 0 -O bigalloc,^has_journal -C 1048576 -N 4096 \
		-E lazy_itable_init=1 "$place_extra.image" 2>"$BENCH_WORK/mkfs" || return 1
	place_extra_dev=$(losetup --direct-io=on --show -f "$place_extra.image") && mount "$place_extra_dev" "$place_extra"
}

cost_store()
{
	want 1
	nvme=$place_extra
	begin $((extents + extents / 16 + 1024)) 0
	for n in 1 2 3; do
		whole_in nvme "$mnt/$(blob 1)" || "$tool" load read "$mnt/$(blob 1)" 1 >/dev/null
	done
	until_true 60 whole_in nvme "$mnt/$(blob 1)" || bench_fail "no copy was made"
	end
	rows_made=$("$tool" store "$home" "$nvme/cache" 40 "$extents") || bench_fail "the map cannot be filled"
	place_say "the map has $rows_made extents, $(du -m "$nvme/cache/map.db" | cut -f 1) MiB"
}

cost_extents()
{
	bench_title "h  a store with $extents extents in the map, beside what they may cost"
	can_move h || return 0
	cost_disk $((extents / 1024 + extents / 8192 + 64)) ||
		{ place_say "h: not measured, no sparse disk of that size can be made here" && return 0; }
	cost_store
	: >"$BENCH_WORK/samples"
	: >"$BENCH_WORK/memory"
	for n in 1 2 3; do
		from=$(date +%s.%N)
		again 0
		echo "$from $(date +%s.%N)" | awk '{ print "ours", $2 - $1; print "other", 3 }' >>"$BENCH_WORK/samples"
		awk -v limit=$((extents * 64 / 1048576 + 160)) \
			'$1 == "RssAnon:" { print "ours", $2 / 1024; print "other", limit }' "/proc/$daemon/status" >>"$BENCH_WORK/memory"
		holds "the copies of the store are all there after mounting" \
			[ "$(in_tier nvme "$mnt/blobs/sha256-$(printf %064x $((0x5107e000 + 39)))")" -gt 0 ]
		end
	done
	bench_row "h mount, 3 s" time s 1 "$BENCH_WORK/samples"
	bench_row "h anonymous memory, 64 B each + 160 MiB" time MiB 1 "$BENCH_WORK/memory"
	rm -f "$home"/blobs/sha256-*5107e0*
}

cost_rows()
{
	cost_cpu
	cost_extents
}
