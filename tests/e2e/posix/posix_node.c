/* posix_node.c - fifos, sockets, devices, extended attributes. */
#include "tests/e2e/posix/posix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static void node_fifo_writer(void *arg)
{
	int fd = (int)PX_OK(open("p", O_WRONLY));

	(void)arg;
	PX_EQ(PX_OK(write(fd, "hello", 5)), 5);
}

static void node_fifo(void)
{
	char buf[8];
	pid_t pid;
	int fd;

	if (mkfifo("p", 0640) != 0) {
		PX_TRUE(errno == EPERM || errno == ENOSYS);
		px_skip("no fifos here");
	}
	PX_EQ(px_stat("p").st_mode, S_IFIFO | 0640);
	pid = px_fork(node_fifo_writer, NULL);
	fd = (int)PX_OK(open("p", O_RDONLY));
	PX_EQ(PX_OK(read(fd, buf, sizeof(buf))), 5);
	PX_EQ(memcmp(buf, "hello", 5), 0);
	px_join(pid);
	PX_OK(rename("p", "q"));
	PX_OK(unlink("q"));
}

static void node_socket(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "s" };
	int s = (int)PX_OK(socket(AF_UNIX, SOCK_STREAM, 0)), c;

	if (bind(s, (struct sockaddr *)&a, sizeof(a)) != 0) {
		PX_TRUE(errno == EPERM || errno == ENOSYS);
		px_skip("no sockets here");
	}
	PX_TRUE(S_ISSOCK(px_stat("s").st_mode));
	PX_OK(listen(s, 1));
	c = (int)PX_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	PX_OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	PX_ERR(open("s", O_RDWR), ENXIO);
	PX_OK(unlink("s"));
}

/* mknod of a regular file is an ordinary create. */
static void node_mknod_regular(void)
{
	PX_OK(mknod("a", S_IFREG | 0640, 0));
	PX_EQ(px_stat("a").st_mode, S_IFREG | 0640);
	PX_ERR(mknod("a", S_IFREG | 0640, 0), EEXIST);
	PX_OK(open("a", O_WRONLY));
	PX_OK(unlink("a"));
}

/* A device node must not give a user a device. */
static void node_device_by_user(void)
{
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_ERR(mknod("null", S_IFCHR | 0666, makedev(1, 3)), EPERM);
}

static void xattr_set_get(size_t size)
{
	char buf[64];

	px_make("a", size, 1);
	PX_TRY(setxattr("a", "user.test.one", "value", 5, 0));
	PX_EQ(PX_OK(getxattr("a", "user.test.one", NULL, 0)), 5);
	PX_EQ(PX_OK(getxattr("a", "user.test.one", buf, sizeof(buf))), 5);
	PX_EQ(memcmp(buf, "value", 5), 0);
	PX_ERR(getxattr("a", "user.test.one", buf, 3), ERANGE);
	PX_ERR(getxattr("a", "user.test.two", buf, sizeof(buf)), ENODATA);
	PX_OK(setxattr("a", "user.test.one", "", 0, XATTR_REPLACE));
	PX_EQ(PX_OK(getxattr("a", "user.test.one", buf, sizeof(buf))), 0);
	PX_OK(rename("a", "b"));
	PX_EQ(PX_OK(getxattr("b", "user.test.one", buf, sizeof(buf))), 0);
	px_verify("b", size, 1);
}

static void xattr_flags(void)
{
	px_touch("a");
	PX_TRY(setxattr("a", "user.test", "1", 1, XATTR_CREATE));
	PX_ERR(setxattr("a", "user.test", "2", 1, XATTR_CREATE), EEXIST);
	PX_ERR(setxattr("a", "user.other", "2", 1, XATTR_REPLACE), ENODATA);
	PX_OK(removexattr("a", "user.test"));
	PX_ERR(removexattr("a", "user.test"), ENODATA);
}

static int xattr_lists(const char *list, ssize_t n, const char *name)
{
	ssize_t i;

	for (i = 0; i < n; i += (ssize_t)strlen(list + i) + 1)
		if (strcmp(list + i, name) == 0)
			return 1;
	return 0;
}

