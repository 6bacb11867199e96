#include "tests/unit/tier_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB (1u << 20)
#define CLIENT_PATIENCE_S 60

struct client_read {
	struct client_handle *handle;
	struct truth_look look;
	uint64_t off;
	uint32_t len;
};

void client_init(struct client *c, struct world *w, uint64_t seed)
{
	pthread_condattr_t attr;

	*c = (struct client){ .w = w, .draw = seed, .bytes = malloc(MIB) };
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->landed, &attr);
	pthread_condattr_destroy(&attr);
}

void client_end(struct client *c)
{
	for (int i = 0; i < CLIENT_HANDLES; i++)
		if (c->handle[i].f != NULL || c->handle[i].home > 0)
			client_close(c, &c->handle[i]);
	free(c->bytes);
	pthread_cond_destroy(&c->landed);
	pthread_mutex_destroy(&c->lock);
}

uint64_t client_draw(struct client *c, uint64_t below)
{
	return truth_draw(&c->draw) % below;
}

/* ---- reading ---- */

static void client_compare(struct client_handle *h, struct truth_look look, uint64_t off, size_t len, const void *bytes, size_t n,
			   const char *what)
{
	struct world *w = h->client->w;
	char why[512];

	look.ended = truth_now(&w->clock);
	if (!truth_allows(h->truth, &look, off, len, bytes, n, why, sizeof(why)))
		world_fail(w, "%s of %zu bytes at %llu gave %zu: %s", what, len, (unsigned long long)off, n, why);
}

/* Any thread of the store: compared here, while the bytes are valid. */
static void client_landed(void *ctx, int rc, const struct iovec *iov, int niov)
{
	struct client_read *r = ctx;
	struct client_handle *h = r->handle;
	struct client *c = h->client;
	uint64_t at = r->off;
	size_t n = 0;

	if (rc != 0)
		world_fail(c->w, "a gathered read of ino %llu failed: %s", (unsigned long long)h->truth->ino, strerror(-rc));
	for (int i = 0; rc == 0 && i < niov; i++)
		n += iov[i].iov_len;
	for (int i = 0; rc == 0 && i < niov; i++) {
		/* the length is judged once, with the last part */
		size_t len = i == niov - 1 ? r->len - (size_t)(at - r->off) : iov[i].iov_len;

		client_compare(h, r->look, at, len, iov[i].iov_base, iov[i].iov_len, "a gathered read");
		at += iov[i].iov_len;
	}
	if (rc == 0 && niov == 0)
		client_compare(h, r->look, at, r->len, "", 0, "a gathered read");
	free(r);
	pthread_mutex_lock(&c->lock);
	h->flying--;
	pthread_cond_signal(&c->landed);
	pthread_mutex_unlock(&c->lock);
}

static void client_gather(struct client *c, struct client_handle *h, uint64_t off, uint32_t len)
{
	struct client_read *r = calloc(1, sizeof(*r));
	uint64_t now = truth_now(&c->w->clock);

	*r = (struct client_read){ .handle = h, .look = { h->opened, now, 0, h->ready }, .off = off, .len = len };
	pthread_mutex_lock(&c->lock);
	h->flying++;
	pthread_mutex_unlock(&c->lock);
	c->gathered++;
	tier_file_read(h->f, off, len, client_landed, r);
}

static void client_pread(struct client *c, struct client_handle *h, uint64_t off, uint32_t len)
{
	uint64_t now = truth_now(&c->w->clock);
	struct truth_look look = { now, now, 0, now };
	int fd = h->copy >= 0 ? h->copy : h->home;
	ssize_t n = pread(fd, c->bytes, len, (off_t)off);

	if (h->copy >= 0)
		look = h->look;
	if (n < 0)
		world_fail(c->w, "pread: %s", strerror(errno));
	else
		client_compare(h, look, off, len, c->bytes, (size_t)n, h->copy >= 0 ? "a native read of a copy" : "a read of home");
}

