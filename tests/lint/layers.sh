#!/bin/sh
# fs -> tiering and engine -> kernels; the halves share nothing, and nothing includes tests.
# An x_internal.h is for the files of its own folder.
awk '
BEGIN {
	may["fs"] = " fs tiering "; may["tiering"] = " tiering "
	may["engine"] = " engine kernels "; may["kernels"] = " kernels "
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, part, "\"")
	path = part[2]
	folder = FILENAME; sub("/.*", "", folder)
	from = path
	why = ""
	if (!sub("/.*", "", from))
		why = "is not named from the root of the repository"
	else if (index(may[folder], " " from " ") == 0)
		why = "is not for " folder "/"
	else if (path ~ /_internal\.h$/ && from != folder)
		why = "is internal to " from "/"
	if (why != "") { print FILENAME ":" FNR ": " path " " why; bad = 1 }
}
END { exit bad }' $(ls fs/*.[ch] tiering/*.[ch] engine/*.[ch] kernels/*.[ch] kernels/*.cu 2>/dev/null)
