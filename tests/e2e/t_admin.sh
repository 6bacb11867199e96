#!/usr/bin/env bash
# Asking the mount: extended attributes, .hearth, and the commands that read them.
# sanitized: yes
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse
e2e_need jq getfattr setfattr
home=$work/home mnt=$work/mnt mib=1048576

# ---- a store: blobs named by what they hold, manifests that name them ----
blob() {        # blob BYTES: sets digest
	head -c "$1" /dev/urandom >"$work/b"
	digest=$(sha256sum "$work/b" | cut -d ' ' -f 1)
	mv "$work/b" "$home/blobs/sha256-$digest"
}
manifest() {    # manifest PATH CONFIG-DIGEST CONFIG-BYTES MODEL-DIGEST MODEL-BYTES
	mkdir -p "$home/manifests/$(dirname "$1")"
	printf '{"schemaVersion":2,"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:%s","size":%s}]}' \
		"$2" "$3" "$4" "$5" >"$home/manifests/$1"
}
mkdir -p "$home/blobs"
blob 561; config=$digest
blob $((5 * mib + 100)); tiny=$digest
blob $((3 * mib)); hub=$digest
manifest registry.ollama.ai/library/tiny/1b "$config" 561 "$tiny" $((5 * mib + 100))
manifest registry.ollama.ai/me/mine/latest "$config" 561 "$tiny" $((5 * mib + 100))
manifest hf.co/some/Model-GGUF/Q4_K_M "$config" 561 "$hub" $((3 * mib))
manifest registry.ollama.ai/library/gone/latest "$config" 561 "${config//?/0}" 12345
mkdir -p "$home/manifests/registry.ollama.ai/library/broken"
echo '{"layers": [' >"$home/manifests/registry.ollama.ai/library/broken/latest"
truncate -s $((8 * mib)) "$home/blobs/sparse"
printf x | dd of="$home/blobs/sparse" bs=1 seek=$((3 * mib + 5)) conv=notrunc status=none
setfattr -n user.mine -v kept "$home/blobs/sparse"
setfattr -n user.hearth.sly -v x "$home/blobs/sparse"         # somebody's, under a name that is ours
e2e_mount "$home" "$mnt" || exit 1
file=$mnt/blobs/sha256-$tiny
xattr() { getfattr --only-values --absolute-names -n "user.hearth.$1" "$2"; }

# ---- extended attributes ----
cat "$file" >/dev/null
says 'tier of a file' 0 "^ram=$((5 * mib + 100)) home=$((5 * mib + 100))$" xattr tier "$file"
says 'map of a file' 0 '^0 6 ram\+home$' xattr map "$file"
says 'map: its head' 0 '^extent 1048576 count 6$' xattr map "$file"
sync -f "$home"         # allocated when written back
says 'map of a sparse file' 0 '^3 1 (ram\+)?home$' xattr map "$mnt/blobs/sparse"
says 'map: holes' 0 '^0 3 none$' xattr map "$mnt/blobs/sparse"
says 'tier of a sparse file' 0 'home=4096$' xattr tier "$mnt/blobs/sparse"
says 'tier of a directory' 0 "home=$((8 * mib + 100 + 561 + 4096))$" xattr tier "$mnt/blobs"
says 'tier of the root' 0 '^ram=[0-9]+ home=[0-9]+$' xattr tier "$mnt"
says 'verified' 0 '^never$' xattr verified "$file"
says 'stats of the root' 0 '^true$' bash -c "getfattr --only-values --absolute-names -n user.hearth.stats '$mnt' | jq 'has(\"counters\") and has(\"native\")'"
says 'stats of a file: none' 1 'No such attribute' xattr stats "$file"
says 'map of a directory: none' 1 'No such attribute' xattr map "$mnt/blobs"
says 'an unknown one: none' 1 'No such attribute' xattr frobs "$file"
says 'the map as a file' 0 '^0 6 ram\+home$' cat "$mnt/.hearth/map/$(stat -c %i "$file")"
says 'the map of nothing' 1 'No such file' cat "$mnt/.hearth/map/999999999"
check 'none is listed' bash -c "! getfattr -d -m - --absolute-names '$file' '$mnt' '$mnt/blobs' '$mnt/blobs/sparse' 2>&1 | grep 'user[.]hearth'"
says 'a file'\''s own is' 0 '^user.mine="kept"$' getfattr -d --absolute-names "$mnt/blobs/sparse"
for a in pin warm verified; do
	says "user.hearth.$a takes no nonsense" 1 'Invalid argument' setfattr -n "user.hearth.$a" -v x "$file"
