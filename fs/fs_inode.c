#include "fs/fs_inode_internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- indices ---- */

static uint32_t fs_hash_u64(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	return (uint32_t)x;
}

static uint32_t fs_hash_name(uint32_t parent, const char *name)
{
	uint64_t h = 0xcbf29ce484222325ull ^ parent;    /* FNV-1a */

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 0x100000001b3ull;
	return fs_hash_u64(h);
}

struct fs_node *fs_node_at(const struct fs_inodes *t, uint64_t nodeid)
{
	return nodeid < t->nslots ? t->slots[nodeid] : NULL;
}

static struct fs_node **fs_ino_bucket(const struct fs_inodes *t, uint64_t st_ino)
{
	return &t->by_ino[fs_hash_u64(st_ino) & (t->nbuckets - 1)];
}

static struct fs_node *fs_ino_find(const struct fs_inodes *t, uint64_t st_ino)
{
	struct fs_node *n;

	for (n = *fs_ino_bucket(t, st_ino); n != NULL && n->st_ino != st_ino; n = n->next_in_bucket)
		;
	return n;
}

static void fs_ino_insert(struct fs_inodes *t, struct fs_node *n)
{
	struct fs_node **bucket = fs_ino_bucket(t, n->st_ino);

	n->next_in_bucket = *bucket;
	*bucket = n;
}

static void fs_ino_remove(struct fs_inodes *t, const struct fs_node *n)
{
	struct fs_node **p;

	for (p = fs_ino_bucket(t, n->st_ino); *p != NULL; p = &(*p)->next_in_bucket) {
		if (*p == n) {
			*p = n->next_in_bucket;
			return;
		}
	}
}

static struct fs_name **fs_name_bucket(const struct fs_inodes *t, uint32_t parent, const char *name)
{
	return &t->by_name[fs_hash_name(parent, name) & (t->nbuckets - 1)];
}

static struct fs_name *fs_name_find(const struct fs_inodes *t, uint32_t parent, const char *name)
{
	struct fs_name *m;

	for (m = *fs_name_bucket(t, parent, name); m != NULL; m = m->next_in_bucket)
		if (m->parent == parent && strcmp(m->component, name) == 0)
			break;
	return m;
}

/* Double the table; the old one stays as it is when memory is short. */
static int fs_inodes_grow(struct fs_inodes *t)
{
	uint32_t n = t->nslots * 2, old_buckets = t->nbuckets;
	struct fs_node **slots, **by_ino, **old_ino = t->by_ino;
	struct fs_name **by_name, **old_name = t->by_name;
	uint32_t *free_slots;

	if (n > FS_MAX_NODES)
		return -ENFILE;
	slots = realloc(t->slots, n * sizeof(struct fs_node *));
	if (slots == NULL)
		return -ENOMEM;
	t->slots = slots;
	free_slots = realloc(t->free_slots, n * sizeof(*free_slots));
	if (free_slots == NULL)
		return -ENOMEM;
	t->free_slots = free_slots;
	by_ino = calloc(n, sizeof(struct fs_node *));
	by_name = calloc(n, sizeof(struct fs_name *));
	if (by_ino == NULL || by_name == NULL) {
		free(by_ino);
		free(by_name);
		return -ENOMEM;
	}
	for (uint32_t i = n; i > t->nslots; i--) {
		t->slots[i - 1] = NULL;
		t->free_slots[t->nfree++] = i - 1;
	}
	t->nslots = t->nbuckets = n;
	t->by_ino = by_ino;
	t->by_name = by_name;
	for (uint32_t b = 0; b < old_buckets; b++) {
		for (struct fs_node *node = old_ino[b], *next; node != NULL; node = next) {
			next = node->next_in_bucket;
			fs_ino_insert(t, node);
		}
		for (struct fs_name *name = old_name[b], *next; name != NULL; name = next) {
			struct fs_name **bucket = fs_name_bucket(t, name->parent, name->component);

			next = name->next_in_bucket;
			name->next_in_bucket = *bucket;
			*bucket = name;
		}
	}
	free(old_ino);
	free(old_name);
	return 0;
}

/* ---- nodes and names; the lock is held below this line until the public functions ---- */

