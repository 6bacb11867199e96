# model.sh - rows e and g: whole models that take turns on a fast disk that does not hold them all.

letters=abcdefghijklmnopqrstuvwxyz

# load_model N: load it, then wait until the copies that this started are done; adds to $loads, $hit_mib and $seconds
load_model()
{
	model=$mnt/$(blob "$1")
	found=$(($(in_tier nvme "$model") / 1048576))
	value=$("$tool" load read "$model" "$1") || bench_fail "model $1 cannot be read"
	loads=$((loads + 1))
	hit_mib=$((hit_mib + found))
	place_still
}

# held_in_all: MiB of each model on the fast disk
held_in_all()
{
	for n in $models; do
		printf '%d ' $(($(in_tier nvme "$mnt/$(blob "$n")") / 1048576))
	done
}

# Until the fast disk holds the same three times in a row.
place_still()
{
	same=0
	last=
	tries=150
	while [ $same -lt 3 ] && [ $tries -gt 0 ]; do
		sleep 0.2
		is=$(held_in_all)
		if [ "$is" = "$last" ]; then same=$((same + 1)); else same=0; fi
		last=$is
		tries=$((tries - 1))
	done
}

# What came to the fast disk between two states, MiB.
arrived()
{
	echo "$1 $2" | awk '{ for (i = 1; i <= NF / 2; i++) if ($(i + NF / 2) > $i) n += $(i + NF / 2) - $i; print n + 0 }'
}

can_move()
{
	[ "$peers" -eq 0 ] && [ "$have_cache" -eq 1 ] && return 0
	place_say "$1: not measured, there is no cache"
	return 1
}

model_rows()
{
	can_move e || return 0
	sequence=aabcabcabcabcabc
	models="1 2 3"
	loads=0
	hit_mib=0
	moved=0
	bench_title "e  loads of $sequence, $size MiB each, where the fast disk holds two"
	want $models
	place_limit "$slow"
	begin $((2 * size + size / 8)) 0
	before=$(held_in_all)
	for letter in $(echo "$sequence" | sed 's/./& /g'); do
		load_model $(($(echo "$letters" | awk -v l="$letter" '{ print index($0, l) }')))
		moved=$((moved + $(arrived "$before" "$last")))
		before=$last
	done
	set -- $("$tool" optimum 2 "$sequence")
	place_say "held: $(held_in_all)MiB; the tier says: fills $(of_tier nvme fills), drops $(of_tier nvme drops)," \
		"used $(of_tier nvme used); LRU would have had $4 hits and $5 moves"
	printf 'ours %s\nother %s\n' "$(awk -v h="$hit_mib" -v s="$size" -v n="$loads" 'BEGIN { print h / s / n }')" \
		"$(awk -v h="$2" -v n="$1" 'BEGIN { print h / n }')" >"$BENCH_WORK/samples"
	bench_row "e hits, optimum" rate hits/ld "" "$BENCH_WORK/samples"
	printf 'ours %s\nother %s\n' "$(awk -v m="$moved" -v s="$size" 'BEGIN { print m / s }')" $(($3 + 1)) >"$BENCH_WORK/samples"
	bench_row "e moves, optimum's and one" time models 1 "$BENCH_WORK/samples"
	end
}

flip_rows()
{
	can_move g || return 0
	models="1 2"
	loads=0
	hit_mib=0
	bench_title "g  six loads of one model, then another's again and again, where the fast disk holds one"
	want $models
	place_limit "$slow"
	begin $((size + size / 8)) 0
	for n in 1 2 3 4 5 6; do
		load_model 1
	done
	place_say "held before the change: ${last}MiB"
	from=$(now)
	loads=0
	least=
	found=0
	while :; do
		load_model 2
		took=$(since "$from")
		least=${least:-$took}
		[ $((found * 10)) -lt $((size * 9)) ] || break
		if [ "${took%.*}" -ge "$flip_limit" ]; then
			holds "90 % of the new model come from the fast disk within $flip_limit s: $found of $size MiB do" false
			for n in $models; do
				"$bench_hearth" why "$mnt/$(blob "$n")"
			done
			break
		fi
	done
	printf 'ours %s\nother %s\n' "$took" "$least" >"$BENCH_WORK/samples"
	place_say "$loads loads; the other is the first of them, after which the best policy has it there"
	bench_row "g time to 90 %, one load" time s "" "$BENCH_WORK/samples"
	end
}