done
check 'a pin that is not there can be removed' setfattr -x user.hearth.pin "$file"
for a in warm verified; do
	says "user.hearth.$a is not removable" 1 'Operation not permitted' setfattr -x "user.hearth.$a" "$file"
done
for a in tier map stats heat why frob; do
	says "user.hearth.$a is not writable" 1 'Operation not permitted' setfattr -n "user.hearth.$a" -v x "$file"
	says "user.hearth.$a is not removable" 1 'Operation not permitted' setfattr -x "user.hearth.$a" "$file"
done
for a in trusted.x security.x system.x; do
	says "$a is not supported" 1 'not supported' setfattr -n $a -v x "$file"
	says "$a cannot be read" 1 'not supported|No such attribute' getfattr -n $a "$file"
done
check 'own attributes can be set' setfattr -n user.other -v 5 "$file"
says 'and lie on home' 0 '="5"$' getfattr --absolute-names -n user.other "$home/blobs/sha256-$tiny"
check 'and removed' setfattr -x user.other "$file"
check 'cp -a does not meet ours' bash -c "cp -a '$mnt/blobs' '$work/copy' && ! getfattr -d -m - -R --absolute-names '$work/copy' | grep 'user[.]hearth'"
check 'cp -a brings the others' bash -c "getfattr -d --absolute-names '$work/copy/sparse' | grep -q mine"
if command -v rsync >/dev/null; then
	check 'rsync -X does not meet ours' bash -c "rsync -aX '$mnt/' '$work/rsynced/' && ! getfattr -d -m - -R --absolute-names '$work/rsynced' | grep 'user[.]hearth' && test ! -e '$work/rsynced/.hearth'"
else
	skip 'rsync -X: rsync is not installed'
fi

# ---- .hearth ----
check 'stats is JSON' jq -e '.mountpoint == $m and .home == $h and (.counters | length) >= 10' --arg m "$mnt" --arg h "$home" "$mnt/.hearth/stats"
says 'the daemon is who it says' 0 "^$e2e_daemon$" jq .pid "$mnt/.hearth/stats"
check '.hearth is not listed' bash -c "! ls -A '$mnt' | grep -q hearth"
says '.hearth lists what it has' 0 '^events map metrics plan stats trace $' bash -c "ls '$mnt/.hearth' | tr '\n' ' '"
says '.hearth is a directory nobody writes' 0 '^dr-xr-xr-x' stat -c %A "$mnt/.hearth"
says "a user.hearth name of home's is not answered" 1 'No such attribute' xattr sly "$mnt/blobs/sparse"
check 'find does not meet it' bash -c "! find '$mnt' | grep -q '/\.hearth'"
for c in "touch '$mnt/.hearth/x'" "mkdir '$mnt/.hearth/x'" "ln -s x '$mnt/.hearth/x'" "mkfifo '$mnt/.hearth/x'" \
	 "ln '$file' '$mnt/.hearth/x'" "mv '$mnt/blobs/sparse' '$mnt/.hearth/x'" "mv '$mnt/blobs/sparse' '$mnt/.hearth'" \
	 "mv -T '$mnt/blobs' '$mnt/.hearth'" "mv '$mnt/.hearth' '$mnt/seen'" "mv '$mnt/.hearth/stats' '$mnt/seen'" \
	 "rm '$mnt/.hearth/stats'" "rmdir '$mnt/.hearth'" "mkdir '$mnt/.hearth'" "echo x >'$mnt/.hearth/stats'" \
	 "echo x >>'$mnt/.hearth/metrics'" "truncate -s 0 '$mnt/.hearth/stats'" "chmod 777 '$mnt/.hearth'" \
	 "chown 1 '$mnt/.hearth/stats'" "touch '$mnt/.hearth/stats'" "setfattr -n user.x -v 1 '$mnt/.hearth'" \
	 "ln '$mnt/.hearth/stats' '$mnt/seen'"; do
	refuse "refused: ${c//$work\//}" bash -c "$c"
