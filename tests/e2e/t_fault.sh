#!/usr/bin/env bash
# Every call that the daemon makes on home fails once, at the n-th, while a client does what a pull does:
# the client gets the error, nothing that it was told is done is lost, and the next request is served.
# sanitized: yes
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse

bytes=200000
cat >"$work/hearth-faulty" <<EOF
#!/bin/sh
exec "$tools/hearth-fault" "@$work/fault" "\$@"
EOF
chmod +x "$work/hearth-faulty"
HEARTH=$work/hearth-faulty

# moved there, so that the daemon sees it before its next call
arm() { echo "$1" >"$work/fault.new"; mv "$work/fault.new" "$work/fault"; }
fired() { grep -c '^fault: ' "$work/hearth.log"; }

# after STEP: is everything on home that the client was told?  A file that was closed lies whole under
# its old or its new name, whatever the rename said.
kept() {
	local out=$1 tag=$2 hex blob
	hex=$(printf '%064x' "$tag"); blob=$work/home/blobs/sha256-$hex
	if grep -q '^ack rename' "$out"; then
		"$tools/pull_like" --check "$blob" "$tag" $bytes || return 1
	elif grep -q '^ack close-blob' "$out"; then
		"$tools/pull_like" --check "$blob" "$tag" $bytes >/dev/null ||
			"$tools/pull_like" --check "$blob-partial" "$tag" $bytes || return 1
	fi
	if grep -q '^ack close-manifest' "$out"; then
		"$tools/pull_like" --check "$work/home/manifests/registry.ollama.ai/library/m/$tag" $((tag + 1000000)) 300
	fi
}

# loop FORM ERRNO-NAME NUMBER: n = 0.. until the flow needs fewer calls than n
tag=0
loop() {
	local form=$1 name=$2 number=$3 n before out=$work/out told=0
	for ((n = 0; n < 2000; n++)); do
		tag=$((tag + 1))
		before=$(fired)
		arm "any:$n$form:$name"
		"$tools/pull_like" "$work/mnt" $tag $bytes >"$out"
		arm count
		if ! kill -0 "$e2e_daemon" 2>/dev/null; then failed "$name at call $n: the daemon died"; return 1; fi
		if ! kept "$out" $tag >"$work/why"; then
			failed "$name at call $n: acknowledged and lost"; cat "$out" "$work/why"; return 1
		fi
		if grep -q '^errno' "$out"; then
			told=$((told + 1))
			if ! grep -q "^errno $number " "$out"; then failed "$name at call $n is told as another"; cat "$out"; return 1; fi
		fi
		# what makes names or bytes durable, or changes them, never fails in silence
		if [[ $(fired) != "$before" ]] && tail -n 1 <(grep '^fault: ' "$work/hearth.log") | grep -Eq '^fault: (fsync|pwrite|rename|mknod) ' &&
		   ! grep -q '^errno' "$out"; then
			failed "$name at call $n: nobody was told"; cat "$out"; grep '^fault: ' "$work/hearth.log" | tail -n 1; return 1
		fi
		if ! "$tools/pull_like" --check "$work/mnt/first" 0 $bytes || ! "$tools/pull_like" "$work/mnt" $((tag + 500000)) 5000 >"$out"; then
			failed "$name at call $n: the next request fails"; cat "$out"; return 1
		fi
		[[ $(fired) != "$before" ]] || break
	done
	if [[ $n -gt 10 && $told -gt 5 ]]; then ok "$name$form at each of $n calls, $told times told"; else failed "$name: only $n calls, $told told"; fi
}

mkdir -p "$work/home/blobs" "$work/home/manifests/registry.ollama.ai/library/m"
"$tools/pull_like" "$work/home" 0 $bytes >/dev/null && mv "$work/home/blobs/sha256-$(printf '%064x' 0)" "$work/home/first"
for native in auto off; do
	echo "note native=$native"
	arm count
	e2e_mount "$work/home" "$work/mnt" --native=$native || exit 1
	loop '' EIO 5
	loop + EIO 5
	loop '' ENOSPC 28
	if e2e_umount "$work/mnt"; then ok "unmounts"; else failed "unmounts"; fi
done

# the same while starting: it mounts, or says why not in one line
for ((n = 0; n < 50; n++)); do
	arm "any:$n:EIO"; before=$(fired)
	timeout 20 "$HEARTH" mount --foreground --home "$work/home" "$work/mnt" 2>>"$work/hearth.log" &
	e2e_daemon=$!
	while kill -0 $e2e_daemon 2>/dev/null && ! grep -q " $work/mnt .* - fuse.hearth " /proc/self/mountinfo; do sleep 0.02; done
	if grep -q " $work/mnt .* - fuse.hearth " /proc/self/mountinfo; then
		arm count
		"$tools/pull_like" --check "$work/mnt/first" 0 $bytes >/dev/null || failed "start with call $n failing: mounted but not serving"
		umount "$work/mnt"
		wait $e2e_daemon
		[[ $(fired) != "$before" ]] || break
	else
		wait $e2e_daemon && failed "start with call $n failing: no mount, and exit 0"
		tail -n 1 "$work/hearth.log" | grep -q 'cannot start: Input/output error' || failed "start with call $n failing: no reason"
	fi
done
[[ $n -ge 2 ]] && ok "start-up with each of $n calls failing"
e2e_done
