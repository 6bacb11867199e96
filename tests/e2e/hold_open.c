/* hold_open.c - holds files open and mapped for a test that is a shell script, and compares their bytes.
 *
 * A command a line on standard input, an answer a line on standard output: "ok" and perhaps a number, or why not.
 * N is a place from 0 to 15.
 *
 *     open N PATH        for reading; answers its st_ino
 *     rw N PATH          for reading and writing; answers its st_ino
 *     map N              the whole file, shared, for reading
 *     same N PATH        read(2) of the file gives the bytes of PATH
 *     mapsame N PATH     the mapping has the bytes of PATH
 *     write N OFF TEXT   the text, at OFF
 *     sync N
 *     close N            the mapping stays
 *     unmap N
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACES 16
#define BLOCK 65536

struct place {
	int fd;                         /* -1: none */
	unsigned char *map;
	size_t len;
};

static void answer(const char *what, int error)
{
	printf("%s: %s\n", what, strerror(error));
}

static void do_open(struct place *p, const char *path, int flags)
{
	struct stat st;

	if (p->fd != -1)
		close(p->fd);
	p->fd = open(path, flags | O_CLOEXEC);
	if (p->fd == -1 || fstat(p->fd, &st) == -1)
		answer("open", errno);
	else
		printf("ok %llu\n", (unsigned long long)st.st_ino);
}

static void do_map(struct place *p)
{
	struct stat st;

	if (fstat(p->fd, &st) == -1) {
		answer("fstat", errno);
		return;
	}
	p->len = (size_t)st.st_size;
	p->map = mmap(NULL, p->len, PROT_READ, MAP_SHARED, p->fd, 0);
	if (p->map == MAP_FAILED) {
		p->map = NULL;
		answer("mmap", errno);
	} else {
		printf("ok\n");
	}
}

/* One side of a comparison is a mapping, or a file. */
static ssize_t side(const struct place *p, bool mapped, unsigned char *buf, off_t off)
{
	size_t n = (size_t)off < p->len ? p->len - (size_t)off : 0;

	if (!mapped)
		return pread(p->fd, buf, BLOCK, off);
	n = n < BLOCK ? n : BLOCK;
	memcpy(buf, p->map + off, n);
	return (ssize_t)n;
}

static void do_same(const struct place *p, bool mapped, const char *path)
{
	static unsigned char a[BLOCK], b[BLOCK];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t na = 1, nb = 1;
	off_t off = 0;

	if (fd == -1 || (mapped && p->map == NULL)) {
		answer(path, fd == -1 ? errno : EFAULT);
		return;
	}
	for (; na > 0 && nb > 0; off += na) {
		na = side(p, mapped, a, off);
		if (na < 0)
			break;
		nb = pread(fd, b, na > 0 ? (size_t)na : 1, off);
		if (nb != na || memcmp(a, b, (size_t)na) != 0)
			break;
	}
	if (na < 0 || nb < 0)
		answer("read", errno);
	else if (na != nb || na > 0)
		printf("differs from %s near %lld\n", path, (long long)off);
	else
		printf("ok\n");
	close(fd);
}

static void do_write(const struct place *p, char *arg)
{
	char *text;
	off_t off = (off_t)strtoll(arg, &text, 10);
	size_t len = strlen(++text);

	if (pwrite(p->fd, text, len, off) == (ssize_t)len)
		printf("ok\n");
	else
		answer("write", errno);
}

static void do_simple(struct place *p, const char *word)
{
	int rc = -1;

	errno = EINVAL;
	if (strcmp(word, "sync") == 0) {
		rc = fsync(p->fd);
	} else if (strcmp(word, "close") == 0) {
		rc = close(p->fd);
		p->fd = -1;
	} else if (strcmp(word, "unmap") == 0) {
		rc = munmap(p->map, p->len);
		p->map = NULL;
	}
	if (rc == 0)
		printf("ok\n");
	else
		answer(word, errno);
}

int main(void)
{
	struct place place[PLACES];
	char line[8192], word[16], arg[8000];
	unsigned n;

	for (n = 0; n < PLACES; n++)
		place[n] = (struct place){ .fd = -1 };
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		arg[0] = '\0';
		if (sscanf(line, "%15s %u %7999[^\n]", word, &n, arg) < 2 || n >= PLACES)
			printf("no such command\n");
		else if (strcmp(word, "open") == 0 || strcmp(word, "rw") == 0)
			do_open(&place[n], arg, word[0] == 'o' ? O_RDONLY : O_RDWR);
		else if (strcmp(word, "map") == 0)
			do_map(&place[n]);
		else if (strcmp(word, "same") == 0 || strcmp(word, "mapsame") == 0)
			do_same(&place[n], word[0] == 'm', arg);
		else if (strcmp(word, "write") == 0)
			do_write(&place[n], arg);
		else
			do_simple(&place[n], word);
	}
	return 0;
}
