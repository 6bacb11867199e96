#!/usr/bin/env bash
# Real llama.cpp reads the same model through the mount and from the plain directory: the same logits,
# byte for byte, in each of its ways to load (mmap, read, O_DIRECT).
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse
oracle=$PWD/../shared/oracle/llama-cpp
models=$PWD/../shared/models
[[ -x $oracle && -d $models ]] || e2e_skip_all "needs ../shared/oracle and ../shared/models"
root=$BUILD/llama.cpp
[[ -d $root/usr ]] || "$oracle" get "$root" >"$work/get.log" 2>&1 || e2e_skip_all "llama.cpp's packages cannot be fetched"

# In directory $1: the model $2 to $3.  The name of the model is written into the result, so both
# directories are the program's working directory in turn and the name is the same.
results() {
	(cd "$1" && timeout 300 "$oracle" run "$root" llama-results -m "$2" -ngl 0 -fa off -ctk f32 -ctv f32 \
		-p "Once upon a time there was a little girl named Lily who lived in a house by the sea" \
		-o "$3" "${@:4}") >"$work/run.log" 2>&1
}

mkdir "$work/plain"
e2e_mount "$work/home" "$work/mnt" || exit 1
for m in stories260K-f32 stories260K-w256-Q4_K_M stories260K-w256-F16; do
	cp "$models/$m.gguf" "$work/home/"
	cp "$models/$m.gguf" "$work/plain/"
	results "$work/plain" "$m.gguf" "$m.out"
	check "$m: llama.cpp reads it from the plain directory" test -s "$work/plain/$m.out"
	for mode in mmap none dio; do
		results "$work/mnt" "$m.gguf" "$m.out.$mode" --load-mode "$mode"
		check "$m: the same logits through the mount, load mode $mode" cmp "$work/plain/$m.out" "$work/home/$m.out.$mode"
	done
done
check "blobs were opened natively" test "$(e2e_stat "$work/mnt" opens_native)" -gt 0
e2e_umount "$work/mnt"
e2e_done
