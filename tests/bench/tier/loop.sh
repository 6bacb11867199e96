# loop.sh - row d: a model larger than the memory for it, read by one mapping from beginning to end, again and again.

# The part that stays in memory, MiB: what the tier says it holds locked, or else holds.
loop_held()
{
	held=
	if [ "$have_ram" -eq 1 ]; then
		held=$(of_tier ram locked)
		[ "${held:-0}" -gt 0 ] || held=$(of_tier ram used)
		held=$((${held:-0} / 1048576))
	fi
}

# loop_values SIDE COLUMN: of the passes that count
loop_values()
{
	awk -v side="$1" -v column="$2" '$1 >= 4 && $2 == side { print $column }' "$BENCH_WORK/passes"
}

loop_say()
{
	for side in ours other; do
		awk -v side=$side '$2 == side { s = s " " sprintf("%.2f", $3) } END { printf "%5s, s:%s\n", side, s }' "$BENCH_WORK/passes"
	done
	place_say "before a pass $(loop_values ours 4 | median) MiB of ours were in memory, $(loop_values other 4 | median) MiB" \
		"of the other; a pass fetched $(loop_values ours 5 | median) and $(loop_values other 5 | median) MiB" \
		"${held:+; the tier holds $held MiB}"
}

# A pass is as long as the missing part takes from the disk and the rest from memory.  Without a tier that says what it
# holds, the missing part is what was fetched.
loop_predicted()
{
	missing=$(loop_values ours 5 | median)
	[ -z "$held" ] || missing=$((loop_size - held))
	predicted=$(awk -v missing="$missing" -v size="$loop_size" -v device="$device" -v rate="$map_rate" \
		'BEGIN { printf "%.4f", (missing / device + (size - missing) / rate) * 1048576e-9 }')
	place_say "predicted: $missing MiB / $device GB/s + $(awk -v a="$loop_size" -v b="$missing" 'BEGIN { print a - b }') MiB" \
		"/ $map_rate GB/s"
	loop_values ours 3 | awk -v predicted="$predicted" '{ print "ours", $1; print "other", predicted }' >"$BENCH_WORK/samples"
	bench_row "d ours beside predicted ($speed)" time s 0.909 "$BENCH_WORK/samples"
}

# loop_speed MB_PER_S TARGET PASSES
loop_speed()
{
	place_limit "$1"
	[ "$1" -eq 0 ] || [ "$limit" -ne 0 ] || return 0        # said already: no limit can be had
	"$tool" drop "$home/loop" "$disk/loop"
	device=$(for n in 1 2 3; do
		sleep 0.3
		"$tool" device "$disk/loop" $((n * loop_size / 4)) $((loop_size / 8))
	done | median)
	if ! place_memory ours "$loop_memory" || { ours_procs=$place_procs && ! place_memory other "$loop_memory"; }; then
		place_say "d: not measured, no control group limits memory"
		return 0
	fi
	mount_procs=$ours_procs
	begin 0 "${loop_memory}M"
	"$tool" loop "$mnt/loop" "$disk/loop" 77 "$ours_procs" "$place_procs" "$home/loop" "$disk/loop" "$3" \
		>"$BENCH_WORK/passes" || bench_fail "a reader ended"
	loop_held
	end
	for g in $place_memories; do
		place_remove "$g"
	done
	place_memories=
	awk '$1 >= 4 { print $2, $3 }' "$BENCH_WORK/passes" >"$BENCH_WORK/samples"
	bench_row "d loop over 1.33x ($speed)" time s "$2" "$BENCH_WORK/samples"
	loop_predicted
	loop_say
}

loop_rows()
{
	bench_title "d  a pass over $loop_size MiB in $loop_memory MiB, passes from the fourth on, beside ext4"
	mkdir -p "$home"
	for f in "$home/loop" "$disk/loop"; do
		[ -e "$f" ] || "$tool" make "$f" "$loop_size" 77 || bench_fail "no model"
	done
	map_rate=$(place_limit 0 && "$tool" map-rate "$disk/loop" 77 1024)
	loop_speed "$slow" 3 6
	loop_speed 500 3 8
	loop_speed 0 2 12
	place_limit "$slow"
	rm -f "$home/loop" "$disk/loop"
}
