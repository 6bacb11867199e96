#!/usr/bin/env bash
# hearth-run's command line on the demo model: texts, conversations, --json, --bench and the prompt cache.
# sanitized: yes
. "$(dirname "$0")/lib/e2e.sh"
e2e_need jq
model=contrib/demo-model/hearth-demo.gguf
run() { "$BUILD/hearth-run" -m "$model" --temp 0 "$@" 2>"$work/run.log"; }
same() { [[ "$1" == "$2" ]] || { printf '%s\n' "'$1'" "is not" "'$2'"; return 1; }; }
perf() { grep -Eo "$1 +[0-9]+ tokens" "$work/run.log" | grep -Eo '[0-9]+'; }

# ---- texts
start="Once upon a time, there was a"
text=$(run -p "$start" -n 24)
check "a text begins with its prompt" same "${text:0:${#start}}" "$start"
check "the same with the prompt in a file" same "$text" "$(printf '%s' "$start" >"$work/prompt"; run -f "$work/prompt" -n 24)"
check "without the prompt only what was made" same "$(run -p "$start" -n 24 --no-display-prompt)" "${text:${#start}}"
word=$(cut -d ' ' -f 9 <<<"$text")
check "a reverse prompt ends the text" same "$(run -p "$start" -n 24 -r "$word" --json | jq -r .stop)" word
check "as long as asked for" same "$(run -p "$start" -n 5 --json | jq -c '[.stop, .prompt_tokens > 0, .decoded_tokens]')" '["length",true,4]'
check "--json has the text that is printed" same "$(run -p "$start" -n 24 --json | jq -j .text)" "${text:${#start}}"
check "a text that breaks a character is JSON still" same "$(run --tokens 1,230 -n 3 --json | jq -r '.text | type')" string

# ---- conversations
talk() { printf 'A dragon came.\nWhat then?\n' | run -cnv -n 12 "$@"; }
check "two lines are two answers" same "$(talk --json | jq -r .stop)" length
turns=$(talk --perf | tr '\n' ' ')
check "the second turn goes on where the first ended" test "$(perf decode)" -gt 12
check "one turn with -st" same "${turns:0:20}" "$(printf 'A dragon came.\n' | run -st -n 12 | tr '\n' ' ' | cut -c 1-20)"
check "a prompt of -p is the first line" same "$(run -st -n 12 -p 'A dragon came.')" "$(printf 'A dragon came.\n' | run -st -n 12)"
refuse "a system message changes the answer" same "$(run -st -n 12 -p 'A dragon came.' -sys 'Be sad.')" "$(run -st -n 12 -p 'A dragon came.')"
says "an unknown template is named" 1 "template" "$BUILD/hearth-run" -m "$model" -st -p x --chat-template nosuch
check "no line, no answer" same "$(run -cnv -n 4 </dev/null)" ""

# ---- speeds
run --bench pp16,tg4@d8 --repetitions 2 >"$work/bench"
check "--bench has a row for each test" grep -Eq '^\| llama .* pp16 .*\+-' "$work/bench"
check "with its depth" grep -Eq 'tg4 @ d8 +\| +[0-9.]+ \+- [0-9.]+ +\| +[0-9.]+ \| +[0-9]+ % \|$' "$work/bench"
check "and the memory's speed" grep -Eq '^memory: [0-9.]+ GB/s read by [0-9]+ threads?; instructions: ' "$work/bench"

# ---- the prompt cache
cache=$work/cache
long="Once upon a time, there was a little dragon who lived on a hill"
plain=$(run -p "$long" -n 16)
check "a run that makes the cache prints the same" same "$(run -p "$long" -n 16 --prompt-cache "$cache" --perf)" "$plain"
n=$(perf prompt)
check "one that uses it too" same "$(run -p "$long" -n 16 --prompt-cache "$cache" --perf)" "$plain"
check "and evaluates nothing of $n tokens" same "$(perf prompt)" 0
longer="$long and"
plain=$(run -p "$longer" -n 16)
cp "$cache" "$work/before"
check "a longer prompt goes on from it" same "$(run -p "$longer" -n 16 --prompt-cache "$cache" --prompt-cache-ro --perf)" "$plain"
check "with few tokens to evaluate" test "$(perf prompt)" -lt "$n"
check "--prompt-cache-ro leaves it as it was" cmp "$cache" "$work/before"
check "another beginning is no matter" same "$(run -p "Lucy" -n 16 --prompt-cache "$cache")" "$(run -p "Lucy" -n 16)"
run -p "$long" -n 16 --prompt-cache "$cache" --prompt-cache-all >"$work/made"
whole=$(cat "$work/made")
run -p "$whole" -n 1 --prompt-cache "$cache" --prompt-cache-ro --perf >/dev/null
check "--prompt-cache-all keeps what was made" test "$(perf prompt)" -le 2
talk --prompt-cache "$cache" >"$work/a"
talk --prompt-cache "$cache" >"$work/b"
check "conversations are the same with it" cmp "$work/a" "$work/b"
check "and without" cmp "$work/a" <(talk)
head -c 100 "$cache" >"$work/cut"
says "a damaged cache is refused" 1 "$work/cut: is damaged" "$BUILD/hearth-run" -m "$model" -p x -n 1 --prompt-cache "$work/cut"
check "and stays" test "$(stat -c %s "$work/cut")" = 100
says "another KV type is refused" 1 'ctk' "$BUILD/hearth-run" -m "$model" -p x -n 1 -ctk f32 --prompt-cache "$cache"
says "a folder that is missing is said first" 1 "$work/none/cache: No such file" "$BUILD/hearth-run" -m "$model" -p x -n 1 --prompt-cache "$work/none/cache"
says "-ro wants a file" 1 'No such file' "$BUILD/hearth-run" -m "$model" -p x -n 1 --prompt-cache "$work/none" --prompt-cache-ro
says "-ro alone says what is missing" 2 'need the file' "$BUILD/hearth-run" -m "$model" -p x -n 1 --prompt-cache-ro
# ---- a budget
check "the same text within a budget" same "$(run -p "$start" -n 24 --ram-budget 40M --perf)" "$text"
check "--perf says what was held" grep -Eq 'budget  41\.9 MB, of that .* held, [0-9.]+ % of the model' "$work/run.log"
check "and what was read" grep -Eq 'stream  [0-9]+ passes, [0-9.]+ MB of weights read in each by (io_uring|threads)' "$work/run.log"
says "a budget that is too small says what works" 1 'a budget of 1\.0 MiB is too small: .* need [0-9.]+ MiB at least' \
	"$BUILD/hearth-run" -m "$model" -p x -n 1 --ram-budget 1M
