/* map_same.c - map_same A B: are the two files equal, the first read through a shared mapping? */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const unsigned char *map_file(const char *path, int flags, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd == -1 || fstat(fd, &st) == -1) {
		perror(path);
		return NULL;
	}
	*len = (size_t)st.st_size;
	p = mmap(NULL, *len, PROT_READ, flags, fd, 0);
	close(fd);
	if (p == MAP_FAILED) {
		perror("mmap");
		return NULL;
	}
	return p;
}

int main(int argc, char **argv)
{
	const unsigned char *a, *b;
	size_t na, nb;

	if (argc != 3)
		return 2;
	a = map_file(argv[1], MAP_SHARED, &na);
	b = map_file(argv[2], MAP_PRIVATE, &nb);
	if (a == NULL || b == NULL || na != nb || memcmp(a, b, na) != 0) {
		printf("'%s' and '%s' differ\n", argv[1], argv[2]);
		return 1;
	}
	return 0;
}