static int fs_node_add(struct fs_inodes *t, uint64_t st_ino, struct fs_node **out)
{
	struct fs_node *n;
	int rc;

	if (t->nfree == 0) {
		rc = fs_inodes_grow(t);
		if (rc != 0)
			return rc;
	}
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return -ENOMEM;
	n->st_ino = st_ino;
	n->kept = -1;
	n->nodeid = t->free_slots[--t->nfree];
	t->slots[n->nodeid] = n;
	t->nused++;
	fs_ino_insert(t, n);
	*out = n;
	return 0;
}

static void fs_name_unlink(struct fs_inodes *t, struct fs_name *m)
{
	struct fs_name **p;

	for (p = &t->slots[m->child]->names; *p != m; p = &(*p)->next_of_child)
		;
	*p = m->next_of_child;
	for (p = fs_name_bucket(t, m->parent, m->component); *p != m; p = &(*p)->next_in_bucket)
		;
	*p = m->next_in_bucket;
}

static bool fs_node_unused(const struct fs_node *n)
{
	return n->nodeid != FS_ROOT && n->nlookup == 0 && n->nopen == 0 && n->nchildren == 0;
}

/* Free the node if nothing refers to it any more, then its parents likewise.  Each step frees a node,
 * and the nodes waiting to be looked at are chained through next_in_bucket. */
void fs_node_reap(struct fs_inodes *t, struct fs_node *first)
{
	struct fs_node *todo = NULL, *n = first;

	if (!fs_node_unused(n))
		return;
	fs_ino_remove(t, n);
	n->next_in_bucket = NULL;
	todo = n;
	while (todo != NULL) {
		n = todo;
		todo = n->next_in_bucket;
		while (n->names != NULL) {
			struct fs_name *m = n->names;
			struct fs_node *parent = t->slots[m->parent];

			fs_name_unlink(t, m);
			free(m);
			parent->nchildren--;
			if (fs_node_unused(parent)) {
				fs_ino_remove(t, parent);
				parent->next_in_bucket = todo;
				todo = parent;
			}
		}
		t->slots[n->nodeid] = NULL;
		t->free_slots[t->nfree++] = n->nodeid;
		t->nused--;
		if (n->kept >= 0)
			t->shut[t->nshut++] = n->kept;
		free(n->last);
		free(n);
	}
}

static void fs_name_drop(struct fs_inodes *t, struct fs_name *m)
{
	struct fs_node *child = t->slots[m->child], *parent = t->slots[m->parent];

	fs_name_unlink(t, m);
	free(m);
	parent->nchildren--;
	fs_node_reap(t, child);
	if (t->slots[parent->nodeid] == parent)
		fs_node_reap(t, parent);
}

/* Make (parent, component) a name of child, whatever it named before. */
static int fs_name_set(struct fs_inodes *t, uint32_t parent, const char *component, uint32_t child)
{
	struct fs_name *m, *old = fs_name_find(t, parent, component), **bucket;
	size_t len = strlen(component) + 1;

	if (old != NULL && old->child == child)
		return 0;
	m = malloc(sizeof(*m) + len);
	if (m == NULL)
		return -ENOMEM;
	memcpy(m->component, component, len);
	m->parent = parent;
	m->child = child;
	t->slots[parent]->nchildren++;
	m->next_of_child = t->slots[child]->names;
	t->slots[child]->names = m;
	if (old != NULL)
		fs_name_drop(t, old);
	bucket = fs_name_bucket(t, parent, component);
	m->next_in_bucket = *bucket;
	*bucket = m;
	return 0;
}

/* ---- public ---- */

int fs_inodes_new(struct fs_inodes **out, const struct home *home, const struct io *io, uint64_t root_ino)
{
	struct fs_inodes *t;
	struct fs_node *root;

	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->home = home;
	t->io = io;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->decided, NULL);
	t->nslots = t->nbuckets = 64;
	t->slots = calloc(t->nslots, sizeof(struct fs_node *));
	t->free_slots = calloc(t->nslots, sizeof(*t->free_slots));
	t->by_ino = calloc(t->nbuckets, sizeof(struct fs_node *));
	t->by_name = calloc(t->nbuckets, sizeof(struct fs_name *));
	if (t->slots == NULL || t->free_slots == NULL || t->by_ino == NULL || t->by_name == NULL)
		goto free_table;
	for (uint32_t i = t->nslots; i > FS_ROOT; i--)  /* the root is taken first; 0 is no node id */
		t->free_slots[t->nfree++] = i - 1;
	if (fs_node_add(t, root_ino, &root) != 0)
		goto free_table;
	*out = t;
	return 0;