least=$("$BUILD/hearth-run" -m "$model" -p x -n 1 --ram-budget 1M 2>&1 | grep -Eo 'need [0-9]+' | grep -Eo '[0-9]+')
check "and that works" "$BUILD/hearth-run" -m "$model" -p x -n 1 --ram-budget "$((least + 1))MiB"
check "the same with the weights of one layer" same "$(run -p "$start" -n 24 --max-loaded-layers 1 --stream-ahead 1 --perf)" "$text"
check "which is a budget as well" grep -Eq 'of that .* held, [0-9.]+ % of the model' "$work/run.log"
says "an order that is unknown" 2 'auto, batch and layer' "$BUILD/hearth-run" -m "$model" -p x -n 1 --prefill-order both
check "with none nothing is read" same "$(run -p "$start" -n 24 --ram-budget none --mlock --perf)" "$text"
check "and nothing said of a budget" test -z "$(grep budget "$work/run.log")"
# ---- what it would take
"$BUILD/hearth" estimate "$model" -c 256 --ram-budget 40M >"$work/estimate" 2>"$work/run.log"
check "an estimate says memory" grep -Eq '^  in all +[0-9.]+ MB' "$work/estimate"
check "and speed" grep -Eq '^predicted [0-9.]+ tokens/s, bound by ' "$work/estimate"
check "and what a prompt reads" grep -Eq '^  passes over the weights +[1-9]' "$work/estimate"
check "and other quantisations" grep -Eq '^  Q4_K_M ' "$work/estimate"
says "a run that would be too slow does not begin" 1 'tokens/s are predicted, fewer than the 1e?[0-9.]+ of --min-speed' \
	"$BUILD/hearth-run" -m "$model" -p x -n 1 --min-speed 100000000
check "one that is fast enough does" same "$(run -p "$start" -n 24 --min-speed 0.01)" "$text"
# ---- a KV cache on disk
mkdir "$work/kv"
check "the same text with the cache on disk" same "$(run -p "$start" -n 24 --kv-disk "$work/kv" --perf)" "$text"
check "--perf says it" grep -Eq 'cache   on disk, [0-9.]+ MB read' "$work/run.log"
check "and with guesses that are taken back" same "$(run -p "$start" -n 24 --kv-disk "$work/kv" --spec-type ngram-simple --spec-ngram-size-n 1)" "$text"
check "and nothing is left of it" test -z "$(ls "$work/kv")"
check "the same when it is to be kept" same "$(run -p "$start" -n 12 --kv-disk "$work/kv" --kv-keep >"$work/a"; run -p "$start" -n 24 --kv-disk "$work/kv" --kv-keep --perf)" "$text"
check "of the prompt one token was computed again at most" grep -Eq 'prompt  [01] tokens' "$work/run.log"
check "for its owner only" test "$(stat -c %a "$work"/kv/*)" = 600
says "no such folder" 1 "$work/none: the KV cache cannot be there: No such file" "$BUILD/hearth-run" -m "$model" -p x -n 1 --kv-disk "$work/none"
says "--kv-keep alone says what is missing" 2 'need the folder' "$BUILD/hearth-run" -m "$model" -p x -n 1 --kv-keep
says "no prompt cache beside it" 2 'with --kv-disk it is --kv-keep' "$BUILD/hearth-run" -m "$model" -p x -n 1 --kv-disk "$work/kv" --prompt-cache "$cache"
for size in 0 -5 x 5Q 1e99 ''; do
	says "'$size' is no size" 2 "cannot be '$size'" "$BUILD/hearth-run" -m "$model" -p x --ram-budget "$size"
