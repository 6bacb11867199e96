/* fsx_names.c - handles, maps and names; see fsx.h. */
#include "tests/e2e/fsx/fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name that has a file (or has none), by chance; -1 when there is none. */
static int fsx_pick_name(struct fsx *f, bool taken)
{
	const int start = (int)fsx_below(f, (uint64_t)f->nnames);
	int i, n;

	for (i = 0; i < f->nnames; i++) {
		n = (start + i) % f->nnames;
		if ((f->names[n] >= 0) == taken)
			return n;
	}
	return -1;
}

static int fsx_free_file(const struct fsx *f)
{
	int i;

	for (i = 0; i < f->nfiles; i++)
		if (f->files[i].names == 0 && f->files[i].handles == 0 && f->files[i].maps == 0)
			return i;
	return -1;
}

int fsx_handle_open(struct fsx *f, int name, int flags, bool remote)
{
	int h, fd;

	for (h = 0; h < f->nhandles && f->handles[h].fd >= 0; h++)
		;
	if (h == f->nhandles)
		return -1;
	fsx_say(f, "open name %d (file %d) as handle %d%s, flags %o", name, f->names[name], h,
		remote ? ", remote" : "", (unsigned)flags);
	fd = fsx_io_open(f, remote, name, flags);
	if (fd < 0 && errno == EINVAL && (flags & O_DIRECT) != 0) {
		f->disabled |= 1u << FSX_DIRECT;
		flags &= ~O_DIRECT;
		fd = fsx_io_open(f, remote, name, flags);
	}
	if (fd < 0)
		fsx_die(f, "open: %s", strerror(errno));
	f->handles[h] = (struct fsx_handle){ fd, f->names[name], flags, remote };
	f->files[f->names[name]].handles++;
	if ((flags & O_TRUNC) != 0) {
		struct fsx_file *file = &f->files[f->names[name]];

		memset(file->data, 0, (size_t)file->size);
		file->size = 0;
	}
	return h;
}

void fsx_handle_close(struct fsx *f, int handle)
{
	struct fsx_handle *h = &f->handles[handle];

	fsx_say(f, "close handle %d of file %d", handle, h->file);
	if (fsx_io_close(f, h) != 0)
		fsx_die(f, "close: %s", strerror(errno));
	f->files[h->file].handles--;
	h->fd = -1;
}

void fsx_map_drop(struct fsx *f, int map)
{
	struct fsx_map *m = &f->maps[map];

	fsx_say(f, "unmap %d of file %d", map, m->file);
	if (munmap(m->p, m->len) != 0)
		fsx_die(f, "munmap: %s", strerror(errno));
	f->files[m->file].maps--;
	m->p = NULL;
}

bool fsx_op_open(struct fsx *f)
{
	static const int modes[] = { O_RDONLY, O_RDONLY, O_RDWR, O_RDWR, O_RDWR, O_WRONLY };
	const int name = fsx_pick_name(f, true);
	int flags = modes[fsx_below(f, sizeof(modes) / sizeof(modes[0]))];
	bool remote;

	remote = f->peer >= 0 && fsx_below(f, 4) == 0 && (f->disabled & 1u << FSX_REMOTE) == 0;
	if (fsx_below(f, 6) == 0 && (f->disabled & 1u << FSX_DIRECT) == 0)
		flags |= O_DIRECT;
	else if (fsx_below(f, 6) == 0 && (f->disabled & 1u << FSX_APPEND) == 0)
		flags |= O_APPEND;
	if (fsx_below(f, 40) == 0 && (flags & O_ACCMODE) != O_RDONLY)
		flags |= O_TRUNC;
	if (name < 0)
		return false;
	if (!f->many && f->handles[0].fd >= 0)
		fsx_handle_close(f, 0);
	return fsx_handle_open(f, name, flags | O_CLOEXEC, remote) >= 0;
}

