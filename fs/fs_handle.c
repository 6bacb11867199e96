#include "fs/fs_handle.h"
#include "tiering/tier.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* Slots live in chunks that never move, so that a handle's address is good without the lock. */
#define FS_HANDLE_CHUNK 1024u
#define FS_HANDLE_CHUNKS 1024u

struct fs_handle_slot {
	struct fs_handle handle;
	uint32_t gen;                   /* odd while in use */
	uint32_t next_free;
};

struct fs_handles {
	pthread_mutex_t lock;           /* guards all below and each slot's gen and next_free */
	struct fs_handle_slot *chunks[FS_HANDLE_CHUNKS];
	uint32_t nslots, nused;
	uint32_t first_free;            /* UINT32_MAX: none */
};

int fs_handles_new(struct fs_handles **out)
{
	struct fs_handles *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->first_free = UINT32_MAX;
	*out = t;
	return 0;
}

static struct fs_handle_slot *fs_handle_slot(const struct fs_handles *t, uint32_t i)
{
	return &t->chunks[i / FS_HANDLE_CHUNK][i % FS_HANDLE_CHUNK];
}

void fs_handles_free(struct fs_handles *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 0; i < t->nslots; i++) {
		struct fs_handle_slot *s = fs_handle_slot(t, i);

		if (!(s->gen & 1))
			continue;
		if (s->handle.fd != -1)
			close(s->handle.fd);
		tier_file_close(s->handle.blob);
		free(s->handle.text);
	}
	for (uint32_t c = 0; c < FS_HANDLE_CHUNKS; c++)
		free(t->chunks[c]);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* With the lock held. */
static int fs_handles_grow(struct fs_handles *t)
{
	struct fs_handle_slot *chunk;

	if (t->nslots == FS_HANDLE_CHUNK * FS_HANDLE_CHUNKS)
		return -ENFILE;
	chunk = calloc(FS_HANDLE_CHUNK, sizeof(*chunk));
	if (chunk == NULL)
		return -ENOMEM;
	t->chunks[t->nslots / FS_HANDLE_CHUNK] = chunk;
	for (uint32_t i = FS_HANDLE_CHUNK; i > 0; i--) {
		chunk[i - 1].next_free = t->first_free;
		t->first_free = t->nslots + i - 1;
	}
	t->nslots += FS_HANDLE_CHUNK;
	return 0;
}

int fs_handle_add(struct fs_handles *t, const struct fs_handle *h, uint64_t *fh)
{
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	if (t->first_free == UINT32_MAX)
		rc = fs_handles_grow(t);
	if (rc == 0) {
		uint32_t i = t->first_free;
		struct fs_handle_slot *s = fs_handle_slot(t, i);

		t->first_free = s->next_free;
		s->handle = *h;
		s->gen++;
		t->nused++;
		*fh = (uint64_t)s->gen << 32 | i;
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

/* With the lock held. */
static struct fs_handle_slot *fs_handle_find(const struct fs_handles *t, uint64_t fh)
{
	uint32_t i = (uint32_t)fh, gen = (uint32_t)(fh >> 32);

	if (i >= t->nslots || !(gen & 1) || fs_handle_slot(t, i)->gen != gen)
		return NULL;
	return fs_handle_slot(t, i);
}

struct fs_handle *fs_handle_get(struct fs_handles *t, uint64_t fh)
{
	struct fs_handle_slot *s;

	pthread_mutex_lock(&t->lock);
	s = fs_handle_find(t, fh);
	pthread_mutex_unlock(&t->lock);
	return s != NULL ? &s->handle : NULL;
}

bool fs_handle_del(struct fs_handles *t, uint64_t fh, struct fs_handle *h)
{
	struct fs_handle_slot *s;

	pthread_mutex_lock(&t->lock);
	s = fs_handle_find(t, fh);
	if (s != NULL) {
		*h = s->handle;
		s->handle = (struct fs_handle){ .fd = -1 };
		s->gen++;
		s->next_free = t->first_free;
		t->first_free = (uint32_t)fh;
		t->nused--;
	}
	pthread_mutex_unlock(&t->lock);
	return s != NULL;
}

uint64_t fs_handle_count(struct fs_handles *t)
{
	uint64_t n;

	pthread_mutex_lock(&t->lock);
	n = t->nused;
	pthread_mutex_unlock(&t->lock);
	return n;
}

int fs_handle_next_writable(struct fs_handles *t, uint32_t *cursor)
{
	int fd = -1;

	pthread_mutex_lock(&t->lock);
	while (fd == -1 && *cursor < t->nslots) {
		struct fs_handle_slot *s = fs_handle_slot(t, (*cursor)++);

		if ((s->gen & 1) && s->handle.writable)
			fd = fcntl(s->handle.fd, F_DUPFD_CLOEXEC, 0);
	}
	pthread_mutex_unlock(&t->lock);
	return fd;
}
