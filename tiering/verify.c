#include "tiering/verify.h"
#include "tiering/blob.h"
#include "tiering/gather.h"
#include "tiering/place.h"
#include "tiering/store.h"
#include "tiering/sums.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <nettle/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VERIFY_BAD_MAX 64               /* runs of bad extents that are named */
#define VERIFY_SAVE_BYTES (256ull << 20)
#define VERIFY_ATTR "user.hearth.verified"
#define VERIFY_AGAIN_TICKS 120u         /* before what is still in doubt is compared once more: half a minute, */
#define VERIFY_FAILS_MAX 8u             /* doubled with each failure, up to two hours */

struct verify {
	struct blob *next;              /* in the queue */
	bool queued, ordered, stop;     /* ordered: somebody asked; stop: and asks no more */
	bool hashing;                   /* sha has every byte before at */
	bool has_digest, digest_good;
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx sha;
	uint64_t at;                    /* bytes checked, whole extents */
	struct { uint32_t first, last; } bad[VERIFY_BAD_MAX];
	unsigned nbad;
	uint64_t saved;
	struct home_ident walked;       /* what home's file was when the first extent was read */
	bool whole;                     /* and that was in this process */
	bool home;                      /* the walk compares home's bytes too, not copies only */
	unsigned missed;                /* caches with extents that could not be compared, as bits */
	unsigned fails;                 /* times in a row that it could not be walked */
};

/* Where an earlier process stopped: what the map keeps. */
struct verify_state {
	uint32_t nettle, bytes;         /* whose struct sha256_ctx it is */
	struct home_ident ident;
	uint64_t at;
	struct sha256_ctx sha;
};

struct verify_resume {
	struct verify_resume *next;
	uint64_t st_ino;
	struct verify_state state;
};

struct verifier {
	struct tier *tier;
	pthread_t thread;
	pthread_cond_t wake;
	unsigned char *buf, *copy;      /* an extent each */
	/* below: tier->lock */
	struct blob *queue;
	bool running, stop;
};

static uint32_t verify_nettle(void)
{
	return NETTLE_VERSION_MAJOR << 16 | NETTLE_VERSION_MINOR;
}

/* The digest that the last part of the path names. */
static bool verify_parse_digest(const char *path, uint8_t digest[SHA256_DIGEST_SIZE])
{
	const char *base = strrchr(path, '/');

	base = base != NULL ? base + 1 : path;
	if (strncmp(base, "sha256-", 7) != 0 || strspn(base + 7, "0123456789abcdefABCDEF") != 64 || base[7 + 64] != '\0')
		return false;
	for (int i = 0; i < SHA256_DIGEST_SIZE; i++) {
		unsigned byte = 0;

		sscanf(base + 7 + 2 * i, "%2x", &byte);
		digest[i] = (uint8_t)byte;
	}
	return true;
}

void verify_saved(struct tier *t, const char *name, const void *value, size_t len)
{
	struct verify_resume *r;
	unsigned long long ino;
	char end;

	if (sscanf(name, "verify.%llu%c", &ino, &end) != 1 || len != sizeof(r->state))
		return;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return;
	r->st_ino = ino;
	memcpy(&r->state, value, len);
	r->next = t->verify_resume;
	t->verify_resume = r;
}

/* Go on where an earlier process was, if it was this file and this hash. */
static void verify_resume(struct tier *t, struct blob *b)
{
	struct verify *v = b->verify;

	for (struct verify_resume *r = t->verify_resume; r != NULL; r = r->next) {
		if (r->st_ino != b->st_ino || r->state.nettle != verify_nettle() || r->state.bytes != sizeof(v->sha) ||
		    !home_ident_equal(&r->state.ident, &b->ident) || r->state.at > b->size)
			continue;
		v->sha = r->state.sha;
		v->walked = r->state.ident;
		v->whole = false;
		v->hashing = v->home = true;
		v->at = v->saved = r->state.at;
		r->st_ino = 0;
	}
}