free_table:
	fs_inodes_free(t);
	return -ENOMEM;
}

void fs_inodes_free(struct fs_inodes *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 0; t->slots != NULL && i < t->nslots; i++) {
		struct fs_node *n = t->slots[i];

		if (n == NULL)
			continue;
		for (struct fs_name *m = n->names, *next; m != NULL; m = next) {
			next = m->next_of_child;
			free(m);
		}
		for (struct fs_open_fd *f = n->fds, *next; f != NULL; f = next) {
			next = f->next;
			free(f);
		}
		if (n->kept >= 0)
			io_close(t->io, n->kept);
		free(n->last);
		free(n);
	}
	fs_inodes_shut(t);
	free(t->slots);
	free(t->free_slots);
	free(t->by_ino);
	free(t->by_name);
	pthread_cond_destroy(&t->decided);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int fs_inode_learn(struct fs_inodes *t, uint64_t parent, const char *name, uint64_t st_ino, uint64_t *out)
{
	struct fs_node *n;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	n = fs_ino_find(t, st_ino);
	if (n == NULL)
		rc = fs_node_add(t, st_ino, &n);
	if (rc == 0 && name != NULL) {
		n->nlookup++;           /* holds the node while its name is set */
		rc = fs_node_at(t, parent) != NULL ? fs_name_set(t, (uint32_t)parent, name, n->nodeid) : -ESTALE;
		n->nlookup--;
	}
	if (rc == 0) {
		n->nlookup++;
		*out = n->nodeid;
	} else if (n != NULL) {
		fs_node_reap(t, n);
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}

void fs_inode_forget(struct fs_inodes *t, uint64_t nodeid, uint64_t nlookup)
{
	struct fs_node *n;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL) {
		n->nlookup -= nlookup < n->nlookup ? nlookup : n->nlookup;
		fs_node_reap(t, n);
	}
	pthread_mutex_unlock(&t->lock);
	fs_inodes_shut(t);
}

void fs_inode_unname(struct fs_inodes *t, uint64_t parent, const char *name)
{
	struct fs_name *m;

	pthread_mutex_lock(&t->lock);
	m = fs_name_find(t, (uint32_t)parent, name);
	if (m != NULL)
		fs_name_drop(t, m);
	pthread_mutex_unlock(&t->lock);
}

void fs_inode_rename(struct fs_inodes *t, uint64_t parent, const char *name, uint64_t newparent,
		     const char *newname, bool exchange)
{
	uint32_t child = 0, other = 0;
	struct fs_name *m, *o;

	pthread_mutex_lock(&t->lock);
	m = fs_name_find(t, (uint32_t)parent, name);
	o = fs_name_find(t, (uint32_t)newparent, newname);
	if (m != NULL)
		t->slots[child = m->child]->nlookup++;          /* hold both while names change */
	if (o != NULL && exchange)
		t->slots[other = o->child]->nlookup++;
	if (o != NULL && o != m)
		fs_name_drop(t, o);
	if (m != NULL)
		fs_name_drop(t, m);
	/* when memory is short a name is lost: the next lookup brings it back */
	if (child != 0 && fs_node_at(t, newparent) != NULL)
		(void)!fs_name_set(t, (uint32_t)newparent, newname, child);
	if (other != 0 && fs_node_at(t, parent) != NULL)
		(void)!fs_name_set(t, (uint32_t)parent, name, other);
	for (int i = 0; i < 2; i++) {
		struct fs_node *n = fs_node_at(t, i == 0 ? child : other);

		if (n != NULL && n->nodeid != 0) {
			n->nlookup--;
			fs_node_reap(t, n);
		}
	}
	pthread_mutex_unlock(&t->lock);
}

