#include "tiering/ram_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TICK_MS (1000 / HEAT_TICKS_PER_SECOND)

/* ---- the whole ---- */

static bool may_lock(uint64_t bytes)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	struct rlimit limit;

	if (syscall(SYS_capget, &head, data) == 0 && (data[0].effective & 1u << CAP_IPC_LOCK))
		return true;
	return getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= bytes;
}

static void find_rights(struct ram *r, bool check_charge)
{
	r->charge = (struct ram_charge){ .owner = -1, .pagemap = -1 };
	if (!may_lock(r->budget))
		r->why_not_locked = "no right to lock memory: it needs CAP_IPC_LOCK, or a limit of locked memory "
				    "(RLIMIT_MEMLOCK) of the budget";
	if (check_charge && ram_charge_open(&r->charge) != 0 && r->why_not_locked == NULL)
		r->why_not_locked = "no right to read /proc/kpagecgroup: without it memory of others might be locked";
}

static int alloc_set(struct ram *r)
{
	uint64_t cap = r->budget / RAM_UNIT_BYTES;
	struct policy_group *group;
	struct policy_entry *entry;
	uint32_t *heap;

	if (cap > UINT32_MAX / 2)
		return -ENOMEM;
	entry = malloc((cap + 1) * sizeof(*entry));
	heap = malloc((cap + 1) * sizeof(*heap));
	group = calloc(RAM_FILES, sizeof(*group));
	if (entry == NULL || heap == NULL || group == NULL) {
		free(entry);
		free(heap);
		free(group);
		return -ENOMEM;
	}
	policy_set_init(&r->set, entry, heap, (uint32_t)cap, group, RAM_FILES);
	r->rules = policy_rules_ram(cap);
	return 0;
}

static void free_set(struct ram *r)
{
	free(r->set.entry);
	free(r->set.heap);
	free(r->set.group);
}

static void init_locks(struct ram *r)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_cond_init(&r->settled, NULL);
}

static void free_locks(struct ram *r)
{
	pthread_cond_destroy(&r->settled);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
}

int ram_open(struct ram **out, const struct ram_config *cfg)
{
	struct ram *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return -ENOMEM;
	r->budget = r->allowed = cfg->budget;
	r->io = cfg->io;
	r->event = cfg->event;
	r->sampled = cfg->sampled;
	r->ctx = cfg->ctx;
	r->tick_ms = cfg->tick_ms != 0 ? cfg->tick_ms : TICK_MS;
	r->start_ms = ram_now_ms();
	snprintf(r->proc, sizeof(r->proc), "%s", cfg->proc != NULL ? cfg->proc : "/proc");
	rc = alloc_set(r);
	if (rc != 0)
		goto free_ram;
	heat_clock_init(&r->clock, 1, r->rules.budget);
	ram_room_init(&r->room, cfg->io, cfg->proc, cfg->cgroup);
	ram_room_read(&r->room, &r->level);
	ram_budget(r, r->start_ms);
	find_rights(r, cfg->cgroup == NULL);
	init_locks(r);
	rc = -pthread_create(&r->thread, NULL, ram_thread, r);
	if (rc != 0)
		goto free_locks;
	*out = r;
	return 0;

free_locks:
	free_locks(r);
	ram_charge_close(&r->charge);
	free_set(r);
free_ram:
	free(r);
	return rc;
}

void ram_close(struct ram *r)
{
	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	free_locks(r);
	ram_charge_close(&r->charge);
	free_set(r);
	free(r);
}