static void xattr_list(void)
{
	char list[1000], name[32];
	ssize_t n;
	int i;

	px_touch("a");
	PX_TRY(setxattr("a", "user.n0", "x", 1, 0));
	for (i = 1; i < 20; i++) {
		snprintf(name, sizeof(name), "user.n%d", i);
		PX_OK(setxattr("a", name, "x", 1, 0));
	}
	n = PX_OK(listxattr("a", list, sizeof(list)));
	PX_EQ(PX_OK(listxattr("a", NULL, 0)), n);
	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "user.n%d", i);
		PX_TRUE(xattr_lists(list, n, name));
	}
	PX_ERR(listxattr("a", list, 5), ERANGE);
	PX_OK(removexattr("a", "user.n7"));
	n = PX_OK(listxattr("a", list, sizeof(list)));
	PX_EQ(xattr_lists(list, n, "user.n7"), 0);
}

/* Nothing is listed that nobody set, or cp -a and rsync -X would carry it away. */
static void xattr_none_listed(size_t size)
{
	char list[1000];
	ssize_t n, i;

	px_make("a", size, 1);
	n = listxattr("a", list, sizeof(list));
	if (n < 0 && errno == EOPNOTSUPP)
		px_skip("no extended attributes here");
	PX_OK(n);
	for (i = 0; i < n; i += (ssize_t)strlen(list + i) + 1)
		PX_TRUE(strncmp(list + i, "user.", 5) != 0);
	n = PX_OK(listxattr(".", list, sizeof(list)));
	for (i = 0; i < n; i += (ssize_t)strlen(list + i) + 1)
		PX_TRUE(strncmp(list + i, "user.", 5) != 0);
}

static void xattr_permission(void)
{
	char buf[8];

	px_touch("a");
	PX_TRY(setxattr("a", "user.test", "1", 1, 0));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_ERR(setxattr("a", "user.test", "2", 1, 0), EACCES);
	PX_ERR(removexattr("a", "user.test"), EACCES);
	PX_EQ(PX_OK(getxattr("a", "user.test", buf, sizeof(buf))), 1);
	px_root();
	PX_OK(chmod("a", 0600));
	px_user(POSIX_UID, POSIX_UID, 0, NULL);
	PX_ERR(getxattr("a", "user.test", buf, sizeof(buf)), EACCES);
}

static void xattr_by_fd_and_dir(void)
{
	char buf[8];
	int fd;

	px_touch("a");
	fd = (int)PX_OK(open("a", O_RDWR));
	PX_TRY(fsetxattr(fd, "user.test", "1", 1, 0));
	PX_EQ(PX_OK(fgetxattr(fd, "user.test", buf, sizeof(buf))), 1);
	PX_OK(unlink("a"));
	PX_EQ(PX_OK(fgetxattr(fd, "user.test", buf, sizeof(buf))), 1);
	PX_OK(mkdir("d", 0755));
	PX_OK(setxattr("d", "user.dir", "22", 2, 0));
	PX_EQ(PX_OK(getxattr("d", "user.dir", buf, sizeof(buf))), 2);
}

static void xattr_large_value(void)
{
	char *value = px_alloc(3000), *got = px_alloc(3000);

	px_touch("a");
	px_fill(value, 0, 3000, 1);
	PX_TRY(setxattr("a", "user.large", value, 3000, 0));
	PX_EQ(PX_OK(getxattr("a", "user.large", got, 3000)), 3000);
	PX_EQ(memcmp(value, got, 3000), 0);
}

static const struct px_case cases[] = {
	PX_CASE(node_fifo), PX_CASE(node_socket), PX_CASE(node_mknod_regular),
	PX_CASE(node_device_by_user), PX_SIZED(xattr_set_get), PX_CASE(xattr_flags), PX_CASE(xattr_list),
	PX_SIZED(xattr_none_listed), PX_CASE(xattr_permission), PX_CASE(xattr_by_fd_and_dir),
	PX_CASE(xattr_large_value)
};

const struct px_suite posix_node = PX_SUITE(cases);
