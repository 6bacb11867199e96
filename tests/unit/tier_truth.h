/* tier_truth.h - the reference model of one file of home: every content that it ever had, and when.
 *
 * A content is a size and a number for each 512 bytes, from which those bytes follow; so a file of 24 MiB costs
 * 384 KiB a content, and any byte that is out of place shows.  Times are of one counter that grows with each look.
 *
 * A change is announced before it is made and ended after it: a read in between may see either, byte by byte.
 *
 * Threads: all calls may be made by any thread at once; changes of one file are made one after the other, under
 * truth_change_begin and truth_change_end.
 */
#ifndef TESTS_UNIT_TIER_TRUTH_H
#define TESTS_UNIT_TIER_TRUTH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TRUTH_CHUNK 512u
#define TRUTH_CONTENTS 48

typedef _Atomic uint64_t truth_clock;

struct truth_content {
	uint64_t from, to;              /* when it may be seen; to UINT64_MAX: it is home's now */
	uint64_t told;                  /* from then on tiering knew that it is past; 0: it was not told */
	uint64_t size;
	uint64_t *chunk;                /* 0: zeros */
};

struct truth {
	truth_clock *clock;
	uint64_t ino;                   /* constant */
	uint64_t seed;                  /* under change */
	pthread_mutex_t change;         /* who changes the file */
	pthread_mutex_t lock;           /* the contents */
	struct truth_content content[TRUTH_CONTENTS];
	unsigned n;
};

/* Who looks: a handle that was opened then (began to be, and was ready), a read that began and ended then.  What
 * tiering was told of counts from a tell on for who had it open before the change; an open that met the change half
 * made may have looked at the file before and come to tiering after it. */
struct truth_look {
	uint64_t opened, began, ended, ready;
};

uint64_t truth_now(truth_clock *clock);
uint64_t truth_draw(uint64_t *state);                   /* a random number */

/* A file whose bytes follow from seed. */
struct truth *truth_new(truth_clock *clock, uint64_t ino, uint64_t size, uint64_t seed);
void truth_free(struct truth *t);

/* Begin a change; false when the file has had its share of them.  It is the caller's until truth_change_end. */
bool truth_change_begin(struct truth *t);
void truth_change_end(struct truth *t);
uint64_t truth_size(struct truth *t);                   /* of the newest content */
/* Announce: from now on [off, off + len) has other bytes, and the file reaches to there; off a multiple of the
 * chunk, and so is the end unless it is the end of the file.  Returns them, owned. */
void *truth_write(struct truth *t, uint64_t off, uint64_t len);
void truth_resize(struct truth *t, uint64_t size);      /* smaller, or whole chunks of zeros more */
/* The last announced change is made.  told: and tiering was told of it. */
void truth_made(struct truth *t, bool told);

/* Bytes [off, off + len) as they are now, to buf. */
void truth_bytes(struct truth *t, uint64_t off, void *buf, size_t len);
/* Whether n bytes that a read of len at off gave may have been seen; else a line in why. */
bool truth_allows(struct truth *t, const struct truth_look *look, uint64_t off, size_t len, const void *bytes, size_t n,
		  char *why, size_t cap);

#endif