void ram_settle(struct ram *r)
{
	uint64_t mine;

	pthread_mutex_lock(&r->lock);
	mine = ++r->tickets;
	r->hurry = true;
	pthread_cond_signal(&r->wake);
	while (r->served < mine)
		pthread_cond_wait(&r->settled, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

void ram_status(struct ram *r, struct ram_status *out)
{
	pthread_mutex_lock(&r->lock);
	*out = (struct ram_status){ .budget = r->budget, .allowed = r->allowed, .kept = r->kept, .locked = r->locked,
				    .pinned = r->set.pinned * RAM_UNIT_BYTES, .headroom = r->level.headroom,
				    .available = r->level.available, .admitted = r->admitted, .dropped = r->dropped,
				    .refaults = r->refaults, .released = r->released, .soft = r->soft,
				    .why_not_locked = r->why_not_locked,
				    .half_life_s = heat_clock_half_life_seconds(&r->clock) };
	pthread_mutex_unlock(&r->lock);
}

uint64_t ram_headroom(const struct ram *r)
{
	struct ram *m = (struct ram *)r;
	uint64_t n;

	pthread_mutex_lock(&m->lock);
	n = r->level.headroom;
	pthread_mutex_unlock(&m->lock);
	return n;
}

/* ---- files ---- */

uint32_t ram_unit_bytes(const struct ram_file *f, uint32_t i)
{
	uint64_t left = f->size - (uint64_t)i * RAM_UNIT_BYTES;

	return left < RAM_UNIT_BYTES ? (uint32_t)left : RAM_UNIT_BYTES;
}

static struct ram_unit *units_new(uint64_t size, uint32_t *count)
{
	uint64_t n = size / RAM_UNIT_BYTES + (size % RAM_UNIT_BYTES != 0);
	struct ram_unit *unit;

	if (n > UINT32_MAX / 2)
		return NULL;
	unit = calloc(n + 1, sizeof(*unit));
	for (uint64_t i = 0; unit != NULL && i < n; i++)
		unit[i].slot = POLICY_NONE;
	*count = (uint32_t)n;
	return unit;
}

/* A descriptor of our own and the units of the file; owned. */
static int next_new(struct ram *r, int fd, uint64_t size, struct ram_next *out)
{
	struct stat st;
	int rc = io_fstat(r->io, fd, &st);

	if (rc != 0)
		return rc;
	*out = (struct ram_next){ .size = size, .dev = st.st_dev, .ino = st.st_ino };
	out->unit = units_new(size, &out->units);
	if (out->unit == NULL)
		return -ENOMEM;
	out->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (out->fd == -1) {
		rc = -errno;
		free(out->unit);
	}
	return rc;
}

static void next_free(struct ram *r, struct ram_next *n)
{
	io_close(r->io, n->fd);
	free(n->unit);
}

static struct ram_file *find(const struct ram *r, uint64_t key)
{
	for (uint32_t n = 0; n < r->files; n++) {
		if (r->file[n] != NULL && r->file[n]->key == key)
			return r->file[n];
	}
	return NULL;
}

static int free_index(struct ram *r, uint32_t *index)
{
	for (uint32_t n = 0; n < RAM_FILES; n++) {
		if (r->file[n] == NULL) {
			*index = n;
			if (n == r->files)
				r->files++;
			return 0;
		}
	}
	return -ENFILE;
}

/* Takes n's parts. */
static int add(struct ram *r, uint64_t key, const char *label, struct ram_next *n, struct ram_file **out)
{
	struct ram_file *f = calloc(1, sizeof(*f));
	int rc = -ENOMEM;

	if (f == NULL)
		return -ENOMEM;
	f->label = strdup(label);
	if (f->label == NULL)
		goto free_file;
	rc = free_index(r, &f->index);
	if (rc != 0)
		goto free_label;
	f->r = r;
	f->key = key;
	f->fd = n->fd;
	f->size = n->size;
	f->dev = n->dev;
	f->ino = n->ino;
	f->unit = n->unit;
	f->units = f->order_at = f->stream_at = n->units;
	r->set.group[f->index] = (struct policy_group){ .total = n->units };
	r->file[f->index] = f;
	*out = f;
	return 0;

free_label:
	free(f->label);
free_file:
	free(f);
	return rc;
}

/* Under a key that is known: the same file, or another one from now on.  True when n is no longer needed. */
static bool known(struct ram_file *f, struct ram_next *n, int *rc)
{
	const struct ram_next *is = f->next;

	f->refs++;
	*rc = 0;
	if (is != NULL ? is->dev == n->dev && is->ino == n->ino && is->size == n->size :
			 f->dev == n->dev && f->ino == n->ino && f->size == n->size)
		return true;
	if (f->next == NULL) {
		f->next = malloc(sizeof(*f->next));
		if (f->next == NULL) {
			f->refs--;
			*rc = -ENOMEM;
			return true;
		}
	} else {
		next_free(f->r, f->next);
	}
	*f->next = *n;
	return false;
}

int ram_file_get(struct ram *r, uint64_t key, const char *label, int fd, uint64_t size, const void *heat, size_t heat_len,
		 struct ram_file **out)
{
	struct ram_file *f;
	struct ram_next n;
	bool spare = true;
	int rc = next_new(r, fd, size, &n);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&r->lock);
	f = find(r, key);
	if (f != NULL) {
		spare = known(f, &n, &rc);
	} else {
		rc = add(r, key, label, &n, &f);
		spare = rc != 0;
		if (rc == 0) {
			f->refs = 1;
			ram_heat_restore(f, heat, heat_len);
		}
	}
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	if (spare)
		next_free(r, &n);
	if (rc == 0)
		*out = f;
	return rc;
}

void ram_file_put(struct ram_file *f)
{
	struct ram *r;

	if (f == NULL)
		return;
	r = f->r;
	pthread_mutex_lock(&r->lock);
	f->refs--;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

/* The process's entry, or one that is free; the last is for all that have none. */
static struct ram_user *user_of(struct ram_file *f, pid_t pid)
{
	struct ram_user *free_one = NULL;

	for (unsigned k = 0; k + 1 < RAM_USERS; k++) {
		if (f->user[k].opens > 0 && f->user[k].pid == pid)
			return &f->user[k];
		if (f->user[k].opens == 0 && free_one == NULL)
			free_one = &f->user[k];
	}
	return free_one != NULL ? free_one : &f->user[RAM_USERS - 1];
}

void ram_file_opened(struct ram_file *f, pid_t pid, bool scan)
{
	struct ram *r = f->r;
	struct ram_user *u;

	pthread_mutex_lock(&r->lock);
	u = user_of(f, pid);
	u->pid = u == &f->user[RAM_USERS - 1] ? 0 : pid;
	u->opens++;
	u->scans += scan;
	f->opens++;
	f->scans += scan;
	f->mapped = true;
	f->changed_ms = ram_now_ms();
	if (!scan)
		f->opened_ms = ram_now_ms();
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
}

/* Of a process with opens of both classes the scans are taken to close first. */
void ram_file_closed(struct ram_file *f, pid_t pid)
{
	struct ram *r = f->r;
	struct ram_user *u;

	pthread_mutex_lock(&r->lock);
	u = user_of(f, pid);
	for (unsigned k = 0; u->opens == 0 && k < RAM_USERS; k++)
		u = &f->user[k];
	if (u->opens > 0) {
		u->opens--;
		f->opens--;
		if (u->scans > 0) {
			u->scans--;
			f->scans--;
		}
	}
	pthread_mutex_unlock(&r->lock);
}

static void order(struct ram_file *f)
{
	f->order_at = 0;
	f->order_ms = ram_now_ms();
	pthread_cond_signal(&f->r->wake);
}

void ram_file_pin(struct ram_file *f, bool pin)
{
	pthread_mutex_lock(&f->r->lock);
	if (pin && !f->pin) {
		order(f);
	} else if (!pin && f->pin) {
		f->unpin = true;
		if (!f->warm)
			f->order_at = f->units;
	}
	f->pin = pin;
	if (pin)
		f->unpin = false;
	pthread_cond_signal(&f->r->wake);
	pthread_mutex_unlock(&f->r->lock);
}

void ram_file_warm(struct ram_file *f)
{
	pthread_mutex_lock(&f->r->lock);
	f->warm = true;
	f->cool = false;
	order(f);
	pthread_mutex_unlock(&f->r->lock);
}

void ram_file_cool(struct ram_file *f)
{
	pthread_mutex_lock(&f->r->lock);
	f->cool = true;
	f->pin = f->warm = false;
	pthread_cond_signal(&f->r->wake);
	pthread_mutex_unlock(&f->r->lock);
}

void ram_file_stream(struct ram_file *f)
{
	pthread_mutex_lock(&f->r->lock);
	f->stream_at = 0;
	pthread_cond_signal(&f->r->wake);
	pthread_mutex_unlock(&f->r->lock);
}

void ram_file_progress(struct ram_file *f, uint64_t *refaults, uint64_t *wanted)
{
	pthread_mutex_lock(&f->r->lock);
	*refaults = f->refaults;
	*wanted = ram_order_wanted(f);
	pthread_mutex_unlock(&f->r->lock);
}

void ram_file_status(struct ram_file *f, struct ram_file_status *out)
{
	struct ram *r = f->r;
	double sum = 0, most = 0;

	pthread_mutex_lock(&r->lock);
	for (uint32_t i = 0; i < f->units; i++) {
		const struct ram_unit *u = &f->unit[i];
		double heat = heat_key_now(u->slot != POLICY_NONE ? policy_set_key(&r->set, u->slot) : heat_key(u->heat),
					   &r->clock);

		sum += heat;
		most = heat > most ? heat : most;
	}
	*out = (struct ram_file_status){ .resident = f->resident, .kept = f->kept, .locked = f->locked,
					 .wanted = ram_order_wanted(f), .refaults = f->refaults, .pinned = f->pin,
					 .heat_max = most,
					 .heat_mean = f->units > 0 ? sum / f->units : 0, .why = f->why,
					 .why_unit = f->why_unit };
	pthread_mutex_unlock(&r->lock);
}
