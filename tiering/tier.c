#include "tiering/blob.h"
#include "tiering/gather.h"
#include "tiering/part.h"
#include "tiering/place.h"
#include "tiering/store.h"
#include "tiering/sums.h"
#include "tiering/tier_internal.h"
#include "tiering/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

int tier_parse_cache(const char *text, struct tier_cache_config *out, char *err, size_t errlen)
{
	char *name, *dir;
	int rc;

	rc = cache_parse(text, &name, &dir, &out->size, err, errlen);
	if (rc != 0)
		return rc;
	out->name = name;
	out->dir = dir;
	return 0;
}

void tier_cache_config_free(struct tier_cache_config *c)
{
	free((char *)(uintptr_t)c->name);
	free((char *)(uintptr_t)c->dir);
}

int tier_parse_ram(const char *text, uint64_t *bytes, char *err, size_t errlen)
{
	return ram_parse(text, bytes, err, errlen);
}

unsigned tier_count(const struct tier *t)
{
	return t->caches + 2;
}

const char *tier_name(const struct tier *t, unsigned id)
{
	return id < tier_count(t) ? t->names[id] : "";
}

int tier_find(const struct tier *t, const char *name)
{
	for (unsigned i = 0; i < tier_count(t); i++)
		if (strcmp(t->names[i], name) == 0)
			return (int)i;
	return -ENOENT;
}

const struct home *tier_home(const struct tier *t)
{
	return t->home;
}

const struct io *tier_io(const struct tier *t)
{
	return t->io;
}

/* What a store is called by its caches: home's file system and directory, which outlive reboots. */
static int tier_identify(struct tier *t, int home_fd)
{
	struct { uint64_t fsid[2], ino; } what = { { 0, 0 }, 0 };
	struct statfs sf;
	struct stat st;

	if (fstatfs(home_fd, &sf) != 0 || io_fstat(t->io, home_fd, &st) != 0)
		return -EIO;
	memcpy(&what.fsid[0], &sf.f_fsid, sizeof(sf.f_fsid) < 8 ? sizeof(sf.f_fsid) : 8);
	what.ino = st.st_ino;
	t->store_id = sums_bytes(&what, sizeof(what), 0x68656172746831ull);
	t->store_id += t->store_id == 0;
	return 0;
}

static int tier_cache_sets(struct tier_cache *k, uint64_t size)
{
	uint64_t extents = size / TIER_EXTENT_BYTES;

	/* a resident is at least one extent, and there is no use in more blobs than a directory of models has */
	k->set_cap = extents < 65536 ? (uint32_t)extents : 65536;
	k->rules = policy_rules_cache(extents < UINT32_MAX ? extents : UINT32_MAX);
	k->entry = calloc(k->set_cap, sizeof(*k->entry));
	k->heap = calloc(k->set_cap, sizeof(*k->heap));
	k->resident = calloc(k->set_cap, sizeof(struct blob *));
	if (k->entry == NULL || k->heap == NULL || k->resident == NULL)
		return -ENOMEM;
	policy_set_init(&k->set, k->entry, k->heap, k->set_cap, NULL, 0);
	k->wear = place_wear_most(k);
	return 0;
}

static int tier_open_caches(struct tier *t, const struct tier_config *cfg, struct cache_found *found, char *err, size_t errlen)
{
	uint64_t extents = 0;
	int home_fd, rc;

	heat_clock_init(&t->clock, t->tick, 1);
	if (cfg->caches == 0)
		return 0;
	home_fd = home_openat(t->home, "", O_RDONLY | O_DIRECTORY);
	if (home_fd < 0)
		return home_fd;
	rc = tier_identify(t, home_fd);
	for (unsigned c = 0; rc == 0 && c < cfg->caches; c++) {
		struct cache_config cc = { .name = cfg->cache[c].name, .dir = cfg->cache[c].dir, .size = cfg->cache[c].size,
					   .size_min = cfg->cache_min, .store = t->store_id, .home = home_path(t->home),
					   .home_fd = home_fd, .io = t->io };

		if (tier_find(t, cc.name) >= 0 || strcmp(cc.name, "none") == 0) {
			snprintf(err, errlen, "cache name '%s' is taken: give each cache a name of its own", cc.name);
			rc = -EINVAL;
			break;
		}
		rc = cache_open(&t->cache[c].cache, &cc, &found[c], err, errlen);
		if (rc != 0)
			break;
		if (found[c].same_device)
			log_warn("cache '%s' lies on home's own file system: it works, and gains nothing", cc.dir);
		t->caches = c + 1;
		t->names[c + 1] = cache_name(t->cache[c].cache);
		t->names[c + 2] = "home";
		extents += cc.size / TIER_EXTENT_BYTES;
		rc = tier_cache_sets(&t->cache[c], cc.size);
	}
	io_close(t->io, home_fd);
	heat_clock_init(&t->clock, t->tick, extents);
	return rc;
}

static void tier_ram_event(void *ctx, const char *type, const char *label, const char *text)
{
	struct tier *t = ctx;

	event_log_add(t->events, type, "ram", label, "%s", text);
}