bool fsx_op_close(struct fsx *f)
{
	const int h = (int)fsx_below(f, (uint64_t)f->nhandles);

	if (f->handles[h].fd < 0)
		return false;
	fsx_handle_close(f, h);
	return true;
}

bool fsx_op_map(struct fsx *f)
{
	const int h = (int)fsx_below(f, (uint64_t)f->nhandles), m = (int)fsx_below(f, (uint64_t)f->nmaps);
	struct fsx_map map = { NULL, 0, 0, 0, false };
	int mode;

	if (f->handles[h].fd < 0 || f->handles[h].remote)
		return false;
	mode = f->handles[h].flags & O_ACCMODE;
	map.file = f->handles[h].file;
	if (mode == O_WRONLY || f->files[map.file].size == 0)
		return false;
	if (f->maps[m].p != NULL)
		fsx_map_drop(f, m);
	map.writable = mode == O_RDWR && fsx_below(f, 2) == 0;
	map.off = fsx_below(f, 2) == 0 ? 0 : fsx_offset(f, f->files[map.file].size - 1) & -(off_t)FSX_PAGE;
	map.len = (size_t)(f->files[map.file].size - map.off);
	/* Some maps reach past the end: what the file grows by appears in them. */
	if (fsx_below(f, 4) == 0)
		map.len += 200000;
	fsx_say(f, "map %d of file %d by handle %d, %zu at %lld%s", m, map.file, h, map.len, (long long)map.off,
		map.writable ? ", writable" : "");
	map.p = mmap(NULL, map.len, PROT_READ | (map.writable ? PROT_WRITE : 0), MAP_SHARED, f->handles[h].fd,
		     map.off);
	if (map.p == MAP_FAILED)
		fsx_die(f, "mmap: %s", strerror(errno));
	f->maps[m] = map;
	f->files[map.file].maps++;
	return true;
}

bool fsx_op_unmap(struct fsx *f)
{
	const int m = (int)fsx_below(f, (uint64_t)f->nmaps);

	if (f->maps[m].p == NULL)
		return false;
	fsx_map_drop(f, m);
	return true;
}

bool fsx_op_create(struct fsx *f)
{
	const int name = fsx_pick_name(f, false), file = fsx_free_file(f);
	char path[512];
	int fd;

	if (name < 0 || file < 0)
		return false;
	fsx_say(f, "create name %d as file %d", name, file);
	fsx_path(f, name, path);
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
	if (fd < 0 || close(fd) != 0)
		fsx_die(f, "create: %s", strerror(errno));
	memset(f->files[file].data, 0, (size_t)f->maxlen);
	f->files[file].size = 0;
	f->files[file].names = 1;
	f->files[file].map_dirty = false;
	f->names[name] = file;
	return true;
}

bool fsx_op_rename(struct fsx *f)
{
	const int from = fsx_pick_name(f, true), to = (int)fsx_below(f, (uint64_t)f->nnames);
	char a[512], b[512];

	if (from < 0)
		return false;
	/* In the plain mode the one file keeps its names. */
	if (!f->many && f->names[to] >= 0)
		return false;
	fsx_say(f, "rename name %d (file %d) to %d (file %d)", from, f->names[from], to, f->names[to]);
	fsx_path(f, from, a);
	fsx_path(f, to, b);
	if (rename(a, b) != 0)
		fsx_die(f, "rename: %s", strerror(errno));
	if (f->names[from] == f->names[to])
		return true;
	if (f->names[to] >= 0)
		f->files[f->names[to]].names--;
	f->names[to] = f->names[from];
	f->names[from] = -1;
	return true;
}

bool fsx_op_link(struct fsx *f)
{
	const int from = fsx_pick_name(f, true), to = fsx_pick_name(f, false);
	char a[512], b[512];

	if (from < 0 || to < 0)
		return false;
	fsx_say(f, "link name %d (file %d) as %d", from, f->names[from], to);
	fsx_path(f, from, a);
	fsx_path(f, to, b);
	if (link(a, b) != 0)
		fsx_die(f, "link: %s", strerror(errno));
	f->names[to] = f->names[from];
	f->files[f->names[to]].names++;
	return true;
}

