/* posix.h - the case tables of the POSIX suite, one a source file. */
#ifndef TESTS_E2E_POSIX_POSIX_H
#define TESTS_E2E_POSIX_POSIX_H

#include "tests/e2e/lib/px.h"

/* Ids that own nothing on the machine. */
enum { POSIX_UID = 1001, POSIX_OTHER = 1002, POSIX_THIRD = 1003, POSIX_NOBODY = 65534, POSIX_TEAM = 2001 };

extern const struct px_suite posix_create, posix_names, posix_rename, posix_link, posix_dir, posix_perm,
	posix_owner, posix_time, posix_data, posix_hole, posix_map, posix_lock, posix_node;

#endif
