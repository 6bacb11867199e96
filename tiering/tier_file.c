/* tier_file.c - opens of blobs: which blob it is, how it is served, and its gathered reads. */
#include "tiering/blob.h"
#include "tiering/fill.h"
#include "tiering/gather.h"
#include "tiering/part.h"
#include "tiering/place.h"
#include "tiering/residency.h"
#include "tiering/store.h"
#include "tiering/tier_internal.h"
#include "tiering/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TIER_SECTOR 4096u

/* ---- which blob ---- */

/* Home's file is not as it was when we last looked at it: is it the same still?  Locked. */
static bool tier_still_same(struct tier *t, struct blob *b, const struct home_ident *id)
{
	if (home_ident_equal(&b->ident, id) || (b->suspect && home_ident_equal(&b->seen, id)))
		return true;
	if (!home_ident_same_data(&b->ident, id))
		return false;
	/* owner, mode or names, perhaps; perhaps bytes and a time that was set back: sums will tell */
	gather_forget(t, b);
	if (b->id != 0) {
		b->suspect = true;
		b->seen = *id;
		verify_suspect(t, b);
	} else {
		b->ident = *id;
	}
	return true;
}

/* Opens for writing of the file, which a blob's end does not end: bytes may come natively that nobody tells of. */
static uint32_t tier_writers_of(const struct tier *t, uint64_t st_ino)
{
	uint32_t n = 0;

	for (const struct tier_file *f = t->writing; f != NULL; f = f->next_writing)
		n += f->blob->st_ino == st_ino;
	return n;
}

static void tier_writer_begin(struct tier *t, struct tier_file *f)
{
	struct blob *now = blob_find(t, f->blob->st_ino);

	f->next_writing = t->writing;
	t->writing = f;
	f->blob->writers++;
	gather_forget(t, f->blob);
	if (now != NULL && now != f->blob) {    /* it was replaced meanwhile */
		now->writers++;
		gather_forget(t, now);
	}
}

static void tier_writer_end(struct tier *t, struct tier_file *f)
{
	struct blob *now = blob_find(t, f->blob->st_ino);
	struct tier_file **p = &t->writing;

	while (*p != f)
		p = &(*p)->next_writing;
	*p = f->next_writing;
	f->blob->writers--;
	gather_forget(t, f->blob);      /* what a read that was under way when it began brought */
	if (now != NULL && now != f->blob) {
		now->writers--;
		gather_forget(t, now);
	}
}

static void tier_set_path(struct blob *b, const char *path)
{
	char *copy;

	if (path[0] == '\0' || strcmp(b->path, path) == 0)
		return;
	copy = strdup(path);
	if (copy == NULL)
		return;
	free(b->path);
	b->path = copy;
}

int tier_blob_of(struct tier *t, int fd, const struct stat *st, const char *path, struct blob **out)
{
	struct home_ident id = home_ident(st);
	struct blob *b, *made = NULL;
	struct timespec now;
	int8_t pin = -1;

	clock_gettime(CLOCK_REALTIME, &now);
	if (!S_ISREG(st->st_mode) || st->st_size < (off_t)TIER_EXTENT_BYTES) {
		pthread_mutex_lock(&t->lock);
		b = blob_find(t, id.ino);
		if (b != NULL)
			place_changed(t, b);    /* it was one, and was cut */
		pthread_mutex_unlock(&t->lock);
		return -ENOENT;
	}
	for (;;) {
		pthread_mutex_lock(&t->lock);
		b = blob_find(t, id.ino);
		if (b != NULL && !tier_still_same(t, b, &id)) {
			event_log_add(t->events, "changed", "home", b->path, "home's file changed: its copies are dropped");
			place_changed(t, b);
			b = NULL;
		}
		if (b == NULL && made != NULL) {
			b = made;
			b->writers = tier_writers_of(t, id.ino);
			blob_insert(t, made);
			made = NULL;
			tier_set_pin(t, b, pin);
		}
		if (b != NULL)
			break;
		pthread_mutex_unlock(&t->lock);
		made = blob_new(&id, path);
		if (made == NULL)
			return -ENOMEM;
		pin = tier_pin_of(t, fd, path);
	}
	/* a write sets the times before it copies its bytes: what was read meanwhile carries the new times already */
	if (!home_ident_settled(&id, &now))
		gather_forget(t, b);
	b->refs++;
	tier_set_path(b, path);
	pthread_mutex_unlock(&t->lock);
	blob_free(made);
	*out = b;
	return 0;
}