static void client_read_at(struct client *c, struct client_handle *h, uint64_t off, uint32_t len)
{
	c->reads++;
	if (h->copy >= 0 && h->map != NULL && client_draw(c, 2) == 0 && off + len <= h->len)
		client_compare(h, h->look, off, len, h->map + off, len, "a mapping of a copy");
	else if (h->gathers && tier_file_gathers(h->f))
		client_gather(c, h, off, len);
	else
		client_pread(c, h, off, len);
}

static void client_wait(struct client *c, struct client_handle *h)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CLIENT_PATIENCE_S;
	pthread_mutex_lock(&c->lock);
	while (h->flying > 0 && rc == 0)
		rc = pthread_cond_timedwait(&c->landed, &c->lock, &until);
	pthread_mutex_unlock(&c->lock);
	if (rc != 0) {          /* its memory is in use: nothing can be given back */
		fprintf(stderr, "seed %llu: a gathered read did not come back\n", (unsigned long long)c->w->seed);
		abort();
	}
}

void client_read(struct client *c, struct client_handle *h)
{
	uint64_t n = 1 + client_draw(c, 6), off = client_draw(c, h->len + 4096);

	for (uint64_t i = 0; i < n; i++) {
		uint32_t len = client_draw(c, 12) == 0 ? MIB : 1 + (uint32_t)client_draw(c, 140000);

		client_read_at(c, h, off, len);
		off = client_draw(c, 3) == 0 ? client_draw(c, h->len + 4096) : off + len;
	}
	if (client_draw(c, 3) != 0)
		client_wait(c, h);
}

void client_read_all(struct client *c, struct client_handle *h)
{
	uint32_t len = client_draw(c, 2) == 0 ? MIB : 256 << 10;

	for (uint64_t off = 0; off < h->len; off += len)
		client_read_at(c, h, off, len);
	client_wait(c, h);
}

/* ---- opens ---- */

/* As fs does it: a copy that cannot be had is gathered. */
static void client_serve(struct client *c, struct client_handle *h)
{
	uint64_t token = 0, now;
	enum tier_serve serve = tier_file_serve(h->f, &token);

	h->copy = -1;
	if (serve == TIER_SERVE_COPY) {
		h->copy = tier_file_copy_fd(h->f, token);
		now = truth_now(&c->w->clock);
		h->look = (struct truth_look){ h->opened, h->opened, now, h->ready };
	}
	if ((serve == TIER_SERVE_COPY && h->copy < 0) || (serve == TIER_SERVE_HOME && client_draw(c, 4) == 0))
		serve = TIER_SERVE_GATHER;
	h->gathers = serve == TIER_SERVE_GATHER;
	tier_file_served(h->f, serve, serve == TIER_SERVE_COPY ? token : 0, h->home);
	if (h->copy < 0)
		return;
	c->copies++;
	h->map = mmap(NULL, h->len, PROT_READ, MAP_SHARED, h->copy, 0);
	if (h->map == MAP_FAILED)
		h->map = NULL;
}

struct client_handle *client_open(struct client *c, int slot)
{
	struct client_handle *h = NULL;
	struct tier_open how = { .path = slot >= 0 ? world_path(c->w, slot) : "", .pid = client_draw(c, 2) ? getpid() : 0 };
	struct stat st;
	int rc;

	for (int i = 0; i < CLIENT_HANDLES && h == NULL; i++)
		if (c->handle[i].client == NULL)
			h = &c->handle[i];
	if (h == NULL || slot < 0)
		return NULL;
	*h = (struct client_handle){ .client = NULL, .opened = truth_now(&c->w->clock), .copy = -1 };
	h->home = world_openat(c->w, how.path, O_RDONLY);
	if (h->home < 0)
		return NULL;
	h->truth = fstat(h->home, &st) == 0 ? world_truth_of(c->w, &st) : NULL;
	if (fstat(h->home, &st) != 0)
		world_fail(c->w, "fstat: %s", strerror(errno));
	h->len = (size_t)st.st_size;
	how.fd = h->home;
	how.st = &st;
	rc = h->truth != NULL ? tier_file_open(c->w->t, &how, &h->f) : -EIO;
	if (rc != 0 && rc != -ENOENT)
		world_fail(c->w, "tier_file_open: %s", strerror(-rc));
	if (h->truth == NULL || (rc != 0 && rc != -ENOENT)) {
		close(h->home);
		return NULL;
	}
	h->client = c;
	h->ready = truth_now(&c->w->clock);
	if (h->f == NULL)
		return h;
	client_serve(c, h);
	return h;
}

