/* rig.h - what the commands of tier_bench share: files whose words are a function of a seed and of their place,
 * reading a part of one in a given way, and the pages of it that are in memory.
 *
 * Every function that returns int says on standard error what failed and returns 0 or negative errno.
 */
#ifndef TESTS_BENCH_TIER_RIG_H
#define TESTS_BENCH_TIER_RIG_H

#include <stddef.h>
#include <stdint.h>

#define RIG_PAGE       4096u
#define RIG_PAGE_WORDS (RIG_PAGE / sizeof(uint64_t))
#define RIG_MIB        (1024u * 1024u)
#define RIG_MIB_PAGES  (RIG_MIB / RIG_PAGE)

enum rig_how {
	RIG_READ,                       /* read(2) of 1 MiB */
	RIG_MAP,                        /* a new shared mapping of which one word a page is read */
	RIG_POPULATE,                   /* the same with MAP_POPULATE, timed to the end of mmap(2) */
};

/* A part of a file to be read. */
struct rig_span {
	const char *path;
	uint64_t seed;
	uint64_t first_page, pages;
	enum rig_how how;
};

/* Returns rc. */
int rig_say(const char *what, const char *path, int rc);
uint64_t rig_now_ns(void);
void rig_pause_ns(long ns);             /* less than a second */
double rig_cpu_seconds(void);           /* of this process, so far */
uint64_t rig_random(uint64_t *state);

/* "read", "map", "populate": 0, or -EINVAL. */
int rig_how_of(const char *name, enum rig_how *how);

/* What the file of that seed holds at word i. */
uint64_t rig_word(uint64_t seed, uint64_t i);
/* The first word of each of so many pages: in memory, and as it should be. */
uint64_t rig_sum(const void *at, uint64_t pages);
uint64_t rig_sum_expected(uint64_t seed, uint64_t first_page, uint64_t pages);

/* A descriptor for reading, the caller's, and how many whole pages the file has; or negative errno. */
int rig_open(const char *path, uint64_t *pages);
/* A shared mapping for reading; *at is the caller's to unmap. */
int rig_map(const char *path, void **at, uint64_t *pages);

/* Open the file anew and read the span; -EIO when the bytes are wrong.  ns is the time from the first request to the
 * last word; opening is not in it. */
int rig_read(const struct rig_span *s, uint64_t *ns);
/* How many pages of [first, first + pages) are in the page cache behind the path. */
int rig_resident(const char *path, uint64_t first, uint64_t pages, uint64_t *resident);
/* Drop all pages of the files, which nobody may have mapped or locked; tries for two seconds, then -EBUSY. */
int rig_drop(char *const *path, int n);

/* The commands: argv holds what follows the command's name. */
int rig_make(int argc, char **argv);            /* file.c */
int rig_drop_files(int argc, char **argv);
int rig_resident_bytes(int argc, char **argv);
int rig_xattr(int argc, char **argv);
int rig_load(int argc, char **argv);            /* pair.c */
int rig_pair(int argc, char **argv);
int rig_map_rate(int argc, char **argv);
int rig_device(int argc, char **argv);          /* device.c */
int rig_loop(int argc, char **argv);            /* loop.c */
int rig_decode(int argc, char **argv);          /* decode.c */
int rig_optimum(int argc, char **argv);         /* optimum.c */
int rig_store(int argc, char **argv);           /* store.c */

#endif
