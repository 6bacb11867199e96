#!/bin/sh
# --help and the man pages name the same subcommands and options, both ways.
[ -x "$BUILD/hearth" ] || { echo "no $BUILD/hearth"; exit 77; }
[ -x "$BUILD/hearth-run" ] || { echo "no $BUILD/hearth-run"; exit 77; }
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
bad=0
complain() { echo "$*"; bad=1; }

# A man page as plain words, in man(7) or mdoc(7) macros; what stands in the option column of a --help text, one option a line.
plain() {
	sed 's/\\f[BIRP]//g; s/\\-/-/g; s/\\&//g; s/\\[(]aq//g; /^\./s/Fl \([-[:alnum:]]\)/-\1/g' "docs/man/$1"
}
column() { sed -n 's/^ *\(-.*\)$/\1/p' | sed 's/   *[^-].*//' | tr ' ,=[|' '\n' | grep -E '^--?[A-Za-z]' | sort -u; }
named() { grep -qE -e "(^|[^-[:alnum:]])$2([^-[:alnum:]]|\$)" "$tmp/$1"; }

for page in hearth.1 hearth-run.1 hearth.7 mount.hearth.8; do
	[ -e "docs/man/$page" ] || complain "docs/man/$page is missing"
	plain "$page" >"$tmp/$page" 2>/dev/null
done
"$BUILD/hearth" help >"$tmp/help"
commands=$(sed -n 's/^  \([a-z]*\) .*/\1/p' "$tmp/help")
[ -n "$commands" ] || complain "hearth help lists no commands"
for c in $commands; do
	grep -qE "^\.(SS|B) .*hearth $c\b|^\.SS .*\"?$c\b" "$tmp/hearth.1" || complain "hearth.1: command '$c' has no section"
	[ "$c" != run ] || continue
	"$BUILD/hearth" "$c" --help >"$tmp/$c.help" || complain "hearth $c --help fails"
	column <"$tmp/$c.help" >"$tmp/$c.options"
	while read -r option; do
		named hearth.1 "$option" || complain "hearth.1: $option of 'hearth $c' is missing"
	done <"$tmp/$c.options"
done
sed -n 's/^--//p' "$tmp/mount.options" | grep -vx options | while read -r word; do
	named mount.hearth.8 "$word" || echo "mount.hearth.8: option $word is missing"
done >"$tmp/words"
[ ! -s "$tmp/words" ] || { cat "$tmp/words"; bad=1; }
"$BUILD/hearth-run" --help >"$tmp/run.help" 2>&1
column <"$tmp/run.help" >"$tmp/run.options"
[ -s "$tmp/run.options" ] || complain "hearth-run --help lists no options"
while read -r option; do
	named hearth-run.1 "$option" || complain "hearth-run.1: $option is missing"
done <"$tmp/run.options"

# both programs answer these two without listing them
"$BUILD/hearth" --help >/dev/null && "$BUILD/hearth" --version >/dev/null || complain "hearth --help or --version fails"
cat "$tmp"/*.options >"$tmp/known"
printf '%s\n' --help --version >>"$tmp/known"
for page in hearth.1 hearth-run.1 hearth.7 mount.hearth.8; do
	for option in $(grep -oE '(^|[^-[:alnum:]])--[a-z][-a-z0-9]*' "$tmp/$page" | grep -oE -e '--[a-z].*' | sort -u); do
		grep -qxe "$option" "$tmp/known" || complain "$page: no program has $option"
	done
done
exit $bad
