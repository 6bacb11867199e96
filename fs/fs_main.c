#include "fs/fs_cli.h"
#include "tiering/io.h"

int main(int argc, char **argv)
{
	static const struct io system_io = { .hook = NULL };

	return fs_cli_main(argc, argv, &system_io);
}