void fs_inode_retire(struct fs_inodes *t, uint64_t nodeid, const struct stat *last)
{
	struct stat *copy = last != NULL ? malloc(sizeof(*copy)) : NULL;
	struct fs_node *n;

	if (copy != NULL)
		*copy = *last;
	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	if (n != NULL && !n->retired) {
		fs_ino_remove(t, n);
		n->retired = true;
		n->last = copy;
		copy = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	free(copy);
}

bool fs_inode_last_stat(struct fs_inodes *t, uint64_t nodeid, struct stat *last)
{
	const struct fs_node *n;
	bool known;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	known = n != NULL && n->last != NULL;
	if (known)
		*last = *n->last;
	pthread_mutex_unlock(&t->lock);
	return known;
}

uint64_t fs_inode_st_ino(struct fs_inodes *t, uint64_t nodeid)
{
	struct fs_node *n;
	uint64_t st_ino;

	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	st_ino = n != NULL ? n->st_ino : 0;
	pthread_mutex_unlock(&t->lock);
	return st_ino;
}

uint64_t fs_inode_by_st_ino(struct fs_inodes *t, uint64_t st_ino)
{
	struct fs_node *n;
	uint64_t nodeid;

	pthread_mutex_lock(&t->lock);
	n = fs_ino_find(t, st_ino);
	nodeid = n != NULL ? n->nodeid : 0;
	pthread_mutex_unlock(&t->lock);
	return nodeid;
}

uint64_t fs_inode_count(struct fs_inodes *t)
{
	uint64_t n;

	pthread_mutex_lock(&t->lock);
	n = t->nused;
	pthread_mutex_unlock(&t->lock);
	return n;
}

/* Components are put in from the end of the buffer, then moved to its start. */
bool fs_inode_path(struct fs_inodes *t, uint64_t nodeid, unsigned i, char *path)
{
	char buf[PATH_MAX];
	size_t at = sizeof(buf) - 1;
	const struct fs_node *n;
	const struct fs_name *m;
	bool found = true;

	buf[at] = '\0';
	pthread_mutex_lock(&t->lock);
	n = fs_node_at(t, nodeid);
	found = n != NULL && (nodeid != FS_ROOT || i == 0);
	while (found && n->nodeid != FS_ROOT) {
		size_t len;

		for (m = n->names; m != NULL && i > 0; i--)
			m = m->next_of_child;
		len = m != NULL ? strlen(m->component) : 0;
		found = m != NULL && len + 1 <= at;
		if (!found)
			break;
		if (buf[at] != '\0')
			buf[--at] = '/';
		at -= len;
		memcpy(buf + at, m->component, len);
		n = t->slots[m->parent];
		i = 0;
	}
	pthread_mutex_unlock(&t->lock);
	if (found)
		memcpy(path, buf + at, sizeof(buf) - at);
	return found;
}

int fs_inode_check(struct fs_inodes *t, char *err, size_t errlen)
{
	uint64_t names = 0, children = 0;
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	for (uint32_t i = 0; i < t->nslots; i++) {
		const struct fs_node *n = t->slots[i];

		if (n == NULL)
			continue;
		children += n->nchildren;
		if (n->nodeid != i || (i != FS_ROOT && fs_node_unused(n))) {
			snprintf(err, errlen, "N1: node %u is in use by nobody", i);
			rc = -EINVAL;
		}
		if ((fs_ino_find(t, n->st_ino) == n) == n->retired) {
			snprintf(err, errlen, "N2: node %u and the index disagree", i);
			rc = -EINVAL;
		}
		for (const struct fs_name *m = n->names; m != NULL; m = m->next_of_child, names++) {
			if (m->child != i || fs_name_find(t, m->parent, m->component) != m) {
				snprintf(err, errlen, "N3: name '%s' of node %u is not in the index", m->component, i);
				rc = -EINVAL;
			}
		}
	}
	if (rc == 0 && names != children) {
		snprintf(err, errlen, "N3: %llu names but %llu children", (unsigned long long)names,
			 (unsigned long long)children);
		rc = -EINVAL;
	}
	pthread_mutex_unlock(&t->lock);
	return rc;
}