void client_close(struct client *c, struct client_handle *h)
{
	client_wait(c, h);
	tier_file_close(h->f);
	if (h->map != NULL && client_draw(c, 2) == 0)
		world_keep_map(c->w, h->truth, h->map, h->len, &h->look);
	else if (h->map != NULL)
		munmap(h->map, h->len);
	if (h->copy >= 0)
		close(h->copy);
	close(h->home);
	*h = (struct client_handle){ .client = NULL };
}

/* ---- orders ---- */

static void client_order(struct client *c)
{
	int slot = world_pick(c->w, &c->draw), tiers = (int)tier_count(c->w->t) - 1, to = (int)client_draw(c, (uint64_t)tiers + 1) - 1;
	struct truth *t = NULL;
	struct stat st;
	int rc = 0, fd = slot >= 0 ? world_openat(c->w, world_path(c->w, slot), O_RDONLY) : -1;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0)
		t = world_truth_of(c->w, &st);
	if (t == NULL || !truth_change_begin(t)) {      /* a pin is a change of attributes */
		close(fd);
		return;
	}
	if (fstat(fd, &st) == 0) {
		const char *path = world_path(c->w, slot);

		switch (client_draw(c, 8)) {
		case 0: case 1: case 2: case 3:
			rc = tier_warm(c->w->t, fd, &st, path, to < 1 ? 1 : to);
			break;
		case 4:
			rc = tier_warm(c->w->t, fd, &st, path, to);
			break;
		case 5:
			rc = tier_pin(c->w->t, fd, &st, path, client_draw(c, 2) ? -1 : to);
			break;
		default:
			rc = tier_verify(c->w->t, fd, &st, path, client_draw(c, 4) != 0);
			break;
		}
	}
	if (rc != 0 && rc != -EINVAL && rc != -EIO)
		world_fail(c->w, "an order: %s", strerror(-rc));
	truth_change_end(t);
	close(fd);
}

/* ---- questions: no answer is compared, but each must come ---- */

static void client_ask(struct client *c)
{
	int slot = world_pick(c->w, &c->draw), fd = slot >= 0 ? world_openat(c->w, world_path(c->w, slot), O_RDONLY) : -1;
	char *text = NULL;
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0) {
		switch (client_draw(c, 5)) {
		case 0: rc = tier_map_print(c->w->t, fd, &st, &text); break;
		case 1: rc = tier_why_print(c->w->t, &st, &text); break;
		case 2: rc = tier_heat_print(c->w->t, &st, &text); break;
		case 3: rc = tier_plan_print(c->w->t, &text); break;
		default: rc = tier_pin_print(c->w->t, fd, world_path(c->w, slot), &text); break;
		}
	}
	if (rc != 0)
		world_fail(c->w, "a question: %s", strerror(-rc));
	free(text);
	close(fd);
}

void client_step(struct client *c)
{
	struct client_handle *h = &c->handle[client_draw(c, CLIENT_HANDLES)];
	uint64_t what = client_draw(c, 100);

	c->ops++;
	if (h->client == NULL)
		what = what < 70 ? 0 : what;
	if (what < 20 && h->client == NULL)
		h = client_open(c, world_pick(c->w, &c->draw));
	if (what < 55) {
		if (h != NULL && h->client != NULL && h->len > 0)
			client_read(c, h);
	} else if (what < 57) {
		if (h->client != NULL && h->len > 0)
			client_read_all(c, h);
	} else if (what < 70) {
		if (h->client != NULL)
			client_close(c, h);
	} else if (what < 81) {
		client_order(c);
	} else if (what < 84) {
		client_ask(c);
	} else if (what < 88) {
		world_breathe(c->w);
	} else {
		client_change(c);
	}
}
