#include "tests/unit/tier_truth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t truth_now(truth_clock *clock)
{
	return atomic_fetch_add(clock, 1) + 1;
}

uint64_t truth_draw(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint64_t truth_chunks(uint64_t size)
{
	return (size + TRUTH_CHUNK - 1) / TRUTH_CHUNK;
}

/* Touches its own memory only: a sanitizer that looks at each store would find nothing, in most of the test's time. */
__attribute__((no_sanitize("thread", "address"), optimize("O2")))
static void truth_expand(uint64_t chunk, uint64_t out[TRUTH_CHUNK / 8])
{
	for (unsigned i = 0; i < TRUTH_CHUNK / 8; i++)
		out[i] = chunk == 0 ? 0 : (chunk + i * 0x9e3779b97f4a7c15ull) ^ chunk >> 29;
}

/* As memcmp, for bytes whose first one the caller looked at: that is what ThreadSanitizer is to see. */
__attribute__((no_sanitize("thread"), optimize("O2")))
static bool truth_same(const unsigned char *a, const unsigned char *b, size_t n)
{
	size_t i = 0;
	uint64_t x, y;

	for (; i + 8 <= n; i += 8) {
		__builtin_memcpy(&x, a + i, 8);
		__builtin_memcpy(&y, b + i, 8);
		if (x != y)
			return false;
	}
	for (; i < n; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

struct truth *truth_new(truth_clock *clock, uint64_t ino, uint64_t size, uint64_t seed)
{
	struct truth *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->clock = clock;
	t->ino = ino;
	t->seed = seed;
	t->n = 1;
	t->content[0] = (struct truth_content){ .from = truth_now(clock), .to = UINT64_MAX, .size = size };
	t->content[0].chunk = calloc(truth_chunks(size) + 1, sizeof(uint64_t));
	for (uint64_t i = 0; i < truth_chunks(size); i++)
		t->content[0].chunk[i] = truth_draw(&t->seed) | 1;
	pthread_mutex_init(&t->change, NULL);
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void truth_free(struct truth *t)
{
	if (t == NULL)
		return;
	for (unsigned i = 0; i < t->n; i++)
		free(t->content[i].chunk);
	pthread_mutex_destroy(&t->change);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ---- changes ---- */

bool truth_change_begin(struct truth *t)
{
	pthread_mutex_lock(&t->change);
	if (t->n + 8 < TRUTH_CONTENTS)          /* a change is a few steps at most */
		return true;
	pthread_mutex_unlock(&t->change);
	return false;
}

void truth_change_end(struct truth *t)
{
	pthread_mutex_unlock(&t->change);
}

uint64_t truth_size(struct truth *t)
{
	uint64_t size;

	pthread_mutex_lock(&t->lock);
	size = t->content[t->n - 1].size;
	pthread_mutex_unlock(&t->lock);
	return size;
}

/* A new newest content of that size, with the old one's bytes as far as it had them.  Not yet seen by others:
 * truth_publish. */
static struct truth_content truth_next(struct truth *t, uint64_t size)
{
	const struct truth_content *old = &t->content[t->n - 1];
	uint64_t have = truth_chunks(old->size), want = truth_chunks(size);
	struct truth_content c = { .to = UINT64_MAX, .size = size, .chunk = calloc(want + 1, sizeof(uint64_t)) };

	memcpy(c.chunk, old->chunk, (have < want ? have : want) * sizeof(uint64_t));
	return c;
}

static void truth_publish(struct truth *t, struct truth_content *c)
{
	pthread_mutex_lock(&t->lock);
	c->from = truth_now(t->clock);
	t->content[t->n++] = *c;
	pthread_mutex_unlock(&t->lock);
}

void *truth_write(struct truth *t, uint64_t off, uint64_t len)
{
	uint64_t size = truth_size(t);
	struct truth_content c = truth_next(t, off + len > size ? off + len : size);
	void *bytes = malloc(len + TRUTH_CHUNK);

	for (uint64_t i = off / TRUTH_CHUNK; i < truth_chunks(off + len); i++)
		c.chunk[i] = truth_draw(&t->seed) | 1;
	truth_publish(t, &c);
	truth_bytes(t, off, bytes, len);
	return bytes;
}

void truth_resize(struct truth *t, uint64_t size)
{
	struct truth_content c = truth_next(t, size);

	truth_publish(t, &c);
}

void truth_made(struct truth *t, bool told)
{
	pthread_mutex_lock(&t->lock);
	for (unsigned i = 0; i + 1 < t->n; i++) {
		struct truth_content *c = &t->content[i];

		if (c->to == UINT64_MAX)
			c->to = truth_now(t->clock);
		if (told && c->told == 0)
			c->told = truth_now(t->clock);
	}
	pthread_mutex_unlock(&t->lock);
}

/* ---- looks ---- */

static void truth_content_bytes(const struct truth_content *c, uint64_t off, unsigned char *buf, size_t len)
{
	uint64_t words[TRUTH_CHUNK / 8];

	while (len > 0) {
		size_t at = off % TRUTH_CHUNK, n = TRUTH_CHUNK - at < len ? TRUTH_CHUNK - at : len;

		truth_expand(c->chunk[off / TRUTH_CHUNK], words);
		memcpy(buf, (const unsigned char *)words + at, n);
		buf += n;
		off += n;
		len -= n;
	}
}

void truth_bytes(struct truth *t, uint64_t off, void *buf, size_t len)
{
	pthread_mutex_lock(&t->lock);
	truth_content_bytes(&t->content[t->n - 1], off, buf, len);
	pthread_mutex_unlock(&t->lock);
}

static bool truth_seen(const struct truth_content *c, const struct truth_look *l)
{
	if (c->from > l->ended || c->to < l->opened)
		return false;
	return c->told == 0 || c->told >= l->began || l->ready > c[1].from;     /* told: so there is a next one */
}

/* A part of one chunk: the same as in one of the contents, or byte by byte as in some of them, or zeros past the end of
 * one: a read that meets a cut of the file may have its length of before. */
static bool truth_part(const struct truth *t, const struct truth_look *l, uint64_t off, const unsigned char *bytes, size_t n)
{
	uint64_t words[TRUTH_CHUNK / 8];
	const unsigned char *want = (const unsigned char *)words + off % TRUTH_CHUNK;
	bool good[TRUTH_CHUNK] = { false };

	for (unsigned i = t->n; i-- > 0;) {
		const struct truth_content *c = &t->content[i];
		size_t has = off >= c->size ? 0 : c->size - off < n ? c->size - off : n;

		if (!truth_seen(c, l))
			continue;
		if (has > 0)
			truth_expand(c->chunk[off / TRUTH_CHUNK], words);
		if (has == n && want[0] == bytes[0] && truth_same(want, bytes, n))
			return true;
		for (size_t k = 0; k < n; k++)
			good[k] = good[k] || (k < has ? want[k] == bytes[k] : bytes[k] == 0);
	}
	return memchr(good, false, n) == NULL;
}

static void truth_explain(const struct truth *t, const struct truth_look *l, uint64_t off, const unsigned char *bytes,
			  char *why, size_t cap)
{
	uint64_t words[TRUTH_CHUNK / 8];
	size_t n;

	n = (size_t)snprintf(why, cap, "ino %llu byte %llu, look %llu/%llu/%llu:", (unsigned long long)t->ino,
			     (unsigned long long)off, (unsigned long long)l->opened, (unsigned long long)l->began,
			     (unsigned long long)l->ended);
	for (unsigned i = 0; i < t->n && n < cap; i++) {
		const struct truth_content *c = &t->content[i];
		bool is = false;

		if (off < c->size) {
			truth_expand(c->chunk[off / TRUTH_CHUNK], words);
			is = memcmp((const unsigned char *)words + off % TRUTH_CHUNK, bytes, 1) == 0;
		}
		n += (size_t)snprintf(why + n, cap - n, " [%u: %llu-%lld told %llu size %llu%s]", i, (unsigned long long)c->from,
				      (long long)c->to, (unsigned long long)c->told, (unsigned long long)c->size, is ? " THIS" : "");
	}
}

/* While the file is cut or grows a read may end anywhere in between. */
static bool truth_length(const struct truth *t, const struct truth_look *l, uint64_t off, size_t len, size_t n)
{
	size_t least = SIZE_MAX, most = 0;

	for (unsigned i = t->n; i-- > 0;) {
		const struct truth_content *c = &t->content[i];
		uint64_t has = off >= c->size ? 0 : c->size - off < len ? c->size - off : len;

		if (!truth_seen(c, l))
			continue;
		least = has < least ? has : least;
		most = has > most ? has : most;
	}
	return least <= n && n <= most;
}

bool truth_allows(struct truth *t, const struct truth_look *look, uint64_t off, size_t len, const void *bytes, size_t n,
		  char *why, size_t cap)
{
	const unsigned char *p = bytes;
	size_t at = 0;
	bool good;

	pthread_mutex_lock(&t->lock);
	good = truth_length(t, look, off, len, n);
	if (!good)
		truth_explain(t, look, off, (const unsigned char *)"", why, cap);
	while (good && at < n) {
		size_t in = TRUTH_CHUNK - (off + at) % TRUTH_CHUNK, part = n - at < in ? n - at : in;

		good = truth_part(t, look, off + at, p + at, part);
		if (!good)
			truth_explain(t, look, off + at, p + at, why, cap);
		at += part;
	}
	pthread_mutex_unlock(&t->lock);
	return good;
}