/* What the copy has, or what the map may still say that it has: a drop is punched once it is committed (rule R2). */
static bool tier_has_extent(const struct blob *b, unsigned c, uint32_t extent)
{
	return b->state[extent] & 1u << c || (b->part != NULL && part_cache(b->part) == c && part_is_dropped(b->part, extent));
}

/* The next run of extents from *at on that the copy must not have; false: there is none.  Locked inside. */
static bool tier_next_stray(struct tier *t, const struct blob *b, unsigned c, uint32_t *at, uint32_t *count)
{
	uint32_t e = *at, end;

	pthread_mutex_lock(&t->lock);
	while (e < b->extents && tier_has_extent(b, c, e))
		e++;
	for (end = e; end < b->extents && !tier_has_extent(b, c, end); end++)
		;
	pthread_mutex_unlock(&t->lock);
	*at = e;
	*count = end - e;
	return *count > 0;
}

int tier_punch_strays(struct tier *t, struct blob *b, unsigned c, struct cache_copy *file)
{
	uint32_t at = 0, count;
	int rc = cache_copy_write_begin(file);

	if (rc != 0)
		return rc;
	for (; rc == 0 && tier_next_stray(t, b, c, &at, &count); at += count)
		rc = cache_copy_punch(file, (uint64_t)at * TIER_EXTENT_BYTES, (uint64_t)count * TIER_EXTENT_BYTES);
	cache_copy_write_end(file);
	return rc;
}

/* -EAGAIN: somebody is about to write to it. */
static int tier_clear_part(struct tier *t, struct blob *b, unsigned c, struct cache_copy *file)
{
	bool ours;
	int rc;

	pthread_mutex_lock(&t->lock);
	ours = !b->busy && b->fill == NULL && !b->copy[c].dropping;
	b->busy = b->busy || ours;
	pthread_mutex_unlock(&t->lock);
	if (!ours)
		return -EAGAIN;
	rc = tier_punch_strays(t, b, c, file);
	pthread_mutex_lock(&t->lock);
	b->busy = false;
	blob_due(t, b);                 /* who looked meanwhile went by */
	pthread_mutex_unlock(&t->lock);
	return rc == 0 ? 0 : -EIO;
}

/* Whether the map knows a copy whose file is not open yet.  Locked. */
static bool tier_copy_is_shut(const struct tier *t, const struct blob *b, unsigned c)
{
	return b->copy[c].valid > 0 && b->copy[c].file == NULL && !b->copy[c].dropping && !b->busy &&
	       cache_in_service(t->cache[c].cache);
}

/* The files of the copies that the map knows, opened.  Each must have at least the blocks that it is said to have:
 * a map older than the disk, or newer, would otherwise show.  A copy that was dropped meanwhile is none any more. */
void tier_open_copies(struct tier *t, struct blob *b)
{
	for (unsigned c = 0; c < t->caches; c++) {
		uint64_t allocated = 0, expected;
		struct cache_copy *file = NULL;
		bool want, part;
		int rc;

		pthread_mutex_lock(&t->lock);
		part = b->part != NULL && part_cache(b->part) == c;
		want = tier_copy_is_shut(t, b, c);
		expected = (uint64_t)b->copy[c].valid * TIER_EXTENT_BYTES;
		pthread_mutex_unlock(&t->lock);
		if (!want)
			continue;
		rc = cache_copy_get(t->cache[c].cache, b->id, b->size, false, &allocated, &file);
		if (rc == 0 && part && allocated > expected) {
			rc = tier_clear_part(t, b, c, file);
			if (rc != 0) {
				cache_copy_put(file);
				file = NULL;
			}
		}
		pthread_mutex_lock(&t->lock);
		want = tier_copy_is_shut(t, b, c);
		if (want && rc == 0 && allocated + TIER_EXTENT_BYTES >= expected) {
			b->copy[c].file = file;
			b->copy[c].token = ++t->next_token;
			file = NULL;
		} else if (want && (rc == 0 || rc == -ENOENT || rc == -EIO)) {
			event_log_add(t->events, "copy-lost", cache_name(t->cache[c].cache), b->path,
				      "its file is not what the map says: dropped");
			place_remove_resident(t, b, c);
			blob_forget_copy(b, c);
			b->copy[c].dropping = true;
			blob_due(t, b);
		}
		if (b->copy[c].suspect)
			verify_suspect(t, b);
		pthread_mutex_unlock(&t->lock);
		cache_copy_put(file);
	}
}

static uint64_t tier_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

