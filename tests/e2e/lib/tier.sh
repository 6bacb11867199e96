# tier.sh - what the e2e tests of tiering share; sourced after e2e.sh.
#
#     tier_blob HOME SIZE          a blob of random bytes, named by them: sets blob, its name; a copy is in $ref/NAME
#     tier_wait WHAT COMMAND...    until the command succeeds, two minutes at most: a check of its own
#     hold WORDS...                a command for hold_open (tests/e2e/hold_open.c); its answer is in $work/answer
#
# Clients read with cat and dd: those are no scans, while cmp and sha256sum are.
# shellcheck shell=bash disable=SC2154

ref=$work/ref
mib=1048576
mkdir -p "$ref"

tier_blob() {
	mkdir -p "$1/blobs"
	head -c "$2" /dev/urandom >"$work/new"
	blob=sha256-$(sha256sum "$work/new" | cut -d ' ' -f 1)
	cp "$work/new" "$ref/$blob"
	mv "$work/new" "$1/blobs/$blob"
}

xattr() { getfattr --only-values --absolute-names -n "user.hearth.$1" "$2"; }
order() { setfattr -n "user.hearth.$1" -v "$2" "$3"; }          # order pin|warm|verified VALUE FILE

# A figure of a tier: state MNT nvme used
state() { jq -r ".tiers[] | select(.name == \"$2\") | .$3" "$1/.hearth/stats"; }

# Bytes of a file on a tier.
held() { xattr tier "$2" | tr ' ' '\n' | sed -n "s/^$1=//p"; }
whole_on() { [[ $(held "$1" "$2") == "$(stat -c %s "$2")" ]]; }
none_on() { [[ $(held "$1" "$2") == 0 ]]; }

# How many events of a type there are, of a blob when its name is given.
events() { jq -s "[.[] | select(.type == \"$2\" and (.blob // \"\" | endswith(\"${3:-}\")))] | length" "$1/.hearth/events"; }
has_event() { [[ $(events "$@") -gt 0 ]]; }

tier_until() {
	local i
	for ((i = 0; i < 2400; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.05              # waits for the daemon; nothing is measured
	done
	echo "not within two minutes: $*"
	return 1
}
tier_wait() {
	local what=$1
	shift
	check "$what" tier_until "$@"
}

# A client's load, byte for byte.
loads() { cat "$1" | cmp - "$2"; }

# More opens of that kind than before?  opened MNT native BEFORE
opened() { [[ $(e2e_stat "$1" "opens_$2") -gt $3 ]]; }
# loads_as MNT native|gathered FILE REF
loads_as() {
	local before
	before=$(e2e_stat "$1" "opens_$2")
	loads "$3" "$4" || return 1
	opened "$1" "$2" "$before" || { echo "not opened $2"; return 1; }
}

# What lies in a cache, by content: nothing of hearth's may change a copy in place.
copies_sum() { (cd "$1/copies" && sha256sum -- * 2>/dev/null | sort); }

# Fill it by reading, past the page cache, in more than one tick: one touch is not enough for a disk.
tier_reads() {  # tier_reads TIER FILE
	whole_on "$1" "$2" && return
	dd if="$2" of=/dev/null bs=1M iflag=direct status=none
	sleep 0.2
	false
}
fill() { tier_until tier_reads "$1" "$2"; }

hold_start() {
	coproc HOLDER { exec "$tools/hold_open"; }
	e2e_pids+=("$HOLDER_PID")
	exec 7>&"${HOLDER[1]}" 8<&"${HOLDER[0]}"
}
hold() {
	local answer=
	echo "$*" >&7
	read -r -t 60 answer <&8
	echo "$answer" >"$work/answer"
	[[ $answer == ok* ]] || { echo "$* -> $answer"; return 1; }
}
