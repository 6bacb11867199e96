# models.sh - generated models of each type, and llama.cpp; sourced after lib.sh by the benches of the runner.
#
#	get_peer                                llama.cpp is there, or the bench ends
#	peer PROGRAM ARG...                     run one of its programs in $models
#	of FILE PATTERN COLUMN                  a number of that row of what --bench printed to $BENCH_WORK/FILE, the last of them
#	get_model TYPE                          $models/TYPE.gguf: Q4_K_M and so on, MOE for the mixture, KV for a wide cache
#
# llama.cpp is taken from LLAMA_DIR, or unpacked by ../shared/oracle/llama-cpp into the build folder; without either
# there is nothing to measure against, and the bench says so.  TRACE names a recorded router's choices.
tool=$BUILD/tests/runner_bench
oracle=../shared/oracle/llama-cpp
trace=${TRACE:-../shared/traces/moe-qwen3-30b.route}
models=$BUILD/bench/models
llama=${LLAMA_DIR:-$BUILD/bench/llama-cpp}
here=$PWD
case $models in /*) ;; *) models=$here/$models ;; esac
case $llama in /*) ;; *) llama=$here/$llama ;; esac
mkdir -p "$models"

peer()
{
	(cd "$models" && "$here/$oracle" run "$llama" "$@")
}

of()
{
	awk -F '|' -v pattern="$2" -v column="$3" '$5 ~ pattern { split($column, v, "+"); n = v[1] + 0 } END { print n + 0 }' \
		"$BENCH_WORK/$1"
}

get_peer()
{
	[ -x "$oracle" ] || bench_fail "no llama.cpp to compare with: $oracle is not there"
	[ -d "$llama/usr" ] || "$oracle" get "$llama" >/dev/null || bench_fail "llama.cpp cannot be had"
}

# The mixture, with the shares of every eighth of the trace's 48 layers.
get_mixture()
{
	[ -r "$trace" ] || bench_fail "no trace of a router: $trace is not there; leave MOE out with TYPES="
	awk -F, '!/^#/ && $4 % 8 == 0 && $6 ~ /^[0-9]/ { n[$4]++; chosen[$4, $6]++ }
		END { for (l = 0; l < 48; l += 8) for (e = 0; e < 128; e++) print chosen[l, e] / n[l] }' "$trace" >"$BENCH_WORK/shares"
	"$tool" moe "$models/mixture" "$BENCH_WORK/shares" && peer llama-quantize mixture new Q4_K_M >/dev/null 2>&1 &&
		mv "$models/new" "$models/MOE.gguf" || bench_fail "no mixture"
	rm "$models/mixture"
}

# get_model TYPE: its file in $models
get_model()
{
	[ ! -e "$models/$1.gguf" ] || return 0
	if [ "$1" = MOE ]; then
		get_mixture
		return
	fi
	if [ "$1" = KV ]; then
		"$tool" kv "$models/new" && mv "$models/new" "$models/KV.gguf" || bench_fail "no model"
		return
	fi
	if [ ! -e "$models/F16.gguf" ]; then
		"$tool" dense "$models/new" && mv "$models/new" "$models/F16.gguf" || bench_fail "no model"
	fi
	case $1 in
	F16) return 0 ;;
	MXFP4) peer llama-quantize --tensor-type '.*=mxfp4' F16.gguf new Q8_0 >/dev/null 2>&1 ;;
	*) peer llama-quantize F16.gguf new "$1" >/dev/null 2>&1 ;;
	esac && mv "$models/new" "$models/$1.gguf" || bench_fail "llama-quantize cannot make $1"
}