int tier_file_open(struct tier *t, const struct tier_open *how, struct tier_file **out)
{
	struct scan_opener who = { .pid = 0 };
	struct tier_file *f;
	struct blob *b;
	int rc;

	rc = tier_blob_of(t, how->fd, how->st, how->path, &b);
	if (rc != 0)
		return rc;
	f = calloc(1, sizeof(*f));
	if (f != NULL) {
		*f = (struct tier_file){ .tier = t, .blob = b, .pid = how->pid, .writes = how->writes };
		if (how->pid != 0 && !how->writes) {
			scan_opener_of(&who, "/proc", how->pid);
			f->scan = scan_class(t->seals, b->st_ino, &who, tier_seconds());
		}
	}
	pthread_mutex_lock(&t->lock);
	if (f == NULL) {
		blob_unref(t, b);
	} else if (how->writes) {
		tier_writer_begin(t, f);
	}
	pthread_mutex_unlock(&t->lock);
	if (f == NULL)
		return -ENOMEM;
	tier_open_copies(t, b);
	*out = f;
	return 0;
}

/* ---- how it is served ---- */

enum tier_serve tier_file_serve(struct tier_file *f, uint64_t *token)
{
	struct tier *t = f->tier;
	struct blob *b = f->blob;
	enum tier_serve serve = TIER_SERVE_HOME;

	*token = 0;
	if (f->writes)
		return TIER_SERVE_HOME;
	pthread_mutex_lock(&t->lock);
	for (unsigned c = 0; c < t->caches && b->writers == 0 && !b->gone && !blob_is_scratch(b->path); c++) {
		const struct blob_copy *k = &b->copy[c];

		if (!cache_in_service(t->cache[c].cache))
			continue;
		serve = TIER_SERVE_GATHER;
		if (t->native_home_only || !blob_complete(b, c) || k->suspect || b->suspect || k->dropping || k->file == NULL ||
		    b->fill != NULL)
			continue;
		serve = TIER_SERVE_COPY;
		*token = k->token;
		break;
	}
	pthread_mutex_unlock(&t->lock);
	return serve;
}

/* Whether the cache's disk still reads, before the kernel is given the copy: 4 KiB of it, past the page cache.  What goes
 * wrong afterwards is the client's to see, as on any disk. */
static bool tier_copy_answers(struct tier_file *f, struct cache_copy *file)
{
	struct tier *t = f->tier;
	bool direct;
	void *sector;
	ssize_t n;
	int fd = cache_copy_fd(file, &direct);

	if (!direct)
		return true;
	sector = aligned_alloc(TIER_SECTOR, TIER_SECTOR);
	if (sector == NULL)
		return true;
	n = io_pread(t->io, fd, sector, TIER_SECTOR, 0);
	free(sector);
	for (unsigned c = 0; n < 0 && c < t->caches; c++) {
		bool mine;

		pthread_mutex_lock(&t->lock);
		mine = f->blob->copy[c].file == file;
		pthread_mutex_unlock(&t->lock);
		if (mine)
			cache_failed(t->cache[c].cache, IO_PREAD, (int)n);
	}
	return n >= 0;
}

int tier_file_copy_fd(struct tier_file *f, uint64_t token)
{
	struct cache_copy *file;
	int fd;

	pthread_mutex_lock(&f->tier->lock);
	file = blob_copy_named(f->tier, f->blob, token);
	pthread_mutex_unlock(&f->tier->lock);
	if (file == NULL)
		return -ESTALE;
	fd = tier_copy_answers(f, file) ? cache_copy_native_fd(file) : -EIO;
	cache_copy_put(file);
	return fd;
}

/* The descriptors that gathered reads use, opened by the first that needs them. */
static void tier_open_home(struct tier *t, struct blob *b, int home_fd)
{
	int direct = io_reopen(t->io, home_fd, O_RDONLY | O_DIRECT), plain = io_reopen(t->io, home_fd, O_RDONLY);
	uint64_t resident = 0;

	if (plain >= 0 && residency_bytes(plain, 0, b->size, &resident) != 0)
		resident = 0;
	pthread_mutex_lock(&t->lock);
	if (b->home_fd == -1 && (direct >= 0 || plain >= 0)) {
		b->home_direct = direct >= 0;
		b->home_fd = direct >= 0 ? direct : fcntl(plain, F_DUPFD_CLOEXEC, 0);
		direct = -1;
	}
	b->home_may_be_warm = resident >= TIER_EXTENT_BYTES;
	if (b->home_warm_fd == -1 && plain >= 0 && b->home_may_be_warm) {
		b->home_warm_fd = plain;
		plain = -1;
	}
	pthread_mutex_unlock(&t->lock);
	if (direct >= 0)
		io_close(t->io, direct);
	if (plain >= 0)
		io_close(t->io, plain);
}

