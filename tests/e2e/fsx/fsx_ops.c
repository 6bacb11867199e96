/* fsx_ops.c - operations on content; see fsx.h. */
#include "tests/e2e/fsx/fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A handle that can read (write), by chance; -1 when there is none. */
static int fsx_pick(struct fsx *f, bool writes, bool local)
{
	const int start = (int)fsx_below(f, (uint64_t)f->nhandles);
	int i, h, mode;

	for (i = 0; i < f->nhandles; i++) {
		h = (start + i) % f->nhandles;
		mode = f->handles[h].flags & O_ACCMODE;
		if (f->handles[h].fd >= 0 && (!local || !f->handles[h].remote) &&
		    mode != (writes ? O_RDONLY : O_WRONLY))
			return h;
	}
	return -1;
}

static const char *fsx_kind(const struct fsx_handle *h)
{
	if ((h->flags & O_DIRECT) != 0)
		return h->remote ? "remote direct" : "direct";
	if ((h->flags & O_APPEND) != 0)
		return h->remote ? "remote append" : "append";
	return h->remote ? "remote" : "plain";
}

static void fsx_resize(struct fsx_file *file, off_t size)
{
	if (size < file->size)
		memset(file->data + size, 0, (size_t)(file->size - size));
	file->size = size;
}

/* Not supported is learned once; anything else that fails is a mismatch. */
static bool fsx_unsupported(struct fsx *f, enum fsx_op_id op, const char *what)
{
	if (errno != EOPNOTSUPP && errno != ENOSYS)
		fsx_die(f, "%s: %s", what, strerror(errno));
	fsx_say(f, "%s is not supported here", what);
	f->disabled |= 1u << op;
	return false;
}

bool fsx_op_read(struct fsx *f)
{
	const int i = fsx_pick(f, false, false);
	const struct fsx_handle *h;
	size_t n, want;
	ssize_t got;
	off_t off;

	if (i < 0)
		return false;
	h = &f->handles[i];
	off = fsx_offset(f, f->files[h->file].size);
	n = fsx_length(f);
	if ((h->flags & O_DIRECT) != 0) {
		off &= -(off_t)FSX_PAGE;
		n = (n + FSX_PAGE - 1) & -(size_t)FSX_PAGE;
	}
	want = (size_t)(f->files[h->file].size - off);
	want = want < n ? want : n;
	fsx_say(f, "read file %d by %s handle %d, %zu at %lld", h->file, fsx_kind(h), i, n, (long long)off);
	got = fsx_io_read(f, h, off, n);
	if (got < 0)
		fsx_die(f, "read: %s", strerror(errno));
	if ((size_t)got != want)
		fsx_die(f, "read gave %zd bytes, want %zu (size %lld)", got, want, (long long)f->files[h->file].size);
	fsx_compare(f, h->file, off, f->buf, want, "read");
	f->count.reads++;
	f->count.bytes_read += want;
	return true;
}

bool fsx_op_write(struct fsx *f)
{
	const int i = fsx_pick(f, true, false);
	const struct fsx_handle *h;
	struct fsx_file *file;
	ssize_t done;
	size_t n;
	off_t off;

	if (i < 0)
		return false;
	h = &f->handles[i];
	file = &f->files[h->file];
	off = fsx_below(f, 10) == 0 ? fsx_size(f) : fsx_offset(f, file->size);
	n = fsx_length(f);
	if ((h->flags & O_DIRECT) != 0) {
		off &= -(off_t)FSX_PAGE;
		n = (n + FSX_PAGE - 1) & -(size_t)FSX_PAGE;
	}
	if ((h->flags & O_APPEND) != 0)
		off = file->size;
	if (off + (off_t)n > f->maxlen)
		return false;
	fsx_say(f, "write file %d by %s handle %d, %zu at %lld%s", h->file, fsx_kind(h), i, n, (long long)off,
		off + (off_t)n > file->size ? " EXTENDS" : "");
	fsx_new_bytes(f, n);
	done = fsx_io_write(f, h, off, n);
	if (done != (ssize_t)n)
		fsx_die(f, "write gave %zd: %s", done, strerror(errno));
	memcpy(file->data + off, f->buf, n);
	if (off + (off_t)n > file->size)
		file->size = off + (off_t)n;
	f->count.writes++;
	f->count.bytes_written += n;
	return true;
}

