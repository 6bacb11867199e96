/* tier_report.c - answers: bytes by tier, maps of extents, heats, reasons, the state of the whole. */
#include "tiering/blob.h"
#include "tiering/fill.h"
#include "tiering/place.h"
#include "tiering/residency.h"
#include "tiering/tier_internal.h"
#include "tiering/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIER_VERIFIED_ATTR "user.hearth.verified"

/* The blob that is known of the file, when it is the same file still.  Locked. */
static struct blob *tier_known(struct tier *t, const struct stat *st)
{
	struct blob *b = blob_find(t, st->st_ino);

	return b != NULL && b->size == (uint64_t)st->st_size ? b : NULL;
}

/* Descriptors of the copies of a file, for asking what is resident of them; -1 where there is none. */
static void tier_copies_of(struct tier *t, const struct stat *st, struct cache_copy *copy[TIER_CACHE_MAX])
{
	struct blob *b;

	pthread_mutex_lock(&t->lock);
	b = tier_known(t, st);
	for (unsigned c = 0; c < TIER_CACHE_MAX; c++)
		copy[c] = b != NULL && b->copy[c].file != NULL ? cache_copy_ref(b->copy[c].file) : NULL;
	pthread_mutex_unlock(&t->lock);
}

int tier_usage_of(struct tier *t, int fd, const struct stat *st, struct tier_usage *out)
{
	uint64_t size = (uint64_t)st->st_size, allocated = (uint64_t)st->st_blocks * 512, resident;
	struct cache_copy *copy[TIER_CACHE_MAX];
	struct tier_usage u = { { 0 } };
	struct blob *b;
	int rc;

	rc = residency_bytes(fd, 0, size, &u.bytes[0]);
	if (rc != 0)
		return rc;
	tier_copies_of(t, st, copy);
	for (unsigned c = 0; c < t->caches; c++) {
		if (copy[c] != NULL && residency_bytes(cache_copy_fd(copy[c], NULL), 0, size, &resident) == 0)
			u.bytes[0] = resident > u.bytes[0] ? resident : u.bytes[0];
		cache_copy_put(copy[c]);
	}
	pthread_mutex_lock(&t->lock);
	b = tier_known(t, st);
	for (unsigned c = 0; b != NULL && c < t->caches; c++) {
		uint64_t held = (uint64_t)b->copy[c].valid * TIER_EXTENT_BYTES;

		u.bytes[c + 1] = held < size ? held : size;
	}
	pthread_mutex_unlock(&t->lock);
	u.bytes[t->caches + 1] = allocated < size ? allocated : size;
	*out = u;
	return 0;
}

int tier_usage_print(const struct tier *t, const struct tier_usage *u, char *buf, size_t cap)
{
	int n = 0;

	for (unsigned i = 0; i < tier_count(t); i++)
		n += snprintf(buf + ((size_t)n < cap ? (size_t)n : cap), (size_t)n < cap ? cap - (size_t)n : 0, "%s%s=%llu",
			      i > 0 ? " " : "", t->names[i], (unsigned long long)u->bytes[i]);
	return n;
}

/* ---- the map of a file ---- */

struct tier_mapper {
	struct tier *t;
	int fd;
	off_t size, data_at, hole_at;   /* the last answer of lseek, so that a pass asks once for each stretch */
	struct cache_copy *copy[TIER_CACHE_MAX];
	const struct stat *st;
};

/* Does [off, off + len) hold any data?  File systems that cannot say have data. */
static bool tier_has_data(struct tier_mapper *m, off_t off, off_t len)
{
	if (off >= m->hole_at) {
		m->data_at = io_lseek(m->t->io, m->fd, off, SEEK_DATA);
		m->hole_at = m->data_at >= 0 ? io_lseek(m->t->io, m->fd, m->data_at, SEEK_HOLE) : -1;
		if (m->data_at == -ENXIO) {     /* no data from here to the end */
			m->data_at = m->hole_at = INT64_MAX;
		} else if (m->data_at < 0 || m->hole_at < 0) {
			m->data_at = 0;
			m->hole_at = INT64_MAX;
		}
	}
	return m->data_at < off + len;
}

static bool tier_is_resident(struct tier_mapper *m, off_t off, off_t len)
{
	uint64_t resident;

	if (residency_bytes(m->fd, (uint64_t)off, (uint64_t)len, &resident) == 0 && resident == (uint64_t)len)
		return true;
	for (unsigned c = 0; c < m->t->caches; c++)
		if (m->copy[c] != NULL && residency_bytes(cache_copy_fd(m->copy[c], NULL), (uint64_t)off, (uint64_t)len, &resident) == 0 &&
		    resident == (uint64_t)len)
			return true;
	return false;
}

