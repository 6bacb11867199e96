/* powercut.c - powercut DIR: the file system that holds DIR (ext4, xfs) stops at once, and what is not
 * on its disk is lost, as when the power goes: every later operation is an error until it is
 * unmounted and mounted again.  The journal is not flushed. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* EXT4_IOC_SHUTDOWN and XFS_IOC_GOINGDOWN: one number, and one meaning of 2. */
#define POWERCUT_IOC _IOR('X', 125, uint32_t)
enum { POWERCUT_NO_LOG_FLUSH = 2 };

int main(int argc, char **argv)
{
	const uint32_t how = POWERCUT_NO_LOG_FLUSH;
	int fd, rc;

	if (argc != 2) {
		fprintf(stderr, "usage: powercut DIR\n");
		return 2;
	}
	fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "cannot open '%s': %s\n", argv[1], strerror(errno));
		return 1;
	}
	rc = ioctl(fd, POWERCUT_IOC, &how);
	if (rc != 0)
		fprintf(stderr, "cannot shut '%s' down: %s\n", argv[1], strerror(errno));
	close(fd);
	return rc != 0;
}
