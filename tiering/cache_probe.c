#include "tiering/cache_internal.h"
#include "tiering/log.h"
#include "tiering/sums.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_PROBE_NAME  "probe"
#define CACHE_PROBE_BYTES 65536

bool cache_in_service(const struct cache *c)
{
	return atomic_load(&c->in_service);
}

void cache_reason(struct cache *c, char *buf, size_t cap)
{
	pthread_mutex_lock(&c->lock);
	snprintf(buf, cap, "%s", c->reason);
	pthread_mutex_unlock(&c->lock);
}

/* ---- going out of service ---- */

/* Errors that the device or its file system has, and not our process.  Direct reads and writes bring the
 * block layer's own: ENODATA is a medium error, EREMOTEIO the target's, ENOLINK the path's, EILSEQ and EBADMSG
 * damage that was seen. */
static bool cache_is_device_error(int rc)
{
	switch (-rc) {
	case EIO: case ENXIO: case EROFS: case ENODEV: case ENODATA: case EREMOTEIO: case ENOLINK: case ETIMEDOUT:
	case EILSEQ: case EBADMSG: case EUCLEAN: case ESHUTDOWN:
		return true;
	default:
		return false;
	}
}

static bool cache_op_writes(enum io_op op)
{
	switch (op) {
	case IO_PWRITE: case IO_TRUNCATE: case IO_FALLOCATE: case IO_COPY_RANGE: case IO_RENAME: case IO_LINK:
	case IO_UNLINK: case IO_MKDIR: case IO_MKNOD: case IO_SYMLINK: case IO_CHMOD: case IO_CHOWN: case IO_UTIMENS:
		return true;
	default:
		return false;
	}
}

bool cache_read_failed(int64_t at[CACHE_READS_LIMIT - 1], int64_t now_ms)
{
	bool many = now_ms - at[CACHE_READS_LIMIT - 2] < CACHE_READS_MS;

	memmove(at + 1, at, (CACHE_READS_LIMIT - 2) * sizeof(at[0]));
	at[0] = now_ms;
	return many;
}

/* Under the lock: whether this failure ends the service. */
static bool cache_is_fatal(struct cache *c, enum io_op op, int rc)
{
	if (op == IO_FSYNC || op == IO_SYNC_RANGE)
		return true;
	if (!cache_is_device_error(rc))
		return false;
	return cache_op_writes(op) || rc == -EROFS || cache_read_failed(c->read_failed_ms, cache_now_ms());
}

void cache_failed(struct cache *c, enum io_op op, int rc)
{
	char text[64], reason[CACHE_REASON_MAX];
	bool ends;

	if (rc >= 0)
		return;
	snprintf(reason, sizeof(reason), "%s failed: %s", io_op_name(op), strerror_r(-rc, text, sizeof(text)));
	pthread_mutex_lock(&c->lock);
	ends = cache_is_fatal(c, op, rc);
	if (ends)
		c->probes_good = 0;
	ends = ends && c->in_service;
	if (ends) {
		c->in_service = false;
		memcpy(c->reason, reason, sizeof(c->reason));
	}
	pthread_mutex_unlock(&c->lock);
	if (ends)
		log_err("cache '%s' at '%s' is out of service: %s", c->name, c->dir, reason);
}

int cache_told(struct cache *c, enum io_op op, int rc)
{
	if (rc < 0)
		cache_failed(c, op, rc);
	return rc;
}

/* ---- coming back ---- */