/* For the trace: the extents of a unit that the kernel read for a client. */
static void tier_ram_sampled(void *ctx, uint64_t key, uint64_t unit)
{
	enum { EXTENTS = RAM_UNIT_BYTES / TIER_EXTENT_BYTES };
	struct tier *t = ctx;

	for (uint64_t e = unit * EXTENTS; e < (unit + 1) * EXTENTS; e++) {
		struct trace_access a = { .tick = t->tick, .blob = (uint32_t)key, .extent = (uint32_t)e,
					  .size = TIER_EXTENT_BYTES, .class = TRACE_SAMPLE };

		trace_add(t->trace, &a);
	}
}

static int tier_open_ram(struct tier *t, const struct tier_config *cfg)
{
	struct ram_config rc = { .budget = cfg->ram, .io = t->io, .event = tier_ram_event, .sampled = tier_ram_sampled,
				 .ctx = t, .tick_ms = t->tick_ms };

	return cfg->ram > 0 ? ram_open(&t->ram, &rc) : 0;
}

static int tier_open_parts(struct tier *t, const struct tier_config *cfg, char *err, size_t errlen)
{
	struct cache_found found[TIER_CACHE_MAX] = { { .epoch = 0 } };
	int rc;

	rc = lease_set_new(&t->leases);
	if (rc == 0)
		rc = event_log_new(&t->events);
	if (rc == 0)
		rc = scan_seals_new(&t->seals);
	if (rc != 0)
		return rc;
	rc = home_open(&t->home, cfg->home, t->io, err, errlen);
	if (rc == 0)
		rc = tier_open_caches(t, cfg, found, err, errlen);
	if (rc == 0)
		rc = trace_new(&t->trace, t->names, tier_count(t));
	if (rc == 0)
		rc = place_new(t);
	if (rc == 0)
		rc = store_open(t, found, err, errlen);
	if (rc == 0)
		rc = gather_start(t, cfg->pool > 0 ? cfg->pool : GATHER_BUFFERS);
	if (rc == 0)
		rc = tier_open_ram(t, cfg);
	if (rc == 0)
		rc = verify_start(t);
	if (rc == 0)
		rc = place_start(t);
	return rc;
}

int tier_open(struct tier **out, const struct tier_config *cfg, char *err, size_t errlen)
{
	struct tier *t = calloc(1, sizeof(*t));
	int rc;

	snprintf(err, errlen, "out of memory");
	if (t == NULL)
		return -ENOMEM;
	err[0] = '\0';
	if (cfg->caches > TIER_CACHE_MAX) {
		snprintf(err, errlen, "%u caches: there may be %u", cfg->caches, TIER_CACHE_MAX);
		free(t);
		return -EINVAL;
	}
	t->io = cfg->io;
	t->native_home_only = cfg->native_home_only;
	t->ring_threads = cfg->threads;
	t->tick_ms = cfg->tick_ms > 0 ? cfg->tick_ms : TIER_TICK_MS;
	t->drop_pages = cfg->drop_pages;
	t->ctx = cfg->ctx;
	t->tick = 1;
	t->names[0] = "ram";
	t->names[1] = "home";
	pthread_mutex_init(&t->lock, NULL);
	rc = tier_open_parts(t, cfg, err, errlen);
	if (rc != 0) {
		if (err[0] == '\0')
			snprintf(err, errlen, "cannot start: %s", strerror(-rc));
		tier_close(t);
		return rc;
	}
	*out = t;
	return 0;
}

void tier_blob_free(struct tier *t, struct blob *b)
{
	ram_file_put(b->ram);
	for (unsigned c = 0; c < t->caches; c++)
		cache_copy_put(b->copy[c].file);
	if (b->home_fd != -1)
		io_close(t->io, b->home_fd);
	if (b->home_warm_fd != -1)
		io_close(t->io, b->home_warm_fd);
	part_free(b->part);
	verify_forget(b);
	blob_free(b);
}

static void tier_free_blobs(struct tier *t)
{
	struct blob *b, *next;

	for (uint32_t i = 0; i < t->buckets; i++) {
		for (b = t->bucket[i]; b != NULL; b = next) {
			next = b->next;
			tier_blob_free(t, b);
		}
	}
	for (b = t->gone; b != NULL; b = next) {
		next = b->next;
		tier_blob_free(t, b);
	}
	free(t->bucket);
}

void tier_close(struct tier *t)
{
	if (t == NULL)
		return;
	verify_stop(t);
	place_stop(t);
	gather_stop(t);
	store_close(t);
	tier_free_blobs(t);
	place_free(t);
	ram_close(t->ram);
	for (unsigned c = 0; c < TIER_CACHE_MAX; c++) {
		cache_close(t->cache[c].cache);
		free(t->cache[c].entry);
		free(t->cache[c].heap);
		free(t->cache[c].resident);
	}
	lease_set_free(t->leases);
	event_log_free(t->events);
	trace_free(t->trace);
	scan_seals_free(t->seals);
	home_close(t->home);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
