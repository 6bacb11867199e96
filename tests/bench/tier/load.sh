# load.sh - rows a, b and c: the same models loaded for the first, the second and the third time.

# first_sample SIDE N HOW
first_sample()
{
	sleep 0.3                       # a limited disk begins a new time slice
	case $1 in
	ours) value=$("$tool" load "$3" "$mnt/$(blob "$2")" "$2") ;;
	other) value=$("$tool" device "$home/$(blob "$2")" 0 "$size") ;;
	esac || bench_fail "model $2 cannot be read"
	echo "$1 ${value%% *}" >>"$BENCH_WORK/samples"
}

# first_loads HOW N...: each model is loaded once by us; the disk's speed is taken from the same model
first_loads()
{
	how=$1
	shift
	: >"$BENCH_WORK/samples"
	for n in "$@"; do
		"$tool" drop "$home/$(blob "$n")"
		case $((n % 2)) in
		0) first_sample ours "$n" "$how" && first_sample other "$n" "$how" ;;
		1) first_sample other "$n" "$how" && first_sample ours "$n" "$how" ;;
		esac
	done
	bench_row "a first load, $how ($speed)" rate GB/s 0.95 "$BENCH_WORK/samples"
}

copies_whole()
{
	whole=0
	for n in $(seq "$blobs"); do
		! whole_in nvme "$mnt/$(blob "$n")" || whole=$((whole + 1))
	done
	[ "$whole" -eq "$blobs" ]
}

copies_made()
{
	if [ "$have_cache" -eq 0 ]; then
		place_say "no copies on the fast disk were made meanwhile: there is no cache"
		return 0
	fi
	copies_whole || true
	at_once=$whole
	from=$(now)
	until_true 60 copies_whole || true
	place_say "copies: $at_once of $blobs were whole when the last load ended, $whole of them $(since "$from") s later;" \
		"fills $(of_tier nvme fills), drops $(of_tier nvme drops)"
	holds "every model is whole on the fast disk" [ "$whole" -eq "$blobs" ]
}

row_a()
{
	bench_title "a  first load of $size MiB, beside the disk's speed (O_DIRECT)"
	first_loads read 1 2 3
	first_loads map 4 5 6
	first_loads populate 7 8 9
	copies_made
}

# Without row a: model 1 is loaded unlimited until it is whole on the fast disk.
fill_without_row_a()
{
	[ "$have_cache" -eq 1 ] && ! whole_in nvme "$mnt/$(blob 1)" || return 0
	for n in 1 2 3; do
		"$tool" load read "$mnt/$(blob 1)" 1 >/dev/null
		! until_true 30 whole_in nvme "$mnt/$(blob 1)" || return 0
	done
	bench_fail "model 1 does not become whole on the fast disk"
}

# Opens that were native, gathered, cached, and bytes that the daemon read.
counters()
{
	[ "$peers" -eq 0 ] || return 0
	for counter in opens_native opens_gathered opens_cached read_bytes; do
		value=$(bench_stat "$mnt" $counter)
		printf '%d ' "${value:-0}"
	done
}

# native BEFORE AFTER: opens were native, none was otherwise, and the daemon read nothing
native()
{
	[ "$peers" -eq 1 ] || echo "$1 $2" | awk '{
		h = NF / 2
		for (i = 2; i <= h; i++)
			same += $i == $(i + h)
		exit !($(1 + h) > $1 && same == h - 1)
	}'
}

# pair_row NAME HOW TARGET ROUNDS MIB WARM [BACKING...]
pair_row()
{
	name=$1
	pair_how=$2
	target=$3
	shift 3
	before=$(counters)
	"$tool" pair "$pair_how" "$ours" "$plain" 1 "$@" >"$BENCH_WORK/samples" || bench_fail "'$name' did not run"
	bench_row "$name" rate GB/s "$target" "$BENCH_WORK/samples"
	[ "$peers" -eq 1 ] || holds "'$name' is native throughout: opens native, gathered, \
cached, bytes read are $before, then $(counters)" native "$before" "$(counters)"
}

row_b()
{
	bench_title "b  second load, native and cold, beside ext4 on the fast disk"
	n=$((8 * (size / 64)))
	set -- "$plain"
	[ "$peers" -eq 1 ] || set -- "$plain" "$nvme"/cache/copies/*
	for how in read map populate; do
		pair_row "b second load, $how" $how 0.97 "$n" 64 0 "$@"
	done
}

# Both sides in memory anew: ours by the pin, the other by reading it.
fill_memory()
{
	if [ "$peers" -eq 0 ]; then
		end
		"$tool" drop "$home/$(blob 1)" "$nvme"/cache/copies/*
		again $((size * 2))M
		"$tool" xattr "$ours" user.hearth.pin ram
		from=$(now)
		until_true 120 whole_in ram "$ours" || bench_fail "the model does not become whole in memory: $(in_tier ram "$ours")"
		place_say "in memory $(since "$from") s after the pin; held: used $(of_tier ram used), locked $(of_tier ram locked)," \
			"of a budget of $(of_tier ram budget)"
	fi
	"$tool" drop "$plain"
	"$tool" load read "$plain" 1 >/dev/null
}

# How fast a file in memory is mapped depends on the pieces of memory that it happened to get, by up to a factor of
# six: rounds are of as many fills, each of both sides.
row_c()
{
	bench_title "c  load from memory after the pin, beside the page cache; $fills fills of memory"
	for i in $(seq "$fills"); do
		fill_memory
		before=$(counters)
		for how in read map populate; do
			window=$size
			[ $how != read ] || window=16
			"$tool" pair $how "$ours" "$plain" 1 32 "$window" warm >>"$BENCH_WORK/third-$how" ||
				bench_fail "'$how' did not run"
		done
		[ "$peers" -eq 1 ] || holds "row c is native throughout: opens native, gathered, cached, bytes read are \
$before, then $(counters)" native "$before" "$(counters)"
	done
	for how in read map populate; do
		bench_row "c third load, $how" rate GB/s 0.97 "$BENCH_WORK/third-$how"
	done
}

load_rows()
{
	want $(seq "$blobs")
	begin $((blobs * size + 512)) 0
	case $rows in *a*) row_a ;; esac
	case $rows in *[bc]*) ;; *) end && return 0 ;; esac
	place_limit 0
	plain=$nvme/plain
	ours=$mnt/$(blob 1)
	[ "$peers" -eq 0 ] || ours=$plain
	[ -e "$plain" ] || "$tool" make "$plain" "$size" 1
	if [ "$peers" -eq 0 ] && [ "$have_cache" -eq 0 ]; then
		place_say "b: not measured, there is no cache"
	else
		fill_without_row_a
		case $rows in *b*) row_b ;; esac
	fi
	case $rows in *c*) ;; *) end && return 0 ;; esac
	if [ "$peers" -eq 0 ] && [ "$have_ram" -eq 0 ]; then
		place_say "c: not measured, there is no tier in memory"
	else
		row_c
	fi
	end
}