done

# ---- speculation
tale="A boat. A boat. A boat. A boat. A boat."
text=$(run -p "$tale" -n 60)
check "the same text with n-grams looked up" same "$(run -p "$tale" -n 60 --spec-type ngram-simple --spec-ngram-size-n 2 --perf)" "$text"
check "--perf says what they were worth" grep -Eq 'drafts  [0-9]+ tokens, [0-9]+ accepted, [0-9.]+ %; [0-9]\.[0-9]+ tokens a pass$' "$work/run.log"
for type in map-k map-k4v mod; do
	check "the same with ngram-$type" same "$(run -p "$tale" -n 60 --spec-type "ngram-$type" --spec-ngram-size-n 1 --spec-ngram-size-m 2 \
		--spec-ngram-min-hits 2 --perf)" "$text"
	check "which guessed" grep -Eq 'drafts  [1-9][0-9]* tokens' "$work/run.log"
done
check "the same with the model for its own draft" same "$(run -p "$tale" -n 60 -md "$model" --perf)" "$text"
check "and all was right" grep -Eq 'drafts .* 100\.0 %; ([2-9]|1[0-9])\.[0-9]+ tokens a pass$' "$work/run.log"
check "the same with both, and a budget" same "$(run -p "$tale" -n 60 -md "$model" --spec-type ngram-simple,draft-simple --draft-p-min 0 --ram-budget 60M)" "$text"
drawn() { "$BUILD/hearth-run" -m "$model" -p "$tale" --temp 1.2 --seed 11 --repeat-penalty 1.1 "$@" 2>"$work/run.log"; }
for limit in 1 2 7 60 -1; do
	check "the same draws, -n $limit" same "$(drawn -n "$limit" -md "$model" --draft 5 --draft-p-min 0)" "$(drawn -n "$limit")"
done
check "the same end of a small context" same "$(drawn -c 40 -md "$model" --ignore-eos)" "$(drawn -c 40 --ignore-eos)"
word=$(drawn -n 60 --no-display-prompt | cut -d ' ' -f 7)
tail_of() { drawn -n 60 -r "$word" --json "$@" | jq -c '[.text, .stop, .decoded_tokens]'; }
check "the same end at a word, and the same JSON" same "$(tail_of -md "$model" --draft-p-min 0)" "$(tail_of)"
check "conversations are the same" same "$(talk -r "$word" -md "$model" --draft-p-min 0.2 --spec-type ngram-simple)" "$(talk -r "$word")"
mkfifo "$work/pipe"
"$BUILD/hearth-run" -m "$model" -p "$tale" -n -1 -c 200000 --ignore-eos --seed 1 -md "$model" --perf >"$work/pipe" 2>"$work/run.log" &
e2e_pids+=($!)
exec 3<"$work/pipe"
read -r -n 100 -u 3 _
kill -INT $!
cat <&3 >/dev/null
wait $!
check "a signal ends a text that is guessed" same $? 130
exec 3<&-
check "with what --perf says" grep -q 'drafts ' "$work/run.log"
rm -f "$cache"
drawn -n 30 --prompt-cache "$cache" --prompt-cache-all >"$work/a"
mv "$cache" "$work/before"
drawn -n 30 --prompt-cache "$cache" --prompt-cache-all -md "$model" --draft-p-min 0 >"$work/b"
check "so is the cache of the whole text" cmp "$cache" "$work/before"
bad() { local status=$1 pattern=$2; shift 2; says "refused: $*" "$status" "$pattern" "$BUILD/hearth-run" -m "$model" -p x -n 1 "$@"; }
bad 2 'spec-type is none, one of ngram-simple' --spec-type ngram-cache
bad 2 'spec-type is none, one of ngram-simple' --spec-type none,ngram-simple
bad 2 'spec-type is none, one of ngram-simple' --spec-type ngram-mod,ngram-simple
bad 2 'needs the draft model' --spec-type draft-simple
bad 2 'draft-min cannot be more' --spec-type ngram-simple --draft-min 17
bad 2 "cannot be '0'" --draft 0
bad 2 "cannot be '1.5'" --draft-p-min 1.5
bad 1 "$work/none.gguf: No such file" -md "$work/none.gguf"
bad 1 "a budget of $((least + 1)).0 MiB is too small: .* need" -md "$model" --ram-budget "$((least + 1))M"
bad 1 'a budget of 1.0 MiB is too small: .* alone needs' -md "$model" --ram-budget 1M
says "speculation is for texts" 2 'is for texts' "$BUILD/hearth-run" -m "$model" --bench tg4 --spec-type ngram-simple
check "a draft model that none asks for is not loaded" same "$(run -p "$tale" -n 5 -md "$work/none.gguf" --spec-type none)" "$(run -p "$tale" -n 5)"
LC_ALL=C sed 's/boat/bOat/' "$model" >"$work/other.gguf"
bad 1 'other.gguf cannot draft: its vocabulary is another, token [0-9]+ is not' -md "$work/other.gguf"
e2e_done
