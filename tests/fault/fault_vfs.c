#include "tests/fault/fault_vfs.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cmocka.h>

#define SECTOR 512

/* What a write or a truncation replaced. */
struct fault_undo {
	struct fault_undo *next;        /* the one before it in time */
	char path[128];
	sqlite3_int64 off, old_size;
	int old_len, len;               /* bytes that were there, bytes written; len -1: a truncation */
	unsigned char old[];
};

struct fault_vfs {
	sqlite3_vfs vfs;                /* first: SQLite knows us by it */
	sqlite3_vfs *below;
	unsigned mask;
	long n;
	int rc;
	bool for_ever, torn, swallow;
	atomic_long calls;
	atomic_bool fired;
	bool recording;
	pthread_mutex_t lock;
	struct fault_undo *undo;        /* protected by lock */
};

struct fault_file {
	sqlite3_file base;              /* first */
	struct fault_vfs *f;
	char path[128];
	sqlite3_file *below;            /* behind this struct */
};

static bool fault_now(struct fault_vfs *f, unsigned kind)
{
	long at;

	if ((f->mask & kind) == 0)
		return false;
	at = atomic_fetch_add(&f->calls, 1);
	if (at != f->n && !(f->for_ever && at > f->n))
		return false;
	atomic_store(&f->fired, true);
	return true;
}

static struct fault_file *fault_file_of(sqlite3_file *file)
{
	return (struct fault_file *)file;
}

static void fault_remember(struct fault_file *p, sqlite3_int64 off, int len)
{
	sqlite3_int64 size = 0;
	struct fault_undo *u;
	int old_len;

	if (!p->f->recording || p->path[0] == '\0')
		return;
	p->below->pMethods->xFileSize(p->below, &size);
	old_len = len >= 0 ? len : (int)(size > off ? size - off : 0);
	if (size - off < old_len)
		old_len = size > off ? (int)(size - off) : 0;
	u = calloc(1, sizeof(*u) + (size_t)old_len);
	assert_non_null(u);
	memcpy(u->path, p->path, sizeof(u->path));
	u->off = off;
	u->old_size = size;
	u->old_len = old_len;
	u->len = len;
	if (old_len > 0)
		p->below->pMethods->xRead(p->below, u->old, old_len, off);
	pthread_mutex_lock(&p->f->lock);
	u->next = p->f->undo;
	p->f->undo = u;
	pthread_mutex_unlock(&p->f->lock);
}

/* What was written to this file is durable now. */
static void fault_forget(struct fault_vfs *f, const char *path)
{
	struct fault_undo **at, *u;

	pthread_mutex_lock(&f->lock);
	for (at = &f->undo; (u = *at) != NULL;) {
		if (path == NULL || strcmp(u->path, path) == 0) {
			*at = u->next;
			free(u);
		} else {
			at = &u->next;
		}
	}
	pthread_mutex_unlock(&f->lock);
}

static int fault_close(sqlite3_file *file)
{
	struct fault_file *p = fault_file_of(file);

	return p->below->pMethods->xClose(p->below);
}

static int fault_read(sqlite3_file *file, void *buf, int len, sqlite3_int64 off)
{
	struct fault_file *p = fault_file_of(file);

	if (fault_now(p->f, FAULT_VFS_READ))
		return p->f->rc;
	return p->below->pMethods->xRead(p->below, buf, len, off);
}

static int fault_write(sqlite3_file *file, const void *buf, int len, sqlite3_int64 off)
{
	struct fault_file *p = fault_file_of(file);

	if (fault_now(p->f, FAULT_VFS_WRITE)) {
		if (p->f->torn) {
			fault_remember(p, off, len / 2);
			(void)!p->below->pMethods->xWrite(p->below, buf, len / 2, off);
		}
		return p->f->rc;
	}
	fault_remember(p, off, len);
	return p->below->pMethods->xWrite(p->below, buf, len, off);
}

static int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct fault_file *p = fault_file_of(file);

	if (fault_now(p->f, FAULT_VFS_TRUNCATE))
		return p->f->rc;
	fault_remember(p, size, -1);
	return p->below->pMethods->xTruncate(p->below, size);
}

static int fault_sync(sqlite3_file *file, int flags)
{
	struct fault_file *p = fault_file_of(file);
	int rc;

	if (fault_now(p->f, FAULT_VFS_SYNC))
		return p->f->rc;
	rc = p->f->swallow ? SQLITE_OK : p->below->pMethods->xSync(p->below, flags);
	if (rc == SQLITE_OK)
		fault_forget(p->f, p->path);
	return rc;
}

static int fault_file_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct fault_file *p = fault_file_of(file);

	return p->below->pMethods->xFileSize(p->below, size);
}

static int fault_lock(sqlite3_file *file, int how)
{
	return fault_file_of(file)->below->pMethods->xLock(fault_file_of(file)->below, how);
}

static int fault_unlock(sqlite3_file *file, int how)
{
	return fault_file_of(file)->below->pMethods->xUnlock(fault_file_of(file)->below, how);
}

static int fault_check_lock(sqlite3_file *file, int *out)
{
	return fault_file_of(file)->below->pMethods->xCheckReservedLock(fault_file_of(file)->below, out);
}