/* Without space for its blocks the probe's file stays as it is: an older one has them. */
int cache_probe_open(const struct cache *c, bool *direct)
{
	struct stat st;
	int fd, rc;

	fd = io_open_beneath(c->io, c->fd, CACHE_PROBE_NAME, O_RDWR | O_CREAT | O_DIRECT, 0600);
	*direct = fd >= 0;
	if (fd == -EINVAL)
		fd = io_open_beneath(c->io, c->fd, CACHE_PROBE_NAME, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return fd;
	rc = io_fstat(c->io, fd, &st);
	if (rc == 0 && !S_ISREG(st.st_mode))
		rc = -EIO;
	if (rc == 0 && st.st_size < CACHE_PROBE_BYTES) {
		rc = io_fallocate(c->io, fd, 0, 0, CACHE_PROBE_BYTES);
		if (rc == -ENOSPC || rc == -EOPNOTSUPP)
			rc = 0;
	}
	if (rc == 0)
		return fd;
	io_close(c->io, fd);
	return rc;
}

/* Never the same twice, so that what an older probe left is not taken for this one's. */
static int cache_probe_fill(uint64_t *words, size_t n)
{
	uint64_t x;
	int rc;

	rc = sums_blob_id(&x);
	for (size_t i = 0; i < n; i++)
		words[i] = x += 0x9e3779b97f4a7c15ull;
	return rc;
}

/* buf has room for what is written and for what is read back. */
static int cache_probe_file(const struct cache *c, int fd, bool direct, unsigned char *buf)
{
	unsigned char *back = buf + CACHE_PROBE_BYTES;
	ssize_t n;
	int rc;

	rc = cache_probe_fill((uint64_t *)(void *)buf, CACHE_PROBE_BYTES / sizeof(uint64_t));
	if (rc != 0)
		return rc;
	n = io_pwrite(c->io, fd, buf, CACHE_PROBE_BYTES, 0);
	if (n != CACHE_PROBE_BYTES)
		return n < 0 ? (int)n : -ENOSPC;
	rc = io_fsync(c->io, fd);
	if (rc != 0)
		return rc;
	if (!direct)            /* from the device, not from memory */
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	n = io_pread(c->io, fd, back, CACHE_PROBE_BYTES, 0);
	if (n < 0)
		return (int)n;
	return n == CACHE_PROBE_BYTES && memcmp(buf, back, CACHE_PROBE_BYTES) == 0 ? 0 : -EIO;
}

static int cache_probe_once(const struct cache *c)
{
	unsigned char *buf;
	bool direct;
	int fd, rc;

	buf = aligned_alloc(4096, 2 * CACHE_PROBE_BYTES);
	if (buf == NULL)
		return -ENOMEM;
	memset(buf, 0, 2 * CACHE_PROBE_BYTES);
	fd = cache_probe_open(c, &direct);
	rc = fd;
	if (fd >= 0) {
		rc = cache_probe_file(c, fd, direct, buf);
		io_close(c->io, fd);
	}
	free(buf);
	return rc;
}

static bool cache_probe_begin(struct cache *c, struct cache_mark *next)
{
	bool may;

	pthread_mutex_lock(&c->lock);
	may = !c->in_service && !c->probing;
	if (may) {
		c->probing = true;
		*next = c->mark;
		next->epoch++;
	}
	pthread_mutex_unlock(&c->lock);
	return may;
}

/* Count a good probe, or begin anew: how many there were in a row. */
static unsigned cache_probe_count(struct cache *c, bool good)
{
	unsigned n;

	pthread_mutex_lock(&c->lock);
	c->probes_good = good ? c->probes_good + 1 : 0;
	n = c->probes_good;
	pthread_mutex_unlock(&c->lock);
	return n;
}

/* The last step, unless something failed while the mark was written. */
static bool cache_probe_end(struct cache *c, const struct cache_mark *written)
{
	bool back = false;

	pthread_mutex_lock(&c->lock);
	if (written != NULL) {
		c->mark.epoch = written->epoch;
		back = c->probes_good >= CACHE_PROBES_GOOD;
	}
	if (back) {
		c->probes_good = 0;
		c->reason[0] = '\0';
		for (int i = 0; i < CACHE_READS_LIMIT - 1; i++)
			c->read_failed_ms[i] = INT64_MIN / 2;
		c->in_service = true;
	}
	c->probing = false;
	pthread_mutex_unlock(&c->lock);
	return back;
}

bool cache_probe(struct cache *c)
{
	struct cache_mark next;
	bool marked = false, back;

	if (!cache_probe_begin(c, &next))
		return false;
	if (cache_probe_count(c, cache_probe_once(c) == 0) >= CACHE_PROBES_GOOD) {
		marked = cache_mark_write(c, &next) == 0;
		if (!marked)
			cache_probe_count(c, false);
	}
	back = cache_probe_end(c, marked ? &next : NULL);
	if (back)
		log_warn("cache '%s' at '%s' is back in service", c->name, c->dir);
	return back;
}
