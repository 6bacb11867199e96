# openmetrics.awk - is this text OpenMetrics?  Prints each fault with its line, and exits 1 when there is one.
#
# Checked: HELP and TYPE once a family and before its samples; the samples of a family together; names and labels
# of the right letters; counters end in _total and are not negative; info is 1; no sample twice; one "# EOF", at
# the end.
function bad(why) { printf "line %d: %s: %s\n", NR, why, $0; faults++ }

eof { bad("after the end") }
/^# EOF$/ { eof = 1; next }
/^#/ {
	if ($1 != "#" || ($2 != "HELP" && $2 != "TYPE" && $2 != "UNIT") || NF < 4) { bad("not a comment that there is"); next }
	if ($3 !~ /^[a-zA-Z_:][a-zA-Z0-9_:]*$/) bad("not a name")
	if (seen[$2, $3]++) bad($2 " twice")
	if ($3 in sampled) bad("after a sample of the family")
	if ($2 == "TYPE") {
		type[$3] = $4
		if ($4 !~ /^(gauge|counter|info|histogram|summary|stateset|unknown)$/) bad("not a type")
	}
	family($3)
	next
}
/^$/ { bad("an empty line"); next }
{
	if (!match($0, /^[a-zA-Z_:][a-zA-Z0-9_:]*/)) { bad("not a sample"); next }
	name = substr($0, 1, RLENGTH)
	rest = substr($0, RLENGTH + 1)
	labels = ""
	if (rest ~ /^\{/) {
		if (!match(rest, /^\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\["\\n])*"(,[a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\["\\n])*")*)?\}/)) {
			bad("labels"); next
		}
		labels = substr(rest, 1, RLENGTH)
		rest = substr(rest, RLENGTH + 1)
	}
	if (rest !~ /^ [-+]?([0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?|NaN|Inf)$/) { bad("not a value"); next }
	base = name
	if ((f = suffix(base, "_total", "counter")) != "") base = f
	else if ((f = suffix(base, "_info", "info")) != "") base = f
	if (!(base in type)) bad("no TYPE for it")
	if (type[base] == "counter" && base == name) bad("a counter without _total")
	if (type[base] == "counter" && rest ~ /^ -/) bad("a negative counter")
	if (type[base] == "info" && rest != " 1") bad("an info that is not 1")
	if (values[name labels]++) bad("twice")
	if (!(("HELP", base) in seen)) bad("no HELP for it")
	sampled[base] = 1
	samples++
	family(base)
}
function suffix(s, end, kind,    base) {
	if (length(s) <= length(end) || substr(s, length(s) - length(end) + 1) != end) return ""
	base = substr(s, 1, length(s) - length(end))
	return type[base] == kind ? base : ""
}
# lines of one family stand together
function family(f) {
	if (f == last) return
	if (f in left) bad("family " f " goes on after others")
	if (last != "") left[last] = 1
	last = f
}
END {
	if (!eof) { print "no # EOF"; faults++ }
	if (samples == 0) { print "no samples"; faults++ }
	exit faults > 0
}
