/* fault_io.h - a hook for struct io that fails, shortens, swallows, counts or ends the process.
 *
 * What it does is a text, so that a shell can write it as well:
 *
 *     OP:N[+]:WHAT
 *
 *     OP     the name of an operation as io_op_name() has it, or "any": every operation but what a timer
 *            starts on its own (sync_file_range, and close, which has nothing to lose), so that the
 *            n-th call of the same work is the same call
 *     N      which call, the first is 0; with + all later ones too
 *     WHAT   an errno's name (EIO ENOSPC ENOMEM EACCES ENOENT EINTR EROFS EMFILE EDQUOT), short=BYTES
 *            (cut a read or write), swallow (report success, do nothing), or kill (_exit(9))
 *
 * "" and "count" only count.  Threads: any; a call that is under way when it is armed meets the old or the new.
 */
#ifndef TESTS_FAULT_FAULT_IO_H
#define TESTS_FAULT_FAULT_IO_H

#include "tiering/io.h"

#include <stdatomic.h>
#include <stdbool.h>

#define FAULT_ANY IO_OP_COUNT

enum fault_what { FAULT_NONE, FAULT_ERRNO, FAULT_SHORT, FAULT_SWALLOW, FAULT_KILL };

struct fault_plan {
	int op;                         /* enum io_op, or FAULT_ANY */
	unsigned long nth;
	bool forever;
	enum fault_what what;
	int error;                      /* positive errno */
	size_t len;                     /* of FAULT_SHORT */
};

struct fault_io {
	struct fault_plan plan;         /* set and read under one lock of all */
	bool tell;                      /* a line on standard error when it fires */
	atomic_ulong seen;              /* calls of op since armed */
	atomic_ulong fired;
	atomic_ulong count[IO_OP_COUNT];
};

/* Arm by a text; counters start at 0.  0, or -EINVAL when it is none (f stays as it was). */
int fault_io_arm(struct fault_io *f, const char *text) __attribute__((warn_unused_result));

/* The hook, and the struct io that has it; f is borrowed. */
int fault_io_hook(void *f, struct io_call *call);
struct io fault_io(struct fault_io *f);

#endif