static unsigned tier_extent_where(struct tier_mapper *m, uint64_t extent)
{
	off_t off = (off_t)(extent * TIER_EXTENT_BYTES), left = m->size - off;
	off_t len = left < (off_t)TIER_EXTENT_BYTES ? left : (off_t)TIER_EXTENT_BYTES;
	unsigned where = 0;
	struct blob *b;

	if (tier_is_resident(m, off, len))
		where |= 1;
	pthread_mutex_lock(&m->t->lock);
	b = tier_known(m->t, m->st);
	if (b != NULL && b->state != NULL && extent < b->extents)
		where |= (b->state[extent] & BLOB_VALID & ((1u << m->t->caches) - 1)) << 1;
	pthread_mutex_unlock(&m->t->lock);
	if (tier_has_data(m, off, len))
		where |= 1u << (m->t->caches + 1);
	return where;
}

static void tier_run_print(const struct tier *t, FILE *f, uint64_t first, uint64_t count, unsigned where)
{
	const char *sep = "";

	fprintf(f, "%llu %llu ", (unsigned long long)first, (unsigned long long)count);
	for (unsigned id = 0; id < tier_count(t); id++) {
		if (where & 1u << id) {
			fprintf(f, "%s%s", sep, tier_name(t, id));
			sep = "+";
		}
	}
	fprintf(f, "%s\n", where == 0 ? "none" : "");
}

int tier_map_print(struct tier *t, int fd, const struct stat *st, char **out)
{
	struct tier_mapper m = { .t = t, .fd = fd, .size = st->st_size, .hole_at = -1, .st = st };
	uint64_t count = ((uint64_t)st->st_size + TIER_EXTENT_BYTES - 1) / TIER_EXTENT_BYTES, first = 0;
	unsigned where = 0;
	size_t text_bytes;
	char *text = NULL;
	FILE *f;

	f = open_memstream(&text, &text_bytes);
	if (f == NULL)
		return -errno;
	tier_copies_of(t, st, m.copy);
	fprintf(f, "extent %u count %llu\n", TIER_EXTENT_BYTES, (unsigned long long)count);
	for (uint64_t i = 0; i < count; i++) {
		unsigned here = tier_extent_where(&m, i);

		if (i > 0 && here != where) {
			tier_run_print(t, f, first, i - first, where);
			first = i;
		}
		where = here;
	}
	if (count > 0)
		tier_run_print(t, f, first, count - first, where);
	for (unsigned c = 0; c < TIER_CACHE_MAX; c++)
		cache_copy_put(m.copy[c]);
	if (fclose(f) != 0) {
		free(text);
		return -ENOMEM;
	}
	*out = text;
	return 0;
}

/* ---- one blob ---- */

static int tier_text(char **out, const char *text)
{
	*out = strdup(text);
	return *out != NULL ? 0 : -ENOMEM;
}

int tier_heat_print(struct tier *t, const struct stat *st, char **out)
{
	struct ram_file_status ram = { .resident = 0 };
	double mean = 0, max = 0;
	struct blob *b;
	char buf[96];

	pthread_mutex_lock(&t->lock);
	b = tier_known(t, st);
	if (b != NULL && b->ram != NULL)
		ram_file_status(b->ram, &ram);
	if (b != NULL && t->caches > 0)
		mean = heat_key_now(b->key, &t->clock);
	for (uint32_t e = 0; b != NULL && b->heat != NULL && e < b->extents; e++) {
		double h = heat_now(b->heat[e], &t->clock);

		max = h > max ? h : max;
	}
	pthread_mutex_unlock(&t->lock);
	mean = ram.heat_mean > mean ? ram.heat_mean : mean;
	max = ram.heat_max > max ? ram.heat_max : max;
	snprintf(buf, sizeof(buf), "mean=%.3f max=%.3f", mean, max > mean ? max : mean);
	return tier_text(out, buf);
}

static void tier_why_cache(struct tier *t, const struct blob *b, unsigned c, FILE *f)
{
	const struct blob_copy *k = &b->copy[c];
	char why[256];

	policy_why_print(&k->why, &t->cache[c].rules, why, sizeof(why));
	fprintf(f, "%s: %s; %u of %u extents%s%s%s%s\n", t->names[c + 1], why, k->valid, b->extents,
		b->fill != NULL && b->fill->cache == c ? ", being filled" : "", k->suspect ? ", suspect" : "",
		k->dropping ? ", being dropped" : "", cache_in_service(t->cache[c].cache) ? "" : ", out of service");
}