/* A map and a range of it inside the file; false when the chosen one has none. */
static bool fsx_map_range(struct fsx *f, bool writes, int *map, off_t *off, size_t *n)
{
	const int m = (int)fsx_below(f, (uint64_t)f->nmaps);
	const struct fsx_map *p = &f->maps[m];
	off_t end;

	if (p->p == NULL || (writes && !p->writable))
		return false;
	end = p->off + (off_t)p->len;
	if (end > f->files[p->file].size)
		end = f->files[p->file].size;
	if (end <= p->off)
		return false;
	*map = m;
	*off = p->off + fsx_offset(f, end - p->off - 1);
	*n = fsx_length(f);
	if ((off_t)*n > end - *off)
		*n = (size_t)(end - *off);
	return true;
}

bool fsx_op_map_read(struct fsx *f)
{
	int i, m;
	off_t off;
	size_t n;

	if (fsx_map_range(f, false, &m, &off, &n)) {
		fsx_say(f, "read file %d by map %d, %zu at %lld", f->maps[m].file, m, n, (long long)off);
		fsx_compare(f, f->maps[m].file, off, f->maps[m].p + (off - f->maps[m].off), n, "mapped read");
		f->count.reads++;
		f->count.bytes_read += n;
		return true;
	}
	i = fsx_pick(f, false, false);
	if (i < 0 || f->files[f->handles[i].file].size == 0)
		return false;
	off = fsx_offset(f, f->files[f->handles[i].file].size - 1);
	n = fsx_length(f);
	if ((off_t)n > f->files[f->handles[i].file].size - off)
		n = (size_t)(f->files[f->handles[i].file].size - off);
	fsx_say(f, "read file %d by a new map of %s handle %d, %zu at %lld", f->handles[i].file,
		fsx_kind(&f->handles[i]), i, n, (long long)off);
	if (fsx_io_map_read(f, &f->handles[i], off, n) != (ssize_t)n)
		fsx_die(f, "mmap: %s", strerror(errno));
	fsx_compare(f, f->handles[i].file, off, f->buf, n, "read by a new map");
	f->count.reads++;
	f->count.bytes_read += n;
	return true;
}

bool fsx_op_map_write(struct fsx *f)
{
	struct fsx_map *p;
	off_t off;
	size_t n;
	int m;

	if (!fsx_map_range(f, true, &m, &off, &n))
		return false;
	p = &f->maps[m];
	fsx_say(f, "write file %d by map %d, %zu at %lld", p->file, m, n, (long long)off);
	fsx_new_bytes(f, n);
	memcpy(p->p + (off - p->off), f->buf, n);
	memcpy(f->files[p->file].data + off, f->buf, n);
	f->files[p->file].map_dirty = true;
	f->count.writes++;
	f->count.bytes_written += n;
	return true;
}

bool fsx_op_truncate(struct fsx *f)
{
	const int i = fsx_pick(f, true, true);
	char path[512];
	off_t size;
	int name, rc;

	size = fsx_size(f);
	name = (int)fsx_below(f, (uint64_t)f->nnames);
	if (fsx_below(f, 3) == 0 && f->names[name] >= 0) {
		fsx_path(f, name, path);
		fsx_say(f, "truncate name %d (file %d) from %lld to %lld", name, f->names[name],
			(long long)f->files[f->names[name]].size, (long long)size);
		rc = truncate(path, size);
		fsx_resize(&f->files[f->names[name]], size);
	} else if (i >= 0) {
		fsx_say(f, "truncate file %d by handle %d from %lld to %lld", f->handles[i].file, i,
			(long long)f->files[f->handles[i].file].size, (long long)size);
		rc = ftruncate(f->handles[i].fd, size);
		fsx_resize(&f->files[f->handles[i].file], size);
	} else {
		return false;
	}
	if (rc != 0)
		fsx_die(f, "truncate: %s", strerror(errno));
	return true;
}

static bool fsx_fallocate(struct fsx *f, enum fsx_op_id op, int mode, const char *what)
{
	const int i = fsx_pick(f, true, true);
	struct fsx_file *file;
	off_t off, end;

	if (i < 0)
		return false;
	file = &f->files[f->handles[i].file];
	off = fsx_offset(f, file->size);
	end = off + (off_t)fsx_length(f);
	if (end > f->maxlen)
		return false;
	fsx_say(f, "%s file %d by handle %d, [%lld, %lld)%s", what, f->handles[i].file, i, (long long)off,
		(long long)end, (mode & FALLOC_FL_KEEP_SIZE) != 0 ? " keeping the size" : "");
	if (fallocate(f->handles[i].fd, mode, off, end - off) != 0)
		return fsx_unsupported(f, op, what);
	if ((mode & FALLOC_FL_KEEP_SIZE) == 0 && end > file->size)
		file->size = end;
	if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0)
		memset(file->data + off, 0, (size_t)(end - off));
	return true;
}