static void verify_save(struct tier *t, struct blob *b, bool forget)
{
	struct verify_state s = { .nettle = verify_nettle(), .bytes = sizeof(s.sha) };
	struct map_txn *txn = NULL;
	char name[32];

	if (t->map == NULL || t->frozen || map_txn_new(&txn) != 0)
		return;
	snprintf(name, sizeof(name), "verify.%llu", (unsigned long long)b->st_ino);
	pthread_mutex_lock(&t->lock);
	s.ident = b->ident;
	s.at = b->verify->at;
	s.sha = b->verify->sha;
	pthread_mutex_unlock(&t->lock);
	if (map_txn_set(txn, name, forget ? NULL : &s, forget ? 0 : sizeof(s)) != 0 || map_submit(t->map, txn, NULL, NULL) != 0)
		map_txn_free(txn);
}

static struct verify *verify_of(struct blob *b)
{
	if (b->verify != NULL)
		return b->verify;
	b->verify = calloc(1, sizeof(*b->verify));
	if (b->verify != NULL)
		sha256_init(&b->verify->sha);
	return b->verify;
}

void verify_forget(struct blob *b)
{
	free(b->verify);
	b->verify = NULL;
}

static void verify_queue(struct tier *t, struct blob *b)
{
	struct blob **p;

	if (b->verify->queued || t->verifier == NULL)
		return;
	b->verify->queued = true;
	b->verify->next = NULL;
	b->refs++;
	p = &t->verifier->queue;
	while (*p != NULL)
		p = &(*p)->verify->next;
	*p = b;
	pthread_cond_signal(&t->verifier->wake);
}

int verify_order(struct tier *t, struct blob *b, bool start)
{
	struct verify *v = verify_of(b);

	if (v == NULL)
		return -ENOMEM;
	if (!start) {
		v->stop = v->queued && v->ordered;
		return 0;
	}
	v->stop = false;
	if (v->ordered && v->queued)
		return 0;
	v->ordered = true;
	v->has_digest = verify_parse_digest(b->path, v->digest);
	if (v->at == 0 && !v->queued)
		verify_resume(t, b);
	verify_queue(t, b);
	return 0;
}

void verify_suspect(struct tier *t, struct blob *b)
{
	if (verify_of(b) != NULL)
		verify_queue(t, b);
}

static bool verify_doubts(const struct tier *t, const struct blob *b)
{
	bool any = b->suspect;

	for (unsigned c = 0; c < t->caches; c++)
		any = any || (b->copy[c].suspect && cache_in_service(t->cache[c].cache));
	return any && !b->gone;
}

void verify_doubtful(struct tier *t, struct blob *b)
{
	if (b->compare_tick <= t->tick && verify_doubts(t, b))
		verify_suspect(t, b);
}

bool verify_progress(const struct blob *b, char *buf, size_t cap)
{
	const struct verify *v = b->verify;

	if (v == NULL || !v->queued || !v->ordered)
		return false;
	snprintf(buf, cap, "running %llu %llu", (unsigned long long)v->at, (unsigned long long)b->size);
	return true;
}

/* ---- the thread ---- */

static void verify_mark_bad(struct verify *v, uint32_t extent)
{
	if (v->nbad > 0 && v->bad[v->nbad - 1].last + 1 == extent) {
		v->bad[v->nbad - 1].last = extent;
	} else if (v->nbad < VERIFY_BAD_MAX) {
		v->bad[v->nbad].first = v->bad[v->nbad].last = extent;
		v->nbad++;
	}
}

/* The extent on each cache that has it, against its sum. */
static void verify_copies(struct tier *t, struct blob *b, uint32_t e)
{
	for (unsigned c = 0; c < t->caches; c++) {
		uint32_t len = blob_extent_bytes(b, e), whole;
		struct cache_copy *file = NULL;
		uint64_t want = 0;
		bool direct = false, has;
		ssize_t n;
		int fd = -1;

		pthread_mutex_lock(&t->lock);
		has = b->state != NULL && b->state[e] & 1u << c;
		if (has && b->copy[c].file != NULL && cache_in_service(t->cache[c].cache)) {
			file = cache_copy_ref(b->copy[c].file);
			fd = cache_copy_fd(file, &direct);
			want = b->sum[e];
		}
		pthread_mutex_unlock(&t->lock);
		if (file == NULL) {
			b->verify->missed |= has ? 1u << c : 0;
			continue;
		}
		whole = direct ? (len + 4095) & ~4095u : len;
		n = io_pread(t->io, fd, t->verifier->copy, whole, (off_t)e * TIER_EXTENT_BYTES);
		if (n < 0) {
			cache_failed(t->cache[c].cache, IO_PREAD, (int)n);
			b->verify->missed |= 1u << c;
		}
		if (n >= 0 && (n < (ssize_t)len || sums_extent(b->id, e, t->verifier->copy, len) != want)) {
			pthread_mutex_lock(&t->lock);
			place_bad_extent(t, b, c, e);
			pthread_mutex_unlock(&t->lock);
		}
		cache_copy_put(file);
	}
}