done
check 'home has none of it' bash -c "test ! -e '$home/.hearth' && test ! -e '$home/seen' && test -e '$home/blobs/sparse'"
mkdir "$home/.hearth"; echo secret >"$home/.hearth/file"
sleep 1.2       # names are good for one second
refuse "home's own .hearth is hidden" cat "$mnt/.hearth/file"
check 'and ours still answers' jq -e .pid "$mnt/.hearth/stats"
rm -r "$home/.hearth"

# OpenMetrics: TYPE, then HELP, then samples of that family; counters end in _total; labels are quoted; "# EOF" last
cat >"$work/metrics.awk" <<'EOF'
function bad(why) { print NR ": " why ": " $0; wrong = 1 }
eof { bad("after # EOF") }
/^# EOF$/ { eof = 1; next }
/^# TYPE / {
	if (NF != 4 || ($3 in type)) bad("TYPE")
	if ($4 !~ /^(counter|gauge|info)$/) bad("type")
	if (family != "" && samples == 0) bad("a family without samples before")
	family = $3; type[family] = $4; samples = 0; helped = 0; next
}
/^# HELP / { if ($3 != family || helped || samples) bad("HELP"); helped = 1; next }
/^#/ { bad("comment"); next }
{
	if (!match($0, /^[a-z_]+(\{[a-z_]+="[^"\\]*"(,[a-z_]+="[^"\\]*")*\})? [0-9]+$/)) { bad("syntax"); next }
	name = $0; sub(/[{ ].*/, "", name)
	series = $0; sub(/ [0-9]+$/, "", series)
	if (series in seen) bad("twice")
	seen[series] = 1; samples++
	want = family (type[family] == "counter" ? "_total" : type[family] == "info" ? "_info" : "")
	if (name != want) bad("not of family " family " (" type[family] ")")
}
END { if (!eof) { print "no # EOF"; wrong = 1 } if (length(seen) < 10) { print "too few series"; wrong = 1 } exit wrong }
EOF
check 'metrics are OpenMetrics' awk -f "$work/metrics.awk" "$mnt/.hearth/metrics"
refuse 'the checker sees a missing EOF' bash -c "sed '\$d' '$mnt/.hearth/metrics' | awk -f '$work/metrics.awk'"
refuse 'the checker sees a counter without _total' bash -c "sed 's/_total//' '$mnt/.hearth/metrics' | awk -f '$work/metrics.awk'"
check 'counters are those of stats' bash -c "test \"\$(awk '\$1 == \"hearth_seals_total\" {print \$2}' '$mnt/.hearth/metrics')\" = \"\$(jq .counters.seals '$mnt/.hearth/stats')\""

