#include "tests/unit/tier_world.h"
#include "tests/unit/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define WORLD_PATIENCE_MS 15000

void world_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&w->lock);
	if (!atomic_load(&w->failed)) {
		va_start(ap, fmt);
		vsnprintf(w->fail, sizeof(w->fail), fmt, ap);
		va_end(ap);
		atomic_store(&w->failed, true);
	}
	pthread_mutex_unlock(&w->lock);
}

bool world_failed(struct world *w)
{
	return atomic_load(&w->failed);
}

/* ---- faults ---- */

/* The cache that a descriptor's file lies below, or -1; its map is not meant. */
static int world_cache_of(const struct world *w, int fd)
{
	char link[32], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -1;
	path[n] = '\0';
	for (unsigned c = 0; c < w->cfg.caches; c++) {
		size_t len = strlen(w->dir[c]);

		if (strncmp(path, w->dir[c], len) == 0 && (path[len] == '/' || path[len] == '\0'))
			return (int)c;
	}
	return -1;
}

void world_dawdle(struct world *w)
{
	uint64_t n, r;

	if (!w->slow)
		return;
	n = w->seed + atomic_fetch_add(&w->fault.calls, 1);
	r = truth_draw(&n);
	if ((r & 3) == 0)
		usleep((useconds_t)(r >> 8) % (w->cfg.tick_ms * 2000));
}

static int world_hook(void *ctx, struct io_call *call)
{
	struct world *w = ctx;
	unsigned caches = atomic_load(&w->fault.caches);
	int c;

	world_dawdle(w);
	if (caches == 0 || !(atomic_load(&w->fault.ops) & 1u << call->op))
		return 0;
	c = world_cache_of(w, call->fd);
	if (c < 0 || !(caches & 1u << c) || atomic_fetch_sub(&w->fault.left, 1) <= 0)
		return 0;
	atomic_fetch_add(&w->fault.fired, 1);
	return atomic_load(&w->fault.error);
}

void world_fault_end(struct world *w)
{
	atomic_store(&w->fault.caches, 0);
}

/* ---- making one ---- */

static void world_draw_config(struct world *w)
{
	uint64_t r = truth_draw(&w->draw);

	w->cfg = (struct tier_config){ .home = w->home, .io = &w->io, .cache = w->cache, .tick_ms = 1 + (unsigned)(r & 3),
				       .cache_min = MIB };
	w->cfg.caches = r >> 8 & 3 ? 1 : 2;
	w->cfg.threads = (r >> 12 & 7) == 0;
	w->damages = (r >> 20 & 3) == 0;        /* then nothing is read natively, which nobody compares with sums */
	w->cfg.native_home_only = w->damages || (r >> 24 & 7) == 0;
	w->cfg.ram = (r >> 28 & 7) == 0 ? (4 + (r >> 32 & 7)) * MIB : 0;
	w->crashes = (r >> 36 & 7) == 0;
	w->cfg.pool = (r >> 44 & 7) == 0 ? 0 : 8 + (unsigned)(r >> 48 & 15);
	w->slow = (r >> 52 & 3) == 0;
	w->largest = (r >> 40 & 7) == 0 ? 24 * MIB : 6 * MIB;
	for (unsigned c = 0; c < w->cfg.caches; c++) {
		uint64_t size = (4 + truth_draw(&w->draw) % (c == 0 ? 12 : 24)) * MIB;

		snprintf(w->dir[c], sizeof(w->dir[c]), "%s/cache%u", w->base, c);
		assert_int_equal(mkdir(w->dir[c], 0700), 0);
		w->cache[c] = (struct tier_cache_config){ .name = c == 0 ? "nvme" : "ssd", .dir = w->dir[c],
							  .size = size + truth_draw(&w->draw) % 2 * 77777 };
	}
}

static void world_make_dir(const char *base, const char *rel)
{
	char path[PATH_MAX];

	assert_int_equal(mkdir(scratch_path(path, sizeof(path), base, rel), 0755), 0);
}

static void world_name_slots(struct world *w)
{
	for (int i = 0; i < WORLD_SLOTS; i++) {
		struct world_slot *s = &w->slot[i];

		if (i % 2 == 0)
			snprintf(s->path, sizeof(s->path), "models/m%d.gguf", i);
		else
			snprintf(s->path, sizeof(s->path), "blobs/sha256-%064d", i);
	}
}

struct world *world_new(uint64_t seed, bool on_disk)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->seed = seed;
	w->draw = seed;
	w->on_disk = on_disk;
	pthread_mutex_init(&w->lock, NULL);
	snprintf(w->base, sizeof(w->base), "/dev/shm/hearth-test.XXXXXX");
	if (on_disk || mkdtemp(w->base) == NULL)
		scratch_make(w->base);
	snprintf(w->home, sizeof(w->home), "%s/home", w->base);
	world_make_dir(w->base, "home");
	world_make_dir(w->base, "home/models");
	world_make_dir(w->base, "home/blobs");
	world_make_dir(w->base, "stage");
	w->io = (struct io){ .hook = world_hook, .ctx = w };
	world_draw_config(w);
	world_name_slots(w);
	for (int i = 0; i < 3 + (int)(truth_draw(&w->draw) % 4); i++)
		world_place(w, i, &w->draw);
	return w;
}