/* One extent of home and its copies.  0, or why it cannot go on. */
static int verify_extent(struct tier *t, struct blob *b, int fd, uint32_t e)
{
	struct verify *v = b->verify;
	uint32_t len = blob_extent_bytes(b, e);
	uint64_t want;
	bool summed;
	ssize_t n;

	if (!v->home) {         /* only copies are in doubt */
		verify_copies(t, b, e);
		return 0;
	}
	n = io_pread(t->io, fd, t->verifier->buf, TIER_EXTENT_BYTES, (off_t)e * TIER_EXTENT_BYTES);
	if (n < (ssize_t)len)
		return n < 0 ? (int)n : -ESTALE;
	if (v->hashing)
		sha256_update(&v->sha, len, t->verifier->buf);
	pthread_mutex_lock(&t->lock);
	summed = b->state != NULL && b->state[e] & BLOB_SUMMED;
	want = summed ? b->sum[e] : 0;
	pthread_mutex_unlock(&t->lock);
	if (summed && sums_extent(b->id, e, t->verifier->buf, len) != want) {
		pthread_mutex_lock(&t->lock);
		verify_mark_bad(v, e);
		pthread_mutex_unlock(&t->lock);
	}
	verify_copies(t, b, e);
	return 0;
}

/* Leave the disk to clients: a fifth of the time while they wait for it, four fifths otherwise. */
static void verify_pause(struct tier *t, uint64_t spent_ns)
{
	struct timespec until;
	uint64_t rest;

	clock_gettime(CLOCK_MONOTONIC, &until);
	pthread_mutex_lock(&t->lock);
	rest = gather_is_busy(t, TIER_HOME_DEV) ? spent_ns * 4 : spent_ns / 4;
	until.tv_sec += (time_t)((until.tv_nsec + rest) / 1000000000u);
	until.tv_nsec = (long)((until.tv_nsec + rest) % 1000000000u);
	while (!t->verifier->stop && pthread_cond_timedwait(&t->verifier->wake, &t->lock, &until) == 0)
		;
	pthread_mutex_unlock(&t->lock);
}