bool fsx_op_allocate(struct fsx *f)
{
	return fsx_fallocate(f, FSX_ALLOCATE, fsx_below(f, 2) ? FALLOC_FL_KEEP_SIZE : 0, "allocate");
}

bool fsx_op_punch(struct fsx *f)
{
	return fsx_fallocate(f, FSX_PUNCH, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, "punch");
}

bool fsx_op_zero(struct fsx *f)
{
	return fsx_fallocate(f, FSX_ZERO, FALLOC_FL_ZERO_RANGE | (fsx_below(f, 2) ? FALLOC_FL_KEEP_SIZE : 0),
			     "zero");
}

bool fsx_op_copy(struct fsx *f)
{
	const int in = fsx_pick(f, false, true), out = fsx_pick(f, true, true);
	struct fsx_file *from, *to;
	off_t a, b;
	ssize_t done;
	size_t n;

	if (in < 0 || out < 0 || (f->handles[out].flags & O_APPEND) != 0)
		return false;
	if (((f->handles[in].flags | f->handles[out].flags) & O_DIRECT) != 0)
		return false;           /* would want everything aligned */
	from = &f->files[f->handles[in].file];
	to = &f->files[f->handles[out].file];
	a = fsx_offset(f, from->size);
	b = fsx_offset(f, to->size);
	n = fsx_length(f);
	if (b + (off_t)n > f->maxlen || (from == to && a < b + (off_t)n && b < a + (off_t)n))
		return false;
	fsx_say(f, "copy %zu from file %d at %lld to file %d at %lld by handles %d and %d", n, f->handles[in].file,
		(long long)a, f->handles[out].file, (long long)b, in, out);
	for (; n > 0; n -= (size_t)done) {
		const off_t a0 = a, b0 = b;

		done = copy_file_range(f->handles[in].fd, &a, f->handles[out].fd, &b, n, 0);
		if (done < 0)
			return fsx_unsupported(f, FSX_COPY, "copy_file_range");
		if (done == 0 && a < from->size)
			fsx_die(f, "copy_file_range copied nothing at %lld of %lld", (long long)a,
				(long long)from->size);
		if (done == 0)
			break;
		if (a0 + done > from->size)
			fsx_die(f, "copy_file_range went past the end, to %lld of %lld", (long long)(a0 + done),
				(long long)from->size);
		memmove(to->data + b0, from->data + a0, (size_t)done);
		if (b > to->size)
			to->size = b;
	}
	return true;
}

bool fsx_op_sync(struct fsx *f)
{
	const int i = fsx_pick(f, false, true), m = (int)fsx_below(f, (uint64_t)f->nmaps);
	int rc;

	if (f->maps[m].p != NULL && fsx_below(f, 3) == 0) {
		fsx_say(f, "msync map %d of file %d", m, f->maps[m].file);
		rc = msync(f->maps[m].p, f->maps[m].len, MS_SYNC);
	} else if (i >= 0) {
		fsx_say(f, "sync file %d by handle %d", f->handles[i].file, i);
		rc = fsx_below(f, 2) ? fsync(f->handles[i].fd) : fdatasync(f->handles[i].fd);
		f->files[f->handles[i].file].map_dirty = false;
	} else {
		return false;
	}
	if (rc != 0)
		fsx_die(f, "sync: %s", strerror(errno));
	return true;
}

/* What is called a hole must be zero.  Pages dirty in a map may be unknown to the answer. */
bool fsx_op_seek(struct fsx *f)
{
	const int i = fsx_pick(f, false, true);
	const struct fsx_file *file;
	off_t off, data, k;

	if (i < 0)
		return false;
	file = &f->files[f->handles[i].file];
	if (file->size == 0 || file->map_dirty)
		return false;
	off = fsx_offset(f, file->size - 1);
	fsx_say(f, "seek data in file %d by handle %d from %lld", f->handles[i].file, i, (long long)off);
	data = lseek(f->handles[i].fd, off, SEEK_DATA);
	if (data < 0 && errno != ENXIO)
		fsx_die(f, "SEEK_DATA: %s", strerror(errno));
	if (data < 0)
		data = file->size;
	for (k = off; k < data; k++)
		if (file->data[k] != 0)
			fsx_die(f, "[%lld, %lld) is called a hole, but %lld holds data", (long long)off,
				(long long)data, (long long)k);
	data = lseek(f->handles[i].fd, off, SEEK_HOLE);
	if (data < off || data > file->size)
		fsx_die(f, "SEEK_HOLE from %lld gave %lld of %lld: %s", (long long)off, (long long)data,
			(long long)file->size, strerror(errno));
	return true;
}
