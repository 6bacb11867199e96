/* fsx_peer.c - the second process: opens, reads, writes and maps what it is told to.
 *
 * A request and its answer are one struct each way over a socket; data lies in the shared buffer. */
#include "tests/e2e/fsx/fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum fsx_peer_what { FSX_PEER_OPEN, FSX_PEER_READ, FSX_PEER_WRITE, FSX_PEER_MAP_READ, FSX_PEER_CLOSE };

struct fsx_peer_msg {
	int what, fd, flags, name;
	off_t off;
	size_t n;
	ssize_t rc;
	int err;
};

void fsx_path(const struct fsx *f, int name, char path[512])
{
	snprintf(path, 512, "%.480s/name-%d", f->dir, name);
}

static ssize_t fsx_map_copy(const struct fsx *f, int fd, off_t off, size_t n)
{
	const off_t start = off & -(off_t)FSX_PAGE;
	const size_t len = n + (size_t)(off - start);
	uint8_t *p = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, start);

	if (p == MAP_FAILED)
		return -1;
	memcpy(f->buf, p + (off - start), n);
	return munmap(p, len) == 0 ? (ssize_t)n : -1;
}

static ssize_t fsx_peer_do(const struct fsx *f, const struct fsx_peer_msg *m)
{
	char path[512];

	switch ((enum fsx_peer_what)m->what) {
	case FSX_PEER_OPEN:
		fsx_path(f, m->name, path);
		return open(path, m->flags);
	case FSX_PEER_READ:
		return pread(m->fd, f->buf, m->n, m->off);
	case FSX_PEER_WRITE:
		return pwrite(m->fd, f->buf, m->n, m->off);
	case FSX_PEER_MAP_READ:
		return fsx_map_copy(f, m->fd, m->off, m->n);
	case FSX_PEER_CLOSE:
		return close(m->fd);
	}
	errno = EINVAL;
	return -1;
}

static void fsx_peer_serve(const struct fsx *f, int sock)
{
	struct fsx_peer_msg m;

	while (recv(sock, &m, sizeof(m), MSG_WAITALL) == (ssize_t)sizeof(m)) {
		m.rc = fsx_peer_do(f, &m);
		m.err = errno;
		if (send(sock, &m, sizeof(m), MSG_NOSIGNAL) != (ssize_t)sizeof(m))
			break;
	}
	_exit(0);
}

int fsx_peer_start(struct fsx *f)
{
	int s[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) != 0)
		return -errno;
	f->peer_pid = fork();
	if (f->peer_pid < 0)
		return -errno;
	if (f->peer_pid == 0) {
		close(s[0]);
		fsx_peer_serve(f, s[1]);
	}
	close(s[1]);
	f->peer = s[0];
	return 0;
}

void fsx_peer_stop(struct fsx *f)
{
	if (f->peer < 0)
		return;
	close(f->peer);
	f->peer = -1;
	waitpid(f->peer_pid, NULL, 0);
}

static ssize_t fsx_peer_ask(struct fsx *f, struct fsx_peer_msg *m)
{
	if (send(f->peer, m, sizeof(*m), MSG_NOSIGNAL) != (ssize_t)sizeof(*m) ||
	    recv(f->peer, m, sizeof(*m), MSG_WAITALL) != (ssize_t)sizeof(*m))
		fsx_die(f, "the second process ended (a SIGBUS, if nobody else ended it)");
	errno = m->err;
	return m->rc;
}

int fsx_io_open(struct fsx *f, bool remote, int name, int flags)
{
	struct fsx_peer_msg m = { .what = FSX_PEER_OPEN, .name = name, .flags = flags };

	return remote ? (int)fsx_peer_ask(f, &m) : (int)fsx_peer_do(f, &m);
}

static ssize_t fsx_io(struct fsx *f, enum fsx_peer_what what, const struct fsx_handle *h, off_t off, size_t n)
{
	struct fsx_peer_msg m = { .what = (int)what, .fd = h->fd, .off = off, .n = n };

	return h->remote ? fsx_peer_ask(f, &m) : fsx_peer_do(f, &m);
}

ssize_t fsx_io_read(struct fsx *f, const struct fsx_handle *h, off_t off, size_t n)
{
	return fsx_io(f, FSX_PEER_READ, h, off, n);
}

ssize_t fsx_io_write(struct fsx *f, const struct fsx_handle *h, off_t off, size_t n)
{
	return fsx_io(f, FSX_PEER_WRITE, h, off, n);
}

ssize_t fsx_io_map_read(struct fsx *f, const struct fsx_handle *h, off_t off, size_t n)
{
	return fsx_io(f, FSX_PEER_MAP_READ, h, off, n);
}

int fsx_io_close(struct fsx *f, const struct fsx_handle *h)
{
	return (int)fsx_io(f, FSX_PEER_CLOSE, h, 0, 0);
}