bool fsx_op_unlink(struct fsx *f)
{
	const int name = fsx_pick_name(f, true);
	char path[512];

	if (name < 0 || (!f->many && f->files[f->names[name]].names == 1))
		return false;
	fsx_say(f, "unlink name %d (file %d)", name, f->names[name]);
	fsx_path(f, name, path);
	if (unlink(path) != 0)
		fsx_die(f, "unlink: %s", strerror(errno));
	f->files[f->names[name]].names--;
	f->names[name] = -1;
	return true;
}

static void fsx_check_stat(struct fsx *f, int file, const struct stat *st, const char *how)
{
	if (st->st_size != f->files[file].size)
		fsx_die(f, "file %d by %s: size %lld, want %lld", file, how, (long long)st->st_size,
			(long long)f->files[file].size);
	if (st->st_nlink != f->files[file].names)
		fsx_die(f, "file %d by %s: %u links, want %u", file, how, (unsigned)st->st_nlink,
			f->files[file].names);
}

bool fsx_op_stat(struct fsx *f)
{
	const int h = (int)fsx_below(f, (uint64_t)f->nhandles), name = (int)fsx_below(f, (uint64_t)f->nnames);
	struct stat st;
	char path[512];
	int rc;

	fsx_say(f, "stat handle %d and name %d", h, name);
	if (f->handles[h].fd >= 0 && !f->handles[h].remote) {
		if (fstat(f->handles[h].fd, &st) != 0)
			fsx_die(f, "fstat: %s", strerror(errno));
		fsx_check_stat(f, f->handles[h].file, &st, "handle");
	}
	fsx_path(f, name, path);
	rc = lstat(path, &st);
	if (f->names[name] < 0 ? rc == 0 || errno != ENOENT : rc != 0)
		fsx_die(f, "lstat of name %d gave %d (%s), file %d", name, rc, strerror(errno), f->names[name]);
	if (rc == 0)
		fsx_check_stat(f, f->names[name], &st, "name");
	return true;
}

static void fsx_verify_name(struct fsx *f, int name)
{
	struct fsx_handle h = { -1, f->names[name], O_RDONLY, f->peer >= 0 && fsx_below(f, 2) == 0 };
	const off_t size = f->files[h.file].size;
	ssize_t got;
	off_t off;

	fsx_say(f, "verify name %d (file %d)%s", name, h.file, h.remote ? ", remote" : "");
	h.fd = fsx_io_open(f, h.remote, name, O_RDONLY | O_CLOEXEC);
	if (h.fd < 0)
		fsx_die(f, "open to verify: %s", strerror(errno));
	for (off = 0; (got = fsx_io_read(f, &h, off, FSX_IO_MAX)) > 0; off += got) {
		if (off + got > size)
			fsx_die(f, "name %d is longer than %lld", name, (long long)size);
		fsx_compare(f, h.file, off, f->buf, (size_t)got, "verify");
		f->count.bytes_read += (uint64_t)got;
	}
	if (got < 0 || off != size)
		fsx_die(f, "name %d ends at %lld, want %lld: %s", name, (long long)off, (long long)size,
			strerror(errno));
	if (fsx_io_close(f, &h) != 0)
		fsx_die(f, "close: %s", strerror(errno));
	f->count.reads++;
}

bool fsx_op_verify(struct fsx *f)
{
	const int name = fsx_pick_name(f, true);

	if (name < 0)
		return false;
	fsx_verify_name(f, name);
	return true;
}

void fsx_verify_all(struct fsx *f)
{
	int i;

	for (i = 0; i < f->nnames; i++)
		if (f->names[i] >= 0)
			fsx_verify_name(f, i);
}