# ---- commands ----
says 'status' 0 "^mount +$mnt \(hearth .*process $e2e_daemon\)" "$HEARTH" status "$mnt"
check 'status --json' bash -c "'$HEARTH' status --json '$mnt/blobs' | jq -e '.pid == $e2e_daemon'"
"$HEARTH" ls "$mnt" >"$work/ls" 2>"$work/ls.err"
says 'ls: a model' 0 '^tiny:1b +5\.2 MB +2 +5\.2 MB +5\.2 MB$' cat "$work/ls"
says 'ls: of a user' 0 '^me/mine:latest +5\.2 MB ' cat "$work/ls"
says 'ls: of another host' 0 '^hf\.co/some/Model-GGUF:Q4_K_M +3\.1 MB +2 ' cat "$work/ls"
says 'ls: a missing blob' 0 '^gone:latest .*1 blobs? (is|are) missing' cat "$work/ls"
check 'ls: a broken manifest is left out' bash -c "! grep -q '^broken' '$work/ls'"
says 'ls: and named' 0 "broken/latest' is no manifest: line" cat "$work/ls.err"
"$HEARTH" ls --json "$mnt" >"$work/ls.json" 2>/dev/null
check 'ls --json' jq -e 'map({(.name): .}) | add | length == 4 and ."gone:latest".missing == 1 and ."tiny:1b".tiers.home == 5243541 and ."tiny:1b".bytes == 5243541 and (."tiny:1b".blobs | length == 2)' "$work/ls.json"
check 'ls is in order of names' bash -c "jq -r '.[].name' '$work/ls.json' | LC_ALL=C sort -c"
"$HEARTH" doctor "$mnt" >"$work/doctor"; rc=$?
check 'doctor: each line is ok or !!' bash -c "! grep -Ev '^(ok  |!!  ) [^ ]' '$work/doctor'"
check 'doctor: its status' test "$rc" = "$(grep -q '^!!' "$work/doctor" && echo 1 || echo 0)"
for what in kernel libfuse /dev/fuse passthrough read-ahead max_map_count user_allow_other permissions 'free space' \
	    swap 'hugetlb pages'; do
	says "doctor looks at $what" 0 "^(ok|!!) +$what " cat "$work/doctor"
done
check 'doctor --json' bash -c "'$HEARTH' doctor --json '$mnt' | jq -e 'length >= 11 and all(has(\"what\") and has(\"ok\") and has(\"text\"))'"

# hearth run: the file of the weights, given to the hearth-run beside it
mkdir "$work/bin"
cp "$HEARTH" "$work/bin/hearth"
printf '#!/bin/sh\nprintf "%%s|" "$@"\n' >"$work/bin/hearth-run"; chmod +x "$work/bin/hearth-run"
# a name is looked for on the only mount there is: in a namespace without the others that may be there
cat >"$work/alone" <<'EOF'
#!/bin/bash
mine=$1; shift
awk '/ - fuse.hearth / {print $5}' /proc/self/mountinfo | while read -r m; do [[ $m == "$mine" ]] || umount -l "$m"; done
exec "$@"
EOF
if unshare -m true 2>/dev/null; then
	alone() { unshare -m --propagation private bash "$work/alone" "$mnt" "$work/bin/hearth" "$@"; }
	run() { says "run $1" 0 "^-m\|$2\|\$" alone run "${@:3}"; }
	run 'a name' "$mnt/blobs/sha256-$tiny\|-p\|Once upon" tiny:1b 'Once upon'
	run 'a name of hf.co' "$mnt/blobs/sha256-$hub" hf.co/some/Model-GGUF:Q4_K_M
	run 'with options' "$mnt/blobs/sha256-$tiny\|-p\|x\|-n\|5\|--temp\|0" me/mine x -n 5 --temp 0
	run 'a digest' "$mnt/blobs/sha256-$hub" "sha256:$hub"
	says 'run an unknown name' 1 "no model 'nothere' on '$mnt'; 'hearth ls' lists them" alone run nothere
	says 'run a broken manifest' 1 'is no manifest' alone run broken
	says 'status of the only mount' 0 "^mount +$mnt " alone status
	says 'ls of the only mount' 0 '^tiny:1b ' alone ls
else
	skip 'run by name: unshare -m does not work here'
fi
says 'run a path' 0 "^-m\|$file\|-p\|hi\|$" "$work/bin/hearth" run "$file" hi
says 'run without a model' 2 'usage: hearth run' "$HEARTH" run
if e2e_umount "$mnt"; then ok 'unmounts'; else failed 'unmounts'; fi
e2e_done
