#!/usr/bin/env bash
# Ollama's own sequences of operations, the Hugging Face hub's and llama.cpp's, on the mount.
# sanitized: yes
. "$(dirname "$0")/lib/e2e.sh"
e2e_need_root
e2e_need_fuse
for mode in auto off; do
	e2e_mount "$work/home" "$work/mnt" --native "$mode" || exit 1
	"$tools/ollama_ops" "$work/mnt" && ok "Ollama's sequences, --native $mode" || failed "Ollama's sequences, --native $mode"
	e2e_umount "$work/mnt"
done
e2e_done