static int fault_control(sqlite3_file *file, int op, void *arg)
{
	return fault_file_of(file)->below->pMethods->xFileControl(fault_file_of(file)->below, op, arg);
}

static int fault_sector(sqlite3_file *file)
{
	return fault_file_of(file)->below->pMethods->xSectorSize(fault_file_of(file)->below);
}

static int fault_device(sqlite3_file *file)
{
	return fault_file_of(file)->below->pMethods->xDeviceCharacteristics(fault_file_of(file)->below);
}

/* Version 1: no shared memory, so the log works only with an exclusive lock and an index in memory. */
static const sqlite3_io_methods fault_methods = {
	1, fault_close, fault_read, fault_write, fault_truncate, fault_sync, fault_file_size, fault_lock, fault_unlock,
	fault_check_lock, fault_control, fault_sector, fault_device,
	NULL, NULL, NULL, NULL, NULL, NULL,
};

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	struct fault_vfs *f = (struct fault_vfs *)vfs;
	struct fault_file *p = fault_file_of(file);
	int rc;

	memset(p, 0, sizeof(*p));
	if (fault_now(f, FAULT_VFS_OPEN))
		return f->rc;
	p->f = f;
	p->below = (sqlite3_file *)(p + 1);
	if (name != NULL)
		snprintf(p->path, sizeof(p->path), "%s", name);
	rc = f->below->xOpen(f->below, name, p->below, flags, out_flags);
	p->base.pMethods = rc == SQLITE_OK ? &fault_methods : NULL;
	return rc;
}

static int fault_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	struct fault_vfs *f = (struct fault_vfs *)vfs;

	if (fault_now(f, FAULT_VFS_DELETE))
		return f->rc;
	fault_forget(f, name);
	return f->below->xDelete(f->below, name, f->swallow ? 0 : sync_dir);
}

struct fault_vfs *fault_vfs_new(void)
{
	struct fault_vfs *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->below = sqlite3_vfs_find(NULL);
	assert_non_null(f->below);
	f->vfs = *f->below;             /* the rest needs no file and works as it is */
	f->vfs.iVersion = 1;
	f->vfs.szOsFile = (int)sizeof(struct fault_file) + f->below->szOsFile;
	f->vfs.pNext = NULL;
	f->vfs.zName = FAULT_VFS_NAME;
	f->vfs.xOpen = fault_open;
	f->vfs.xDelete = fault_delete;
	pthread_mutex_init(&f->lock, NULL);
	assert_int_equal(sqlite3_vfs_register(&f->vfs, 0), SQLITE_OK);
	return f;
}

void fault_vfs_free(struct fault_vfs *f)
{
	sqlite3_vfs_unregister(&f->vfs);
	fault_forget(f, NULL);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void fault_vfs_arm(struct fault_vfs *f, unsigned mask, long n, int sqlite_rc, bool for_ever, bool torn)
{
	f->mask = mask;
	f->n = n;
	f->rc = sqlite_rc;
	f->for_ever = for_ever;
	f->torn = torn;
	atomic_store(&f->calls, 0);
	atomic_store(&f->fired, false);
}

void fault_vfs_disarm(struct fault_vfs *f)
{
	f->mask = 0;
}

bool fault_vfs_fired(const struct fault_vfs *f)
{
	return atomic_load(&f->fired);
}

void fault_vfs_swallow_syncs(struct fault_vfs *f, bool swallow)
{
	f->swallow = swallow;
}

void fault_vfs_record(struct fault_vfs *f)
{
	fault_forget(f, NULL);
	f->recording = true;
}

static uint64_t fault_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Put back what was there before. */
static void fault_put_back(int fd, const struct fault_undo *u)
{
	if (u->old_len > 0)
		assert_int_equal(pwrite(fd, u->old, (size_t)u->old_len, u->off), u->old_len);
	if (u->len >= 0 && u->off + u->len > u->old_size)
		assert_int_equal(ftruncate(fd, u->old_size > u->off ? u->old_size : u->off), 0);
}

/* Some sectors of the write hold neither old nor new bytes. */
static void fault_garble(int fd, const struct fault_undo *u, uint64_t *state)
{
	unsigned char junk[SECTOR];

	for (sqlite3_int64 at = u->off; at < u->off + u->len; at += SECTOR) {
		size_t n = (size_t)(u->off + u->len - at < SECTOR ? u->off + u->len - at : SECTOR);

		if (fault_random(state) % 2 == 0)
			continue;
		for (size_t i = 0; i < n; i++)
			junk[i] = (unsigned char)fault_random(state);
		assert_int_equal(pwrite(fd, junk, n, at), (ssize_t)n);
	}
}

void fault_vfs_power_cut(struct fault_vfs *f, uint64_t seed)
{
	uint64_t state = seed * 2654435761u + 1;
	struct fault_undo *u;
	int fd;

	f->recording = false;
	for (u = f->undo; u != NULL; u = u->next) {
		uint64_t choice = fault_random(&state) % 3;

		fd = open(u->path, O_RDWR | O_CLOEXEC);
		if (fd == -1)
			continue;       /* it was removed */
		if (choice == 0)
			fault_put_back(fd, u);
		else if (choice == 1 && u->len > 0)
			fault_garble(fd, u, &state);
		close(fd);
	}
	fault_forget(f, NULL);
}
