/* posix_lock.c - locks between processes; poll and friends on files. */
#include "tests/e2e/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

static void lock_flock_refused(void *arg)
{
	int fd = (int)PX_OK(open("a", O_RDONLY));

	(void)arg;
	PX_ERR(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	PX_ERR(flock(fd, LOCK_SH | LOCK_NB), EWOULDBLOCK);
}

static void lock_flock_granted(void *arg)
{
	int fd = (int)PX_OK(open("a", O_RDONLY));

	(void)arg;
	PX_OK(flock(fd, LOCK_EX | LOCK_NB));
}

static void lock_flock(void)
{
	int fd;

	px_touch("a");
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_OK(flock(fd, LOCK_EX));
	px_join(px_fork(lock_flock_refused, NULL));
	PX_OK(flock(fd, LOCK_UN));
	px_join(px_fork(lock_flock_granted, NULL));
	PX_OK(flock(fd, LOCK_EX));
	PX_OK(close(fd));
	px_join(px_fork(lock_flock_granted, NULL));
}

static void lock_flock_shared(void)
{
	int a, b;

	px_touch("a");
	a = (int)PX_OK(open("a", O_RDONLY));
	b = (int)PX_OK(open("a", O_RDONLY));
	PX_OK(flock(a, LOCK_SH));
	PX_OK(flock(b, LOCK_SH));
	PX_ERR(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	PX_OK(flock(b, LOCK_UN));
	PX_OK(flock(a, LOCK_EX | LOCK_NB));
}

static void lock_flock_waits_child(void *arg)
{
	int fd = (int)PX_OK(open("a", O_RDWR));
	const int ready = *(int *)arg;

	PX_EQ(PX_OK(write(ready, "r", 1)), 1);
	PX_OK(flock(fd, LOCK_EX));
	px_verify_fd(fd, 0, 100, 2);
}

static void lock_flock_waits(void)
{
	int fd, pipe_fd[2];
	pid_t pid;
	char c;

	px_make("a", 100, 1);
	PX_OK(pipe(pipe_fd));
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_OK(flock(fd, LOCK_EX));
	pid = px_fork(lock_flock_waits_child, &pipe_fd[1]);
	PX_EQ(PX_OK(read(pipe_fd[0], &c, 1)), 1);
	px_write(fd, 0, 100, 2);
	PX_OK(flock(fd, LOCK_UN));
	px_join(pid);
}

static struct flock lock_range(short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	return l;
}

static void lock_record_refused(void *arg)
{
	struct flock l = lock_range(F_WRLCK, 50, 10), get = lock_range(F_WRLCK, 0, 200);
	struct flock free_part = lock_range(F_WRLCK, 100, 10);
	int fd = (int)PX_OK(open("a", O_RDWR));

	PX_TRUE(fcntl(fd, F_SETLK, &l) != 0 && (errno == EAGAIN || errno == EACCES));
	PX_OK(fcntl(fd, F_GETLK, &get));
	PX_EQ(get.l_type, F_WRLCK);
	PX_EQ(get.l_pid, *(pid_t *)arg);
	PX_EQ(get.l_start, 0);
	PX_EQ(get.l_len, 100);
	PX_OK(fcntl(fd, F_SETLK, &free_part));
}

static void lock_record_granted(void *arg)
{
	struct flock l = lock_range(F_WRLCK, 0, 0);
	int fd = (int)PX_OK(open("a", O_RDWR));

	(void)arg;
	PX_OK(fcntl(fd, F_SETLK, &l));
}

static void lock_record(void)
{
	struct flock l = lock_range(F_WRLCK, 0, 100), un = lock_range(F_UNLCK, 0, 0);
	pid_t self = getpid();
	int fd;

	px_make("a", 1000, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_OK(fcntl(fd, F_SETLK, &l));
	px_join(px_fork(lock_record_refused, &self));
	PX_OK(fcntl(fd, F_SETLK, &un));
	px_join(px_fork(lock_record_granted, NULL));
	PX_OK(fcntl(fd, F_SETLK, &l));
	/* Closing any descriptor of the file drops a process's record locks. */
	PX_OK(close((int)PX_OK(open("a", O_RDONLY))));
	px_join(px_fork(lock_record_granted, NULL));
}

static void lock_open_file_description(void)
{
	struct flock l = lock_range(F_WRLCK, 0, 10);
	int a, b;

	px_touch("a");
	a = (int)PX_OK(open("a", O_RDWR));
	b = (int)PX_OK(open("a", O_RDWR));
	PX_OK(fcntl(a, F_OFD_SETLK, &l));
	PX_ERR(fcntl(b, F_OFD_SETLK, &l), EAGAIN);
	PX_OK(close(a));
	PX_OK(fcntl(b, F_OFD_SETLK, &l));
}

static void poll_regular_file(size_t size)
{
	struct pollfd p = { .events = POLLIN | POLLOUT };
	char c;

	px_make("a", size, 1);
	p.fd = (int)PX_OK(open("a", O_RDWR));
	PX_EQ(PX_OK(poll(&p, 1, 0)), 1);
	PX_EQ(p.revents, POLLIN | POLLOUT);
	PX_EQ(PX_OK(poll(&p, 1, -1)), 1);
	PX_EQ(PX_OK(pread(p.fd, &c, 1, (off_t)size)), 0);
	PX_EQ(PX_OK(poll(&p, 1, -1)), 1);
}

static void poll_select(void)
{
	fd_set r, w;
	int fd;

	px_make("a", 10, 1);
	fd = (int)PX_OK(open("a", O_RDWR));
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(fd, &r);
	FD_SET(fd, &w);
	PX_EQ(PX_OK(select(fd + 1, &r, &w, NULL, NULL)), 2);
}

/* ext4 refuses a regular file (EPERM); FUSE takes it, and then it must be ready at once. */
static void poll_epoll(size_t size)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET }, got;
	int ep, fd;

	px_make("a", size, 1);
	ep = (int)PX_OK(epoll_create1(0));
	fd = (int)PX_OK(open("a", O_RDWR | O_NONBLOCK));
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) != 0) {
		PX_EQ(errno, EPERM);
		return;
	}
	PX_EQ(PX_OK(epoll_wait(ep, &got, 1, 5000)), 1);
	PX_EQ(got.events, EPOLLIN | EPOLLOUT);
}

