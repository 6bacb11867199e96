/* reader.h - reads and writes of files that go on while something else is computed.
 *
 * They are begun and waited for by one thread; the kernel does them (io_uring), or where that is forbidden some threads
 * that do nothing else.  Buffers, offsets and lengths are the caller's business: for O_DIRECT they must be aligned.
 * Threads: one caller at a time.
 */
#ifndef ENGINE_READER_H
#define ENGINE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct reader;

struct reader_job {
	int fd;
	void *buf;              /* the caller's until the job is done */
	size_t len;
	uint64_t off;
	uint32_t tag;           /* the caller's */
	bool write;
	ssize_t result;         /* set when done: bytes, less than len at the end of the file, or negative errno */
};

/* At most depth jobs at a time; plain: with threads even where io_uring may be used.  0 and an owned reader; -ENOMEM,
 * -EAGAIN. */
int reader_open(struct reader **out, uint32_t depth, bool plain) __attribute__((warn_unused_result));
/* Waits for what was begun.  Takes r; NULL is a no-op. */
void reader_close(struct reader *r);

/* job is the caller's until it is done; no more than depth are under way.  What cannot be begun is done at once, with
 * its error as result. */
void reader_begin(struct reader *r, struct reader_job *job);
/* A job that is done, or NULL when none is under way; without wait also when none is done yet. */
struct reader_job *reader_done(struct reader *r, bool wait);
/* "io_uring" or "threads" */
const char *reader_kind(const struct reader *r);

#endif
