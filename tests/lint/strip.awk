# strip.awk - C without comments and without what is inside strings and character constants, line for line.
{
	out = ""
	n = length($0)
	for (i = 1; i <= n; i++) {
		two = substr($0, i, 2)
		c = substr($0, i, 1)
		if (comment) {
			if (two == "*/") { comment = 0; i++ }
		} else if (quote != "") {
			if (c == "\\") i++
			else if (c == quote) { quote = ""; out = out c }
		} else if (two == "/*") {
			comment = 1; i++
		} else if (two == "//") {
			break
		} else {
			if (c == "\"" || c == "'") quote = c
			out = out c
		}
	}
	print out
}
