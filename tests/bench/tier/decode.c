/* decode.c - what decoding does to a model: a mapping, all of whose words are used, in order, again and again. */
#include "tests/bench/tier/rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define WORDS (RIG_MIB / sizeof(uint64_t))
#define LANES 4

/* A multiplication and an addition a word, in lanes as dot products have them. */
static uint64_t work(const uint64_t *word, size_t n)
{
	uint64_t lane[LANES] = { 0 }, sum = 0;

	for (size_t i = 0; i < n; i += LANES) {
		for (size_t l = 0; l < LANES; l++)
			lane[l] += word[i + l] * (uint32_t)(word[i + l] >> 32);
	}
	for (size_t l = 0; l < LANES; l++)
		sum += lane[l];
	return sum;
}

/* The same of what the file must hold. */
static int work_expected(uint64_t seed, uint64_t mib, uint64_t *out)
{
	uint64_t *buf = malloc(RIG_MIB), sum = 0;

	if (buf == NULL)
		return -ENOMEM;
	for (uint64_t m = 0; m < mib; m++) {
		for (size_t i = 0; i < WORDS; i++)
			buf[i] = rig_word(seed, m * WORDS + i);
		sum += work(buf, WORDS);
	}
	free(buf);
	*out = sum;
	return 0;
}

static uint64_t pass(const void *at, uint64_t mib)
{
	uint64_t sum = 0;

	for (uint64_t m = 0; m < mib; m++)
		sum += work((const uint64_t *)at + m * WORDS, WORDS);
	return sum;
}

/* Whole passes, the first of which is not timed, until so many seconds are over.  Prints GB/s, and how much
 * of a processor it had. */
int rig_decode(int argc, char **argv)
{
	uint64_t pages, mib, want, start, ns = 0, passes = 0, limit = strtoull(argv[2], NULL, 10) * 1000000000u;
	double cpu = 0;
	void *at;
	int rc = rig_map(argv[0], &at, &pages);

	(void)argc;
	if (rc != 0)
		return rc;
	mib = pages / RIG_MIB_PAGES;
	rc = work_expected(strtoull(argv[1], NULL, 10), mib, &want);
	if (rc == 0 && pass(at, mib) != want)
		rc = -EIO;
	cpu = rig_cpu_seconds();
	for (start = rig_now_ns(); rc == 0 && ns < limit; passes++) {
		if (pass(at, mib) != want)
			rc = -EIO;
		ns = rig_now_ns() - start;
	}
	cpu = rig_cpu_seconds() - cpu;
	munmap(at, pages * RIG_PAGE);
	if (rc != 0)
		return rig_say("find the right bytes in", argv[0], rc);
	printf("%.9g %.3f\n", (double)(passes * mib * RIG_MIB) / (double)ns, cpu * 1e9 / (double)ns);
	return 0;
}
