#include "tiering/sums.h"

#include <errno.h>
#include <sys/random.h>

#define XXH_INLINE_ALL                  /* nothing to link, nothing exported */
#include <xxhash.h>

int sums_blob_id(uint64_t *out)
{
	uint64_t id = 0;
	ssize_t n;

	while (id == 0) {
		n = getrandom(&id, sizeof(id), 0);
		if (n == -1 && errno != EINTR)
			return -errno;
		if (n != (ssize_t)sizeof(id))
			id = 0;
	}
	*out = id;
	return 0;
}

uint64_t sums_extent(uint64_t blob, uint64_t index, const void *data, size_t len)
{
	unsigned char key[16];

	for (int i = 0; i < 8; i++) {
		key[i] = (unsigned char)(blob >> (8 * i));
		key[8 + i] = (unsigned char)(index >> (8 * i));
	}
	return XXH3_64bits_withSeed(data, len, XXH3_64bits(key, sizeof(key)));
}

uint64_t sums_bytes(const void *data, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, len, seed);
}
