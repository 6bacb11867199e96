/* device.c - how fast the device under a file is: large aligned reads past the page cache, four at once. */
#include "tests/bench/tier/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEPTH 4

struct device {
	int fd;
	uint64_t end;                   /* MiB */
	_Atomic uint64_t next;
	_Atomic int rc;
};

static void *read_some(void *arg)
{
	struct device *d = arg;
	void *buf = aligned_alloc(RIG_PAGE, RIG_MIB);
	int rc = buf != NULL ? 0 : -ENOMEM;

	while (rc == 0) {
		uint64_t m = atomic_fetch_add(&d->next, 1);
		ssize_t n;

		if (m >= d->end)
			break;
		n = pread(d->fd, buf, RIG_MIB, (off_t)(m * RIG_MIB));
		if (n != (ssize_t)RIG_MIB)
			rc = n == -1 ? -errno : -EIO;
	}
	if (rc != 0)
		atomic_store(&d->rc, rc);
	free(buf);
	return NULL;
}

static int read_all(struct device *d)
{
	pthread_t thread[DEPTH];
	int started = 0, rc = 0;

	while (rc == 0 && started < DEPTH) {
		rc = -pthread_create(&thread[started], NULL, read_some, d);
		started += rc == 0;
	}
	while (started > 0)
		pthread_join(thread[--started], NULL);
	return rc != 0 ? rc : atomic_load(&d->rc);
}

int rig_device(int argc, char **argv)
{
	uint64_t first = strtoull(argv[1], NULL, 10), mib = strtoull(argv[2], NULL, 10), start;
	struct device d = { .end = first + mib, .next = first };
	int rc;

	(void)argc;
	d.fd = open(argv[0], O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (d.fd == -1)
		return rig_say("open", argv[0], -errno);
	start = rig_now_ns();
	rc = read_all(&d);
	if (rc == 0)
		printf("%.9g\n", (double)(mib * RIG_MIB) / (double)(rig_now_ns() - start));
	close(d.fd);
	return rc == 0 ? 0 : rig_say("read", argv[0], rc);
}