/* A nonblocking file behaves as any: never EAGAIN. */
static void poll_nonblocking_io(size_t size)
{
	int fd;

	px_make("a", size, 1);
	fd = (int)PX_OK(open("a", O_RDWR | O_NONBLOCK));
	PX_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	px_verify_fd(fd, 0, size, 1);
	px_write(fd, 0, size, 2);
	px_verify_fd(fd, 0, size, 2);
	PX_OK(fsync(fd));
}

static void poll_interrupted_reader(void *arg)
{
	const size_t size = *(size_t *)arg;
	int i;

	for (i = 0; i < 30; i++)
		px_verify("a", size, 1);
}

static void poll_on_signal(int sig)
{
	(void)sig;
}

/* Signals with restart while reading change nothing: no EINTR, no short read. */
static void poll_interrupted_reads(size_t size)
{
	struct sigaction act = { .sa_handler = poll_on_signal, .sa_flags = SA_RESTART };
	int status, i;
	pid_t pid;

	px_make("a", size, 1);
	PX_OK(sigaction(SIGUSR1, &act, NULL));
	pid = px_fork(poll_interrupted_reader, &size);
	for (i = 0; waitpid(pid, &status, WNOHANG) == 0; i++) {
		kill(pid, SIGUSR1);
		usleep(200);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		_exit(WEXITSTATUS(status));
	PX_EQ(status, 0);
}

static const struct px_case cases[] = {
	PX_CASE(lock_flock), PX_CASE(lock_flock_shared), PX_CASE(lock_flock_waits), PX_CASE(lock_record),
	PX_CASE(lock_open_file_description), PX_SIZED(poll_regular_file), PX_CASE(poll_select),
	PX_SIZED(poll_epoll), PX_SIZED(poll_nonblocking_io), PX_SIZED(poll_interrupted_reads)
};

const struct px_suite posix_lock = PX_SUITE(cases);
