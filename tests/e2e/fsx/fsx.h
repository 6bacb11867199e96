/* fsx.h - a random tester of file content.
 *
 * Seeded operations run one after the other on a few files of a directory, through several handles
 * and maps and through a second process, and on a model of the same files in memory.  Every byte
 * read, every size and every link count must be the model's.  The same seed and options give the
 * same operations, as long as the same ones are supported.
 *
 * Invariants of the model:
 *  X1  files[i].names counts the entries of names[] that say i; handles and maps name live files.
 *  X2  a file is live while it has a name, a handle or a map.
 *  X3  bytes of data at and past size are zero.
 * Threads: one.
 */
#ifndef TESTS_E2E_FSX_FSX_H
#define TESTS_E2E_FSX_FSX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	FSX_FILES = 6, FSX_NAMES = 10, FSX_HANDLES = 14, FSX_MAPS = 8, FSX_LOG = 200, FSX_LINE = 160,
	FSX_PAGE = 4096, FSX_IO_MAX = 1 << 20, FSX_EXTENT = 1 << 20
};

struct fsx_file {
	uint8_t *data;                  /* [maxlen] */
	off_t size;
	unsigned names, handles, maps;
	bool map_dirty;                 /* written through a map since the last sync */
};

struct fsx_handle {
	int fd;                         /* -1: free; in the peer when remote */
	int file, flags;
	bool remote;
};

struct fsx_map {
	uint8_t *p;                     /* NULL: free */
	off_t off;
	size_t len;
	int file;
	bool writable;
};

/* What was done how often. */
struct fsx_count {
	uint64_t ops, reads, writes, bytes_read, bytes_written, others;
};

struct fsx {
	/* What the command line says; constant. */
	const char *dir;
	uint64_t seed, limit;
	off_t maxlen;
	int nfiles, nnames, nhandles, nmaps;
	bool many, keep;
	uint32_t disabled;              /* bit per operation; also set when one is not supported */

	uint64_t random;
	struct fsx_file files[FSX_FILES];
	int names[FSX_NAMES];           /* the file, -1 when there is no such name */
	struct fsx_handle handles[FSX_HANDLES];
	struct fsx_map maps[FSX_MAPS];
	struct fsx_count count;
	char log[FSX_LOG][FSX_LINE];
	uint64_t logged;
	uint8_t *buf;                   /* [FSX_IO_MAX], aligned; shared with the peer */
	int peer;                       /* socket to the second process, -1 without one */
	pid_t peer_pid;
};

/* fsx_random.c: choices.  fsx_below gives [0, n) for n > 0. */
uint64_t fsx_next(struct fsx *f);
uint64_t fsx_below(struct fsx *f, uint64_t n);
/* An offset in [0, size], likely at an end, a page or an extent boundary. */
off_t fsx_offset(struct fsx *f, off_t size);
/* A length in [1, FSX_IO_MAX], mostly small. */
size_t fsx_length(struct fsx *f);
/* A size in [0, maxlen], often about one extent, where a file becomes a blob. */
off_t fsx_size(struct fsx *f);
/* Fills buf with n bytes that no other operation has written. */
void fsx_new_bytes(struct fsx *f, size_t n);

/* fsx_report.c: the log, and the end of the program when something is wrong. */
void fsx_say(struct fsx *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void fsx_die(struct fsx *f, const char *fmt, ...) __attribute__((noreturn, format(printf, 2, 3)));
/* Fails unless got[0, n) are the model's bytes at off. */
void fsx_compare(struct fsx *f, int file, off_t off, const uint8_t *got, size_t n, const char *how);

/* fsx_peer.c: a handle is read and written here or in the second process; results as the system
 * call's, errno set. */
int fsx_peer_start(struct fsx *f);
void fsx_peer_stop(struct fsx *f);
int fsx_io_open(struct fsx *f, bool remote, int name, int flags);
ssize_t fsx_io_read(struct fsx *f, const struct fsx_handle *h, off_t off, size_t n);
ssize_t fsx_io_write(struct fsx *f, const struct fsx_handle *h, off_t off, size_t n);
/* Reads through a map made and dropped for it, in the second process. */
ssize_t fsx_io_map_read(struct fsx *f, const struct fsx_handle *h, off_t off, size_t n);
int fsx_io_close(struct fsx *f, const struct fsx_handle *h);
void fsx_path(const struct fsx *f, int name, char path[512]);

/* fsx_ops.c and fsx_names.c: one operation, on the file system and on the model; false where the
 * choice fell on nothing. */
bool fsx_op_read(struct fsx *f);
bool fsx_op_write(struct fsx *f);
bool fsx_op_map_read(struct fsx *f);
bool fsx_op_map_write(struct fsx *f);
bool fsx_op_truncate(struct fsx *f);
bool fsx_op_allocate(struct fsx *f);
bool fsx_op_punch(struct fsx *f);
bool fsx_op_zero(struct fsx *f);
bool fsx_op_copy(struct fsx *f);
bool fsx_op_sync(struct fsx *f);
bool fsx_op_seek(struct fsx *f);
bool fsx_op_open(struct fsx *f);
bool fsx_op_close(struct fsx *f);
bool fsx_op_map(struct fsx *f);
bool fsx_op_unmap(struct fsx *f);
bool fsx_op_create(struct fsx *f);
bool fsx_op_rename(struct fsx *f);
bool fsx_op_link(struct fsx *f);
bool fsx_op_unlink(struct fsx *f);
bool fsx_op_stat(struct fsx *f);
bool fsx_op_verify(struct fsx *f);

enum fsx_op_id {
	FSX_READ, FSX_WRITE, FSX_MAP_READ, FSX_MAP_WRITE, FSX_TRUNCATE, FSX_ALLOCATE, FSX_PUNCH, FSX_ZERO,
	FSX_COPY, FSX_SYNC, FSX_SEEK, FSX_OPEN, FSX_CLOSE, FSX_MAP, FSX_UNMAP, FSX_CREATE, FSX_RENAME,
	FSX_LINK, FSX_UNLINK, FSX_STAT, FSX_VERIFY, FSX_DIRECT, FSX_APPEND, FSX_REMOTE, FSX_NOPS
};

/* Opens a handle of what name says; -1 when there is no free one. */
int fsx_handle_open(struct fsx *f, int name, int flags, bool remote);
void fsx_handle_close(struct fsx *f, int handle);
void fsx_map_drop(struct fsx *f, int map);
/* Reads the whole of every named file anew and compares. */
void fsx_verify_all(struct fsx *f);

#endif
