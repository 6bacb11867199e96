#!/usr/bin/env bash
# The suites that judge the mount, on a plain ext4 directory: this shows that they are right.
. "$(dirname "$0")/lib/e2e.sh"
dir=$work/ext4
if ! e2e_loop 3G "$dir" 2>/dev/null; then
	dir=$work/plain
	mkdir -p "$dir"
fi
"$tools/posix" "$dir" && ok "the POSIX suite on a plain directory" || failed "the POSIX suite on a plain directory"
"$tools/ollama_ops" "$dir" && ok "Ollama's sequences on a plain directory" || failed "Ollama's sequences on a plain directory"
e2e_done
