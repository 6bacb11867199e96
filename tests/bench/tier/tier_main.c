/* tier_main.c - tier_bench COMMAND ...: what tier.sh measures with.  Exit status 1 when a command fails or reads a
 * wrong byte, 2 on wrong usage. */
#include "tests/bench/tier/rig.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int least, most;                /* arguments */
	int (*run)(int argc, char **argv);
	const char *usage;
} commands[] = {
	{ "make", 3, 3, rig_make, "make FILE MIB SEED                write a file" },
	{ "drop", 1, 1000, rig_drop_files, "drop FILE...                      take it out of the page cache" },
	{ "resident", 1, 1000, rig_resident_bytes, "resident FILE...                  print bytes in the page cache" },
	{ "xattr", 2, 3, rig_xattr, "xattr FILE NAME [VALUE]           print or set an extended attribute" },
	{ "load", 3, 3, rig_load, "load read|map|populate FILE SEED  read it whole: print GB/s and CPU seconds" },
	{ "pair", 7, 1000, rig_pair,
	  "pair HOW OURS OTHER SEED ROUNDS MIB warm|IDLE_MS [BACKING...]\n"
	  "                                           windows by turns: print 'ours GB/s' and 'other GB/s'" },
	{ "map-rate", 3, 3, rig_map_rate, "map-rate FILE SEED MIB            print GB/s of touching what is mapped and there" },
	{ "device", 3, 3, rig_device, "device FILE FIRST_MIB MIB         O_DIRECT, four at once: print GB/s" },
	{ "loop", 8, 8, rig_loop,
	  "loop OURS OTHER SEED OURS_PROCS OTHER_PROCS OURS_BACKING OTHER_BACKING PASSES\n"
	  "                                           read both again and again, each in its control group" },
	{ "decode", 3, 3, rig_decode, "decode FILE SEED SECONDS          a little work on all of it, repeated: print GB/s, CPU share" },
	{ "optimum", 2, 2, rig_optimum, "optimum HELD SEQUENCE             a letter a load: print hits and moves of the best" },
	{ "store", 4, 4, rig_store, "store HOME CACHE BLOBS EXTENTS    add so much to the map of the store" },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].least && argc - 2 <= commands[i].most)
			return commands[i].run(argc - 2, argv + 2) == 0 ? 0 : 1;
	}
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(stderr, "%s tier_bench %s\n", i == 0 ? "usage:" : "      ", commands[i].usage);
	return 2;
}
