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

#include <xxhash.h>

#include "engine/gguf_split.h"
#include "engine/weights_guard.h"
#include "kernels/kern_type.h"

#define REASON 256      /* bytes of a parser's line */
#define SAMPLES 64      /* pieces of so many bytes that a fingerprint looks at */
#define SAMPLE 4096

struct part {
	void *map;
	size_t len;
	struct gguf *g;
	struct stat was;                /* when it was opened */
	int fd, direct_fd;              /* the second -1 where O_DIRECT is refused */
	uint32_t align;                 /* of reads by it, 0: there are none */
	bool may_ask;                   /* mincore tells the truth */
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
	weights_guard_remove(p->map);
	munmap(p->map, p->len);
	p->map = NULL;
	close(p->fd);
	if (p->direct_fd != -1)
		close(p->direct_fd);
}

/* What reads past the page cache must be aligned to the system says (statx, since Linux 6.1), or else 4096 is enough for
 * all disks there are; 0: there are none of this file, or none that serve. */
static uint32_t part_align(int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) != 0 || !(stx.stx_mask & STATX_DIOALIGN))
		return 4096;
	if (stx.stx_dio_offset_align == 0 || stx.stx_dio_offset_align > WEIGHTS_ALIGN_MAX || stx.stx_dio_mem_align > 4096)
		return 0;
	return stx.stx_dio_offset_align > 4096 ? stx.stx_dio_offset_align : 4096;
}

/* The same file for reads past the page cache. */
static void part_open_direct(struct part *p)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->fd);
	if (p->align != 0)
		p->direct_fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
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
	p->was = st;
	p->align = part_align(fd);
	p->may_ask = st.st_uid == geteuid() || faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
	(void)weights_guard_add(p->map, p->len);        /* without room for it a file that shrinks ends the process */
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
	if (rc != 0) {
		close(fd);
		return rc;
	}
	p->fd = fd;
	rc = gguf_parse(&p->g, p->map, p->len, p->len, reason, sizeof(reason));
	if (rc != 0) {
		weights_guard_remove(p->map);
		munmap(p->map, p->len);
		p->map = NULL;
		close(fd);
		return fault(err, errlen, path, reason, rc);
	}
	p->direct_fd = -1;
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
	out->slice_bytes = (size_t)t->ne[1] * out->row_bytes;
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

/* Hashes are chained: each begins with the one before as its seed. */
uint64_t weights_fingerprint(const struct weights *w)
{
	uint64_t hash = w->n_parts, k, pages = SAMPLES / w->n_parts + 1;
	uint32_t i;

	for (i = 0; i < w->n_parts; i++) {
		const struct part *p = &w->parts[i];
		const char *bytes = p->map;

		hash = XXH3_64bits_withSeed(&p->len, sizeof(p->len), hash);
		hash = XXH3_64bits_withSeed(bytes, gguf_data_off(p->g), hash);
		for (k = 0; k < pages && p->len > SAMPLE; k++)
			hash = XXH3_64bits_withSeed(bytes + (p->len - SAMPLE) / pages * k, SAMPLE, hash);
	}
	return hash;
}

uint64_t weights_header_bytes(const struct weights *w)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < w->n_parts; i++)
		n += gguf_data_off(w->parts[i].g);
	return n;
}

static const struct part *part_of(const struct weights *w, const void *data)
{
	const struct part *p = w->parts;

	while (p + 1 < w->parts + w->n_parts && ((const char *)data < (const char *)p->map ||
						 (const char *)data >= (const char *)p->map + p->len))
		p++;
	return p;
}

void weights_place(const struct weights *w, const void *data, bool buffered, struct weights_place *out)
{
	const struct part *p = part_of(w, data);

	out->direct = p->direct_fd != -1 && !buffered;
	out->fd = out->direct ? p->direct_fd : p->fd;
	out->off = (uint64_t)((const char *)data - (const char *)p->map);
	out->align = out->direct ? p->align : 1;
}

uint32_t weights_align(const struct weights *w)
{
	uint32_t i, most = 4096;

	for (i = 0; i < w->n_parts; i++)
		if (w->parts[i].align > most)
			most = w->parts[i].align;
	return most;
}

void weights_direct(struct weights *w)
{
	uint32_t i;

	for (i = 0; i < w->n_parts; i++) {
		if (w->parts[i].direct_fd == -1)
			part_open_direct(&w->parts[i]);
		posix_fadvise(w->parts[i].fd, 0, 0, POSIX_FADV_RANDOM);
		madvise(w->parts[i].map, w->parts[i].len, MADV_RANDOM);
	}
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Names, owners and rights may change while a file is used; each changes ctime. */
static bool same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_nlink == b->st_nlink && a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid;
}

int weights_check(struct weights *w)
{
	struct stat st;
	uint32_t i;

	for (i = 0; i < w->n_parts; i++) {
		struct part *p = &w->parts[i];

		if (fstat(p->fd, &st) != 0)
			return -errno;
		if (st.st_size != p->was.st_size || !same_time(st.st_mtim, p->was.st_mtim) || weights_guard_hit(p->map) ||
		    (!same_time(st.st_ctim, p->was.st_ctim) && same_inode(&st, &p->was)))
			return -ESTALE;
		p->was = st;
	}
	return 0;
}

/* ---- what is in memory --------------------------------------------------------------------------- */

#define ASK_PAGES 4096u         /* at a time */

/* Pages from at on, page-aligned, of len bytes that are resident. */
static size_t resident_pages(char *at, size_t len, size_t page)
{
	unsigned char there[ASK_PAGES];
	size_t n, i, sum = 0;

	for (; len > 0; at += n * page, len -= len < n * page ? len : n * page) {
		n = (len + page - 1) / page;
		n = n < ASK_PAGES ? n : ASK_PAGES;
		if (mincore(at, n * page < len ? n * page : len, there) != 0)
			return sum;
		for (i = 0; i < n; i++)
			sum += there[i] & 1;
	}
	return sum;
}

bool weights_resident(const struct weights *w, const void *data, size_t bytes)
{
	const struct part *p = part_of(w, data);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), off = (size_t)((const char *)data - (const char *)p->map);
	size_t from = off / page * page, end = off + bytes;

	return p->may_ask && resident_pages((char *)p->map + from, end - from, page) == (end - from + page - 1) / page;
}

uint64_t weights_resident_bytes(const struct weights *w)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < w->n_parts; i++)
		if (w->parts[i].may_ask)
			sum += (uint64_t)resident_pages(w->parts[i].map, w->parts[i].len, page) * page;
	return sum;
}