void world_free(struct world *w)
{
	world_look_at_maps(w, &w->draw, true);
	for (unsigned i = 0; i < w->nall; i++)
		truth_free(w->all[i]);
	scratch_remove(w->base);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void world_open(struct world *w)
{
	char err[512] = "";
	int rc = tier_open(&w->t, &w->cfg, err, sizeof(err));

	if (rc != 0)
		world_fail(w, "tier_open: %s: %s", strerror(-rc), err);
	world_check_swept(w);
}

void world_close(struct world *w)
{
	tier_close(w->t);
	w->t = NULL;
}

void world_breathe(struct world *w)
{
	poll(NULL, 0, (int)w->cfg.tick_ms);
}

/* ---- home ---- */

int world_openat(struct world *w, const char *rel, int flags)
{
	char path[PATH_MAX];

	return open(scratch_path(path, sizeof(path), w->home, rel), flags | O_CLOEXEC, 0644);
}

int world_pick(struct world *w, uint64_t *draw)
{
	unsigned first = (unsigned)(truth_draw(draw) % WORLD_SLOTS);
	int found = -1;

	pthread_mutex_lock(&w->lock);
	for (unsigned i = 0; i < WORLD_SLOTS && found < 0; i++)
		if (w->slot[(first + i) % WORLD_SLOTS].truth != NULL)
			found = (int)((first + i) % WORLD_SLOTS);
	pthread_mutex_unlock(&w->lock);
	return found;
}

const char *world_path(struct world *w, int slot)
{
	return w->slot[slot].path;
}

struct truth *world_truth_of(struct world *w, const struct stat *st)
{
	struct truth *t = NULL;

	pthread_mutex_lock(&w->lock);
	for (unsigned i = w->nall; i-- > 0 && t == NULL;)
		if (w->all[i]->ino == st->st_ino)       /* the newest, where numbers are used again */
			t = w->all[i];
	pthread_mutex_unlock(&w->lock);
	if (t == NULL)
		world_fail(w, "inode %llu is no file of this world", (unsigned long long)st->st_ino);
	return t;
}

uint64_t world_size(struct world *w, uint64_t *draw)
{
	uint64_t r = truth_draw(draw), size = 1 + truth_draw(draw) % w->largest;

	if ((r & 15) != 0 && size < MIB)
		size += MIB;                    /* few are too small to be blobs */
	return r & 16 ? size & ~(uint64_t)4095 : r & 32 ? size & ~(MIB - 1) : size;
}

struct truth *world_add(struct world *w, const struct stat *st, uint64_t size, uint64_t seed)
{
	struct truth *t = truth_new(&w->clock, st->st_ino, size, seed);

	assert_non_null(t);
	pthread_mutex_lock(&w->lock);
	if (w->nall == WORLD_TRUTHS)
		abort();
	w->all[w->nall++] = t;
	pthread_mutex_unlock(&w->lock);
	return t;
}

void world_set(struct world *w, int slot, struct truth *t)
{
	pthread_mutex_lock(&w->lock);
	w->slot[slot].truth = t;
	pthread_mutex_unlock(&w->lock);
}

void world_place(struct world *w, int slot, uint64_t *draw)
{
	uint64_t size = world_size(w, draw), seed = truth_draw(draw);
	char stage[PATH_MAX], path[PATH_MAX];
	struct truth *t;
	struct stat st;
	void *bytes;
	int fd;

	pthread_mutex_lock(&w->lock);
	snprintf(stage, sizeof(stage), "%s/stage/%u", w->base, w->made++);
	pthread_mutex_unlock(&w->lock);
	fd = open(stage, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || fstat(fd, &st) != 0) {
		world_fail(w, "cannot make '%s'", stage);
		return;
	}
	t = world_add(w, &st, size, seed);
	bytes = malloc(size + 1);
	truth_bytes(t, 0, bytes, size);
	if (pwrite(fd, bytes, size, 0) != (ssize_t)size)
		world_fail(w, "cannot write '%s': %s", stage, strerror(errno));
	free(bytes);
	close(fd);
	snprintf(path, sizeof(path), "%s/%s", w->home, w->slot[slot].path);
	pthread_mutex_lock(&w->lock);
	if (rename(stage, path) == 0)
		w->slot[slot].truth = t;
	pthread_mutex_unlock(&w->lock);
}

/* ---- mappings that outlive their opens ---- */

void world_keep_map(struct world *w, struct truth *t, void *map, size_t len, const struct truth_look *look)
{
	pthread_mutex_lock(&w->lock);
	if (w->norphans < WORLD_ORPHANS) {
		w->orphan[w->norphans++] = (struct world_orphan){ t, map, len, *look };
		map = NULL;
	}
	pthread_mutex_unlock(&w->lock);
	if (map != NULL)
		munmap(map, len);
}

void world_look_at_maps(struct world *w, uint64_t *draw, bool drop_all)
{
	struct world_orphan *o;
	char why[512];

	for (unsigned i = 0; i < w->norphans; i++) {
		o = &w->orphan[i];
		if (!truth_allows(o->truth, &o->look, 0, o->len, o->map, o->len, why, sizeof(why)))
			world_fail(w, "a mapping that was kept has other bytes: %s", why);
		if (!drop_all && truth_draw(draw) % 3 != 0)
			continue;
		munmap(o->map, o->len);
		*o = w->orphan[--w->norphans];
		i--;
	}
}

/* ---- quiet ---- */

/* An order that cannot be met for the time being: what is there is pinned or too young to go.  What is to be in RAM
 * comes to the fastest cache first. */
static bool world_is_refused(const struct world *w, const char *why, const char *warm)
{
	char line[32];
	const char *at;

	if (strncmp(warm, "ram ", 4) == 0)
		warm = w->cache[0].name;
	snprintf(line, sizeof(line), "%.*s: refused", (int)strcspn(warm, " "), warm);
	at = strstr(why, line);
	return at != NULL && (at == why || at[-1] == '\n');
}

static bool world_file_is_quiet(struct world *w, int slot)
{
	char *warm = NULL, *verified = NULL, *why = NULL;
	struct stat st;
	bool quiet;
	int fd = world_openat(w, w->slot[slot].path, O_RDONLY);

	if (fd < 0)
		return true;
	if (fstat(fd, &st) != 0 || tier_warm_print(w->t, &st, &warm) != 0 || tier_verified_print(w->t, fd, &st, &verified) != 0 ||
	    tier_why_print(w->t, &st, &why) != 0) {
		world_fail(w, "cannot ask about slot %d", slot);
		quiet = true;
	} else {
		quiet = strcmp(warm, "idle") == 0 || strncmp(warm, "failed", 6) == 0 || world_is_refused(w, why, warm);
		quiet = quiet && strncmp(verified, "running", 7) != 0 && strstr(why, "being compared") == NULL &&
			strstr(why, ", suspect") == NULL;
	}
	close(fd);
	free(warm);
	free(verified);
	free(why);
	return quiet;
}

/* A number that changes when something moves; 0 when something is certainly under way. */
static uint64_t world_motion(struct world *w)
{
	struct tier_move move[4];
	uint64_t sum = 1;

	if (tier_moves(w->t, move, 4) != 0)
		return 0;
	for (int i = 0; i < WORLD_SLOTS; i++)
		if (!world_file_is_quiet(w, i))
			return 0;
	for (unsigned c = 0; c < w->cfg.caches; c++) {
		struct tier_state s;

		tier_state_of(w->t, c + 1, &s);
		if ((!s.in_service && strstr(s.reason, "map cannot be written") == NULL) || (s.leaving > 0 && w->norphans == 0))
			return 0;
		sum = (sum * 31 + s.used) * 31 + s.fills * 7 + s.drops + s.leaving * 3;
	}
	return sum;
}

/* What it is that does not come to rest. */
void world_explain(struct world *w)
{
	struct tier_move move[4];
	struct tier_state s;
	char *text;
	size_t n;

	for (unsigned c = 0; c < w->cfg.caches; c++) {
		tier_state_of(w->t, c + 1, &s);
		fprintf(stderr, "%s: %s, size %llu used %llu leaving %llu fills %llu drops %llu\n", s.name, s.in_service ? "in service" : s.reason,
			(unsigned long long)s.size, (unsigned long long)s.used, (unsigned long long)s.leaving,
			(unsigned long long)s.fills, (unsigned long long)s.drops);
	}
	n = tier_moves(w->t, move, 4);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "move of %s to %s: %llu of %llu\n", move[i].blob, move[i].to, (unsigned long long)move[i].done,
			(unsigned long long)move[i].total);
	for (int i = 0; i < WORLD_SLOTS; i++) {
		struct stat st;
		int fd = world_openat(w, w->slot[i].path, O_RDONLY);

		if (fd < 0)
			continue;
		if (!world_file_is_quiet(w, i))
			fprintf(stderr, "slot %d is not quiet\n", i);
		text = NULL;
		if (fstat(fd, &st) == 0 && tier_why_print(w->t, &st, &text) == 0)
			fprintf(stderr, "slot %d, %llu bytes\n%s", i, (unsigned long long)st.st_size, text);
		free(text);
		close(fd);
	}
	text = NULL;
	if (tier_events_print(w->t, &text) == 0)
		fprintf(stderr, "%s", text);
	free(text);
}

bool world_quiet(struct world *w)
{
	uint64_t last = 0, now;
	unsigned same = 0;

	for (unsigned ms = 0; ms < WORLD_PATIENCE_MS && same < 3 && !world_failed(w); ms += w->cfg.tick_ms) {
		now = world_motion(w);
		same = now != 0 && now == last ? same + 1 : 0;
		last = now;
		world_breathe(w);
	}
	if (same < 3 && !world_failed(w))
		world_explain(w);
	return same >= 3;
}