static void tier_why_ram(const struct blob *b, FILE *f)
{
	struct policy_rules rules = policy_rules_ram(0);
	struct ram_file_status s;
	char why[256];

	if (b->ram == NULL) {
		fprintf(f, "ram: not read natively since the start\n");
		return;
	}
	ram_file_status(b->ram, &s);
	policy_why_print(&s.why, &rules, why, sizeof(why));
	fprintf(f, "ram: unit %llu %s; %llu bytes locked, %llu kept%s\n", (unsigned long long)s.why_unit, why,
		(unsigned long long)s.locked, (unsigned long long)s.kept, s.pinned ? ", pinned" : "");
}

int tier_why_print(struct tier *t, const struct stat *st, char **out)
{
	char *text = NULL;
	struct blob *b;
	size_t bytes;
	FILE *f;

	f = open_memstream(&text, &bytes);
	if (f == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&t->lock);
	b = tier_known(t, st);
	if (st->st_size < (off_t)TIER_EXTENT_BYTES) {
		fprintf(f, "home: smaller than an extent (%u bytes): served from home, never tiered\n", TIER_EXTENT_BYTES);
	} else if (b == NULL) {
		fprintf(f, "home: not opened since the start: nothing is known of it\n");
	} else {
		if (t->ram != NULL)
			tier_why_ram(b, f);
		for (unsigned c = 0; c < t->caches; c++)
			tier_why_cache(t, b, c, f);
		fprintf(f, "home: whole%s%s%s\n", b->writers > 0 ? ", open for writing" : "",
			blob_is_scratch(b->path) ? ", a name of files being made: not copied" : "",
			b->suspect ? ", changed behind the mount: being compared" : "");
		if (b->pin >= 0)
			fprintf(f, "pinned to %s\n", t->names[b->pin]);
		fprintf(f, "heat %.3f, read in %u ticks\n", t->caches > 0 ? heat_key_now(b->key, &t->clock) : 0.0, b->touches);
	}
	pthread_mutex_unlock(&t->lock);
	if (fclose(f) != 0) {
		free(text);
		return -ENOMEM;
	}
	*out = text;
	return 0;
}

/* Bytes that are there of what was ordered; false: nothing is under way.  Locked. */
static bool tier_warm_state(struct tier *t, struct blob *b, uint64_t *done)
{
	struct ram_file_status s;

	if (b->warm > 0) {
		*done = (uint64_t)b->copy[b->warm - 1].valid * TIER_EXTENT_BYTES;
		return true;
	}
	if (b->warm != 0)
		return false;
	*done = 0;
	if (b->ram_warming && b->ram != NULL) {
		ram_file_status(b->ram, &s);
		*done = b->size > s.wanted ? b->size - s.wanted : 0;
		if (s.wanted == 0) {
			b->warm = -1;
			b->ram_warming = false;
			return false;
		}
	}
	(void)t;
	return true;
}

int tier_warm_print(struct tier *t, const struct stat *st, char **out)
{
	char buf[160] = "idle";
	struct blob *b;
	uint64_t done;

	pthread_mutex_lock(&t->lock);
	b = tier_known(t, st);
	if (b != NULL && b->warm_failed) {
		b->warm_failed = false;
		snprintf(buf, sizeof(buf), "failed %s", b->warm_text);
	} else if (b != NULL && tier_warm_state(t, b, &done)) {
		snprintf(buf, sizeof(buf), "%s %llu %llu", t->names[b->warm], (unsigned long long)(done < b->size ? done : b->size),
			 (unsigned long long)b->size);
	}
	pthread_mutex_unlock(&t->lock);
	return tier_text(out, buf);
}

int tier_verified_print(struct tier *t, int fd, const struct stat *st, char **out)
{
	char buf[1024] = "never";
	struct blob *b;
	bool running;
	ssize_t n;

	pthread_mutex_lock(&t->lock);
	b = tier_known(t, st);
	running = b != NULL && verify_progress(b, buf, sizeof(buf));
	pthread_mutex_unlock(&t->lock);
	if (!running) {
		n = io_fgetxattr(t->io, fd, TIER_VERIFIED_ATTR, buf, sizeof(buf) - 1);
		if (n > 0)
			buf[n] = '\0';
	}
	return tier_text(out, buf);
}

int tier_pin_print(struct tier *t, int fd, const char *path, char **out)
{
	int8_t pin = tier_pin_of(t, fd, path);

	return tier_text(out, pin < 0 ? "none" : t->names[pin]);
}