/* Home's file for the job; its identity must be the one that everything here is about. */
static int verify_open(struct tier *t, struct blob *b)
{
	char path[BLOB_PATH_MAX];
	struct home_ident id;
	struct stat st;
	int fd, direct, rc;

	fd = home_openat(t->home, blob_path(t, b, path), O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return fd;
	rc = io_fstat(t->io, fd, &st);
	id = home_ident(&st);
	if (rc == 0 && (id.ino != b->st_ino || id.size != b->size))
		rc = -ESTALE;
	if (rc != 0) {
		io_close(t->io, fd);
		return rc;
	}
	direct = io_reopen(t->io, fd, O_RDONLY | O_DIRECT);
	if (direct >= 0) {
		io_close(t->io, fd);
		fd = direct;
	}
	return fd;
}

/* Begin, or go on where it was stopped if home's file is still what it was then. */
static int verify_begin(struct tier *t, struct blob *b, int fd)
{
	struct verify *v = b->verify;
	struct home_ident id;
	struct stat st;
	int rc = io_fstat(t->io, fd, &st);

	if (rc != 0)
		return rc;
	id = home_ident(&st);
	pthread_mutex_lock(&t->lock);
	if (v->at == 0 || !home_ident_equal(&id, &v->walked) || (b->suspect && !v->home)) {
		v->at = v->saved = 0;
		v->nbad = 0;
		v->missed = 0;
		v->whole = true;
		v->walked = id;
		v->hashing = v->ordered;
		v->home = v->ordered || b->suspect;
		sha256_init(&v->sha);
	}
	pthread_mutex_unlock(&t->lock);
	return 0;
}

static int verify_walk(struct tier *t, struct blob *b, int fd)
{
	struct verify *v = b->verify;
	int rc = 0;

	while (rc == 0 && v->at < b->size) {
		uint32_t e = (uint32_t)(v->at / TIER_EXTENT_BYTES);
		uint64_t began = gather_now();
		bool stop;

		rc = verify_extent(t, b, fd, e);
		pthread_mutex_lock(&t->lock);
		if (rc == 0)
			v->at += blob_extent_bytes(b, e);
		stop = t->verifier->stop || v->stop || b->gone;
		pthread_mutex_unlock(&t->lock);
		if (rc == 0 && v->hashing && v->at - v->saved >= VERIFY_SAVE_BYTES) {
			v->saved = v->at;
			verify_save(t, b, false);
		}
		if (stop)
			return -ECANCELED;
		verify_pause(t, gather_now() - began);
	}
	return rc;
}

static void verify_text(struct verify *v, char *buf, size_t cap)
{
	time_t now = time(NULL);
	struct tm tm;
	size_t n = 0;

	gmtime_r(&now, &tm);
	if (v->nbad == 0 && (!v->has_digest || v->digest_good)) {
		strftime(buf, cap, "ok %Y-%m-%dT%H:%M:%SZ", &tm);
		return;
	}
	n = strftime(buf, cap, "bad %Y-%m-%dT%H:%M:%SZ", &tm);
	n += (size_t)snprintf(buf + n, cap - n, v->nbad > 0 ? " extents" : " sha256 is not the one in its name");
	for (unsigned i = 0; i < v->nbad && n + 64 < cap; i++)
		n += (size_t)snprintf(buf + n, cap - n, v->bad[i].first == v->bad[i].last ? " %u" : " %u-%u", v->bad[i].first,
				      v->bad[i].last);
	snprintf(buf + n, cap - n, " (home)");
}

/* What came out of an order: to home's attribute, where it stays. */
static void verify_tell(struct tier *t, struct blob *b, int fd)
{
	struct verify *v = b->verify;
	uint8_t digest[SHA256_DIGEST_SIZE];
	char text[1024], path[BLOB_PATH_MAX];
	struct tier_meta meta;
	struct stat st;

	sha256_digest(&v->sha, sizeof(digest), digest);
	v->digest_good = memcmp(digest, v->digest, sizeof(digest)) == 0;
	verify_text(v, text, sizeof(text));
	if (tier_meta_begin(t, fd, &meta) == 0 && io_fsetxattr(t->io, fd, VERIFY_ATTR, text, strlen(text), 0) == 0 &&
	    io_fstat(t->io, fd, &st) == 0)
		tier_meta_end(t, &meta, &st);
	else
		tier_meta_end(t, &meta, NULL);
	pthread_mutex_lock(&t->lock);
	event_log_add(t->events, text[0] == 'o' ? "verified" : "verify-failed", "home", b->path, "%s", text);
	pthread_mutex_unlock(&t->lock);
	if (text[0] != 'o')
		log_err("'%s': %s", blob_path(t, b, path), text);
	verify_save(t, b, true);
}

/* Its sums were compared: is it to be trusted again?  Only as what was walked, from its first extent to its last; st
 * is what home's file is now.  False: compare once more. */
static bool verify_absolve(struct tier *t, struct blob *b, const struct stat *st)
{
	struct home_ident now = home_ident(st);
	struct verify *v = b->verify;

	for (unsigned c = 0; c < t->caches && v->whole; c++)
		if (!(v->missed & 1u << c))
			b->copy[c].suspect = false;
	blob_due(t, b);
	if (!b->suspect || b->gone)
		return true;
	if (v->nbad > 0 || !home_ident_same_data(&now, &b->ident)) {
		event_log_add(t->events, "changed", "home", b->path, "home's file changed: its copies are dropped");
		place_changed(t, b);
		return true;
	}
	if (!v->whole || !v->home || !home_ident_equal(&now, &v->walked) || !home_ident_equal(&now, &b->seen)) {
		b->seen = now;
		return false;
	}
	b->suspect = false;
	b->ident = b->seen;
	store_put_ident(t, b);
	return true;
}

/* Its walk is over, as rc says: what is there still to do?  Locked. */
static void verify_end(struct tier *t, struct blob *b, int rc, bool again)
{
	struct verify *v = b->verify;

	v->queued = false;
	v->fails = rc == 0 || rc == -ECANCELED ? 0 : v->fails < VERIFY_FAILS_MAX ? v->fails + 1 : v->fails;
	if (v->fails == 1 || (v->fails > 1 && v->ordered))
		event_log_add(t->events, "verify-failed", "home", b->path, "%s", strerror(-rc));
	if (rc == -ECANCELED) {         /* another order goes on here; what is in doubt goes on at once */
		v->ordered = v->ordered && !v->stop;
		v->stop = false;
		again = verify_doubts(t, b);
	} else {                        /* the next one begins at the beginning */
		again = again || (rc == 0 && v->ordered && !v->hashing);        /* ordered in the middle of a walk */
		v->ordered = rc == 0 && v->ordered && !v->hashing;
		v->at = v->saved = 0;
		v->nbad = 0;
	}
	b->compare_tick = t->tick + ((uint64_t)VERIFY_AGAIN_TICKS << v->fails);
	if (again && !t->verifier->stop)
		verify_suspect(t, b);
}

static void verify_blob(struct tier *t, struct blob *b)
{
	struct verify *v = b->verify;
	int fd = verify_open(t, b), rc;
	bool again = false, tell;
	struct stat st;

	tier_open_copies(t, b);
	rc = fd < 0 ? fd : verify_begin(t, b, fd);
	if (rc == 0)
		rc = verify_walk(t, b, fd);
	if (rc == 0)
		rc = io_fstat(t->io, fd, &st);
	pthread_mutex_lock(&t->lock);
	if (rc == 0)
		again = !verify_absolve(t, b, &st);
	tell = rc == 0 && v->ordered && v->hashing;
	pthread_mutex_unlock(&t->lock);
	if (tell)
		verify_tell(t, b, fd);
	if (fd >= 0)
		io_close(t->io, fd);
	pthread_mutex_lock(&t->lock);
	verify_end(t, b, rc, again);
	blob_unref(t, b);
	pthread_mutex_unlock(&t->lock);
}

static void *verify_run(void *arg)
{
	struct verifier *w = arg;
	struct tier *t = w->tier;

	pthread_mutex_lock(&t->lock);
	while (!w->stop) {
		struct blob *b = w->queue;

		if (b == NULL) {
			pthread_cond_wait(&w->wake, &t->lock);
			continue;
		}
		w->queue = b->verify->next;
		pthread_mutex_unlock(&t->lock);
		verify_blob(t, b);
		pthread_mutex_lock(&t->lock);
	}
	for (struct blob *b = w->queue; b != NULL; b = b->verify->next)
		b->refs--;
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

int verify_start(struct tier *t)
{
	struct verifier *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;
	int rc = -ENOMEM;

	if (w == NULL)
		return -ENOMEM;
	w->tier = t;
	w->buf = aligned_alloc(4096, TIER_EXTENT_BYTES);
	w->copy = aligned_alloc(4096, TIER_EXTENT_BYTES);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
	t->verifier = w;
	if (w->buf != NULL && w->copy != NULL)
		rc = -pthread_create(&w->thread, NULL, verify_run, w);
	w->running = rc == 0;
	if (rc != 0)
		verify_stop(t);
	return rc;
}

void verify_stop(struct tier *t)
{
	struct verifier *w = t->verifier;
	struct verify_resume *r, *next;

	if (w == NULL)
		return;
	if (w->running) {
		pthread_mutex_lock(&t->lock);
		w->stop = true;
		pthread_cond_signal(&w->wake);
		pthread_mutex_unlock(&t->lock);
		pthread_join(w->thread, NULL);
	}
	pthread_mutex_lock(&t->lock);
	t->verifier = NULL;             /* whatever becomes suspect from here on is compared after the next start */
	pthread_mutex_unlock(&t->lock);
	for (r = t->verify_resume; r != NULL; r = next) {
		next = r->next;
		free(r);
	}
	t->verify_resume = NULL;
	pthread_cond_destroy(&w->wake);
	free(w->buf);
	free(w->copy);
	free(w);
}
