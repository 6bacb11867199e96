/* weights.c - see weights.h. */
#include "engine/weights.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/gguf_split.h"
#include "kernels/kern_type.h"

#define REASON 256      /* bytes of a parser's line */

struct part {
	void *map;
	size_t len;
	struct gguf *g;
};

struct weights {
	uint32_t n_parts;
	struct part *parts;             /* [n_parts], in order */
	uint64_t n_tensors, nbytes;
};

static int fault(char *err, size_t errlen, const char *path, const char *reason, int rc)
{
	snprintf(err, errlen, "%s: %s", path, reason);
	return rc;
}

static int fault_errno(char *err, size_t errlen, const char *path, int rc)
{
	char reason[REASON];

	return fault(err, errlen, path, strerror_r(-rc, reason, sizeof(reason)), rc);
}

static void part_close(struct part *p)
{
	if (p->map == NULL)
		return;
	gguf_free(p->g);
	munmap(p->map, p->len);
	p->map = NULL;
}

/* Map the open file; err gets a line on failure. */
static int part_map(struct part *p, int fd, const char *path, char *err, size_t errlen)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fault_errno(err, errlen, path, -errno);
	if (S_ISDIR(st.st_mode))
		return fault(err, errlen, path, "is a directory", -EISDIR);
	if (!S_ISREG(st.st_mode))
		return fault(err, errlen, path, "is not a regular file", -EINVAL);
	if (st.st_size == 0)
		return fault(err, errlen, path, "the file is empty", -EINVAL);
	if ((uint64_t)st.st_size > SIZE_MAX)
		return fault_errno(err, errlen, path, -EFBIG);
	p->len = (size_t)st.st_size;
	p->map = mmap(NULL, p->len, PROT_READ, MAP_SHARED, fd, 0);
	if (p->map == MAP_FAILED) {
		int rc = -errno;

		p->map = NULL;
		return fault_errno(err, errlen, path, rc);
	}
	return 0;
}

static int part_open(struct part *p, const char *path, char *err, size_t errlen)
{
	char reason[REASON];
	int fd, rc;

	/* O_NONBLOCK: opening a FIFO must not wait for a writer */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fault_errno(err, errlen, path, -errno);
	rc = part_map(p, fd, path, err, errlen);
	close(fd);
	if (rc != 0)
		return rc;
	rc = gguf_parse(&p->g, p->map, p->len, p->len, reason, sizeof(reason));
	if (rc != 0) {
		munmap(p->map, p->len);
		p->map = NULL;
		return fault(err, errlen, path, reason, rc);
	}
	return 0;
}

/* Parts other than split->no, which is open already. */
static int open_others(struct weights *w, const struct gguf_split *split, const char *path, char *err, size_t errlen)
{
	char reason[REASON], part_path[PATH_MAX];
	uint32_t i;
	int rc;

	for (i = 0; i < w->n_parts; i++) {
		rc = gguf_split_path(split, path, i, part_path, sizeof(part_path), reason, sizeof(reason));
		if (rc != 0)
			return fault(err, errlen, path, reason, rc);
		if (i == split->no)
			continue;
		rc = part_open(&w->parts[i], part_path, err, errlen);
		if (rc != 0)
			return rc;
		rc = gguf_split_check(split, w->parts[i].g, i, reason, sizeof(reason));
		if (rc != 0)
			return fault(err, errlen, part_path, reason, rc);
	}
	return 0;
}

static void count(struct weights *w)
{
	uint64_t k;
	uint32_t i;

	for (i = 0; i < w->n_parts; i++) {
		const struct gguf *g = w->parts[i].g;

		w->n_tensors += gguf_n_tensors(g);
		for (k = 0; k < gguf_n_tensors(g); k++)
			w->nbytes += gguf_tensor_at(g, k)->nbytes;
	}
}

/* The first part opened becomes parts[split.no] of as many as it says. */
static int open_parts(struct weights *w, struct part *first, const char *path, char *err, size_t errlen)
{
	char reason[REASON];
	struct gguf_split split;
	int rc;

	rc = gguf_split_read(first->g, &split, reason, sizeof(reason));
	if (rc != 0)
		return fault(err, errlen, path, reason, rc);
	w->parts = calloc(split.count, sizeof(*w->parts));
	if (w->parts == NULL)
		return fault_errno(err, errlen, path, -ENOMEM);
	w->n_parts = split.count;
	w->parts[split.no] = *first;
	first->map = NULL;              /* now w's */
	if (split.count > 1) {
		rc = open_others(w, &split, path, err, errlen);
		if (rc != 0)
			return rc;
	}
	count(w);
	rc = split.count > 1 ? gguf_split_check_total(&split, w->n_tensors, reason, sizeof(reason)) : 0;
	if (rc != 0)
		return fault(err, errlen, path, reason, rc);
	return 0;
}

int weights_open(struct weights **out, const char *path, char *err, size_t errlen)
{
	struct part first = { 0 };
	struct weights *w;
	int rc;

	rc = part_open(&first, path, err, errlen);
	if (rc != 0)
		return rc;
	w = calloc(1, sizeof(*w));
	if (w == NULL) {
		rc = fault_errno(err, errlen, path, -ENOMEM);
		goto close_first;
	}
	rc = open_parts(w, &first, path, err, errlen);
	if (rc != 0)
		goto close_weights;
	*out = w;
	return 0;

close_weights:
	weights_close(w);
close_first:
	part_close(&first);
	return rc;
}

void weights_close(struct weights *w)
{
	uint32_t i;

	if (w == NULL)
		return;
	for (i = 0; i < w->n_parts; i++)
		part_close(&w->parts[i]);
	free(w->parts);
	free(w);
}

const struct gguf *weights_meta(const struct weights *w)
{
	return w->parts[0].g;
}

int weights_find(const struct weights *w, const char *name, struct weights_tensor *out)
{
	const struct gguf_tensor *t = NULL;
	const struct kern_type *kt;
	uint32_t i;

	for (i = 0; i < w->n_parts && t == NULL; i++)
		t = gguf_tensor_find(w->parts[i].g, name);
	if (t == NULL)
		return -ENOENT;
	kt = kern_type(t->type);
	out->data = (const char *)w->parts[i - 1].map + t->off;
	out->type = t->type;
	out->ndims = t->ndims;
	memcpy(out->ne, t->ne, sizeof(out->ne));
	out->nbytes = t->nbytes;
	out->row_bytes = (size_t)(t->ne[0] / kt->elems * kt->bytes);
	return 0;
}

uint64_t weights_n_tensors(const struct weights *w)
{
	return w->n_tensors;
}

struct gguf_str weights_name(const struct weights *w, uint64_t i)
{
	uint32_t part = 0;

	while (i >= gguf_n_tensors(w->parts[part].g))
		i -= gguf_n_tensors(w->parts[part++].g);
	return gguf_tensor_at(w->parts[part].g, i)->name;
}

uint64_t weights_bytes(const struct weights *w)
{
	return w->nbytes;
}