void tier_file_served(struct tier_file *f, enum tier_serve how, uint64_t token, int home_fd)
{
	struct tier *t = f->tier;
	struct blob *b = f->blob;

	f->served = how;
	f->token = token;
	f->told = true;
	if (how == TIER_SERVE_GATHER)
		tier_open_home(t, b, home_fd);
	else if (!f->writes)
		tier_ram_opened(f, home_fd);
	pthread_mutex_lock(&t->lock);
	if (how == TIER_SERVE_GATHER) {
		b->gathered++;
		/* a load that FUSE's page cache answers shows no read, and a small one is over within a tick */
		if (!f->writes && f->scan == SCAN_NO)
			blob_opened(t, b);
	} else {
		b->natives++;
		for (unsigned c = 0; c < t->caches; c++)
			b->copy[c].native += token != 0 && b->copy[c].token == token;
		if (!f->writes && f->scan == SCAN_NO)
			blob_touch_whole(t, b, 1.0);
	}
	pthread_mutex_unlock(&t->lock);
}

/* A gathered open ends.  What it read counted as it was read; what FUSE's page cache had of a blob that was read through
 * before did not show, and counts as a native open does.  Locked. */
static void tier_credit(struct tier *t, const struct tier_file *f)
{
	struct blob *b = f->blob;
	uint64_t bytes = atomic_load(&f->read_bytes);

	if (f->writes || f->scan != SCAN_NO)
		return;
	if (b->gathered_bytes >= b->size - b->size / 8 && bytes < b->size)
		blob_touch_whole(t, b, 1.0 - (double)bytes / (double)b->size);
	b->gathered_bytes += bytes;
}

void tier_file_close(struct tier_file *f)
{
	struct tier *t;
	struct blob *b;
	bool drop = false;

	if (f == NULL)
		return;
	t = f->tier;
	b = f->blob;
	tier_ram_closed(f);
	pthread_mutex_lock(&t->lock);
	if (f->writes)
		tier_writer_end(t, f);
	if (f->told && f->served == TIER_SERVE_GATHER)
		tier_credit(t, f);
	if (f->told && f->served == TIER_SERVE_GATHER && --b->gathered == 0) {
		for (unsigned c = 0; c < t->caches; c++)
			drop = drop || blob_complete(b, c);
		if (b->fill == NULL)
			gather_forget(t, b);
	} else if (f->told && f->served != TIER_SERVE_GATHER) {
		b->natives--;
		for (unsigned c = 0; c < t->caches; c++)
			if (f->token != 0 && b->copy[c].token == f->token)
				b->copy[c].native--;
	}
	blob_unref(t, b);
	pthread_mutex_unlock(&t->lock);
	if (drop && t->drop_pages != NULL)
		t->drop_pages(t->ctx, b->st_ino);
	free(f);
}

bool tier_file_gathers(struct tier_file *f)
{
	bool gathers;

	pthread_mutex_lock(&f->tier->lock);
	gathers = f->told && f->served == TIER_SERVE_GATHER && f->blob->writers == 0 && !f->blob->gone &&
		  f->blob->home_fd != -1;
	pthread_mutex_unlock(&f->tier->lock);
	return gathers;
}

bool tier_file_is_sealed(struct tier_file *f, int fd)
{
	struct lease *lease = NULL;
	bool written;

	pthread_mutex_lock(&f->tier->lock);
	written = f->blob->writers > 0;
	pthread_mutex_unlock(&f->tier->lock);
	if (written || lease_take(f->tier->leases, fd, &lease) != 0)
		return false;
	lease_drop(lease);
	return true;
}

void tier_file_read(struct tier_file *f, uint64_t off, uint32_t len, tier_read_done done, void *ctx)
{
	atomic_fetch_add_explicit(&f->read_bytes, len, memory_order_relaxed);
	gather_read(f->tier, f->blob, f->scan, off, len, done, ctx);
}

void tier_sealed(struct tier *t, uint64_t st_ino, const char *path, pid_t pid)
{
	struct scan_opener who;
	struct blob *b;

	scan_opener_of(&who, "/proc", pid);
	scan_sealed(t->seals, st_ino, &who, tier_seconds());
	pthread_mutex_lock(&t->lock);
	b = blob_find(t, st_ino);
	if (b != NULL)
		tier_set_path(b, path);
	pthread_mutex_unlock(&t->lock);
}