int tier_plan_print(struct tier *t, char **out)
{
	char *caches, *ram = NULL;
	int rc;

	rc = place_plan_print(t, &caches);
	if (rc != 0 || t->ram == NULL || ram_plan_print(t->ram, &ram) != 0) {
		if (rc == 0)
			*out = caches;
		return rc;
	}
	rc = asprintf(out, "%s%s", ram, caches) < 0 ? -ENOMEM : 0;
	free(caches);
	free(ram);
	return rc;
}

int tier_events_print(struct tier *t, char **out)
{
	return event_log_print(t->events, out);
}

int tier_trace_print(struct tier *t, char **out)
{
	return trace_print(t->trace, 0, SIZE_MAX, out);
}

/* ---- the whole ---- */

static void tier_state_ram(struct tier *t, struct tier_state *s)
{
	struct ram_status r = { .budget = 0 };

	s->in_service = t->ram != NULL;
	if (t->ram == NULL)
		return;
	ram_status(t->ram, &r);
	s->size = r.budget;
	s->used = r.kept + r.locked;
	s->locked = r.locked;
	s->pinned = r.pinned;
	s->available = r.available;
	s->fills = r.admitted;
	s->fill_bytes = r.admitted * RAM_UNIT_BYTES;
	s->drops = r.dropped;
	s->soft = r.soft;
	s->note = r.why_not_locked;
	s->half_life_s = r.half_life_s;
}

static void tier_state_cache(struct tier *t, unsigned c, struct tier_state *s)
{
	struct tier_cache *k = &t->cache[c];
	struct cache_space space;

	cache_space(k->cache, &space);
	s->dir = cache_dir(k->cache);
	s->in_service = cache_in_service(k->cache) && !t->frozen;
	cache_reason(k->cache, s->reason, sizeof(s->reason));
	s->size = space.size;
	s->used = space.used;
	s->leaving = space.leaving;
	s->available = space.device_free < space.size - (space.used < space.size ? space.used : space.size) ?
		       space.device_free : space.size - (space.used < space.size ? space.used : space.size);
	pthread_mutex_lock(&t->lock);
	if (t->frozen && s->reason[0] == '\0')
		snprintf(s->reason, sizeof(s->reason), "the map cannot be written: the cache stays as it is");
	s->pinned = k->set.pinned * TIER_EXTENT_BYTES;
	s->reads = t->served[c].reads;
	s->read_bytes = t->served[c].read_bytes;
	s->fills = k->fills;
	s->fill_bytes = k->fill_bytes;
	s->drops = k->drops;
	s->bad_sums = k->bad_sums;
	s->half_life_s = heat_clock_half_life_seconds(&t->clock);
	pthread_mutex_unlock(&t->lock);
}

void tier_state_of(struct tier *t, unsigned id, struct tier_state *out)
{
	struct statvfs sv;

	*out = (struct tier_state){ .name = tier_name(t, id), .in_service = true };
	if (id == 0) {
		tier_state_ram(t, out);
	} else if (id <= t->caches) {
		tier_state_cache(t, id - 1, out);
	} else {
		out->dir = home_path(t->home);
		if (home_statvfs(t->home, &sv) == 0) {
			out->size = sv.f_blocks * sv.f_frsize;
			out->used = (sv.f_blocks - sv.f_bfree) * sv.f_frsize;
			out->available = sv.f_bavail * sv.f_frsize;
		}
		pthread_mutex_lock(&t->lock);
		out->reads = t->served[TIER_HOME_DEV].reads;
		out->read_bytes = t->served[TIER_HOME_DEV].read_bytes;
		pthread_mutex_unlock(&t->lock);
	}
}

size_t tier_moves(struct tier *t, struct tier_move *out, size_t cap)
{
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	for (struct fill *f = place_fills(t); f != NULL && n < cap; f = f->next) {
		size_t len = strlen(f->blob->path);
		const char *path = len >= sizeof(out[n].blob) ? f->blob->path + len - sizeof(out[n].blob) + 1 : f->blob->path;

		if (f->part && fill_is_idle(f) && f->written == 0)
			continue;               /* it waits for what clients read */
		out[n] = (struct tier_move){ .to = t->names[f->cache + 1], .total = f->blob->size, .ordered = f->ordered };
		snprintf(out[n].blob, sizeof(out[n].blob), "%s", path);
		out[n].done = (uint64_t)f->blob->copy[f->cache].valid * TIER_EXTENT_BYTES;
		if (out[n].done > out[n].total)
			out[n].done = out[n].total;
		n++;
	}
	pthread_mutex_unlock(&t->lock);
	return n;
}
