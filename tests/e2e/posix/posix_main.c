/* posix_main.c - posix DIR [--list] [--only NAME]: what POSIX and Linux say of files, asked of DIR.
 * The same cases hold on ext4, which is how they are shown to be right. */
#include "tests/e2e/posix/posix.h"

int main(int argc, char **argv)
{
	const struct px_suite suites[] = {
		posix_create, posix_names, posix_rename, posix_link, posix_dir, posix_perm, posix_owner,
		posix_time, posix_data, posix_hole, posix_map, posix_lock, posix_node
	};

	return px_main(argc, argv, suites, PX_COUNT(suites));
}
