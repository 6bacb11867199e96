/* optimum.c - loads of whole models, all of one size, into a tier that holds so many: what is best, and what LRU does. */
#include "tests/bench/tier/rig.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODELS 26

struct outcome {
	unsigned hits, moves;
};

/* Loads from now until the model comes again. */
static size_t until_next(const char *rest, char model)
{
	const char *at = strchr(rest, model);

	return at != NULL ? (size_t)(at - rest) : SIZE_MAX;
}

/* Belady with bypass: of those held and the new one, the one that comes again last is not held. */
static char choose_optimum(const char *held, char model, const char *rest)
{
	size_t last = until_next(rest, model);
	char out = model;

	for (; *held != '\0'; held++) {
		size_t next = until_next(rest, *held);

		if (next > last) {
			last = next;
			out = *held;
		}
	}
	return out;
}

/* held is in order of use, the oldest first. */
static char choose_lru(const char *held, char model, const char *rest)
{
	(void)model;
	(void)rest;
	return held[0];
}

static void take_out(char *held, char model)
{
	char *at = strchr(held, model);

	if (at != NULL)
		memmove(at, at + 1, strlen(at));
}

static struct outcome replay(unsigned room, const char *loads, char (*choose)(const char *, char, const char *))
{
	char held[MODELS + 2] = "";
	struct outcome o = { 0 };

	for (; *loads != '\0'; loads++) {
		bool hit = strchr(held, *loads) != NULL;
		size_t n;

		o.hits += hit;
		if (!hit && strlen(held) >= room) {
			char out = choose(held, *loads, loads + 1);

			if (out == *loads)
				continue;
			take_out(held, out);
		}
		o.moves += !hit;
		take_out(held, *loads);
		n = strlen(held);
		held[n] = *loads;
		held[n + 1] = '\0';
	}
	return o;
}

/* Worked out by hand. */
static bool holds(void)
{
	static const struct { unsigned room; const char *loads; struct outcome best, lru; } cases[] = {
		{ 1, "aba", { 1, 1 }, { 0, 3 } },
		{ 2, "abcabcabc", { 4, 2 }, { 0, 9 } },
		{ 2, "aabcabc", { 3, 2 }, { 1, 6 } },
		{ 1, "aaabbb", { 4, 2 }, { 4, 2 } },
		{ 2, "abab", { 2, 2 }, { 2, 2 } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct outcome best = replay(cases[i].room, cases[i].loads, choose_optimum);
		struct outcome lru = replay(cases[i].room, cases[i].loads, choose_lru);

		if (memcmp(&best, &cases[i].best, sizeof(best)) != 0 || memcmp(&lru, &cases[i].lru, sizeof(lru)) != 0) {
			fprintf(stderr, "tier_bench: the replay of %s is not what it is by hand\n", cases[i].loads);
			return false;
		}
	}
	return true;
}

int rig_optimum(int argc, char **argv)
{
	unsigned room = (unsigned)strtoul(argv[0], NULL, 10);
	struct outcome best, lru;

	(void)argc;
	if (!holds())
		return -EINVAL;
	if (room == 0 || room > MODELS || strspn(argv[1], "abcdefghijklmnopqrstuvwxyz") != strlen(argv[1]))
		return rig_say("replay", argv[1], -EINVAL);
	best = replay(room, argv[1], choose_optimum);
	lru = replay(room, argv[1], choose_lru);
	printf("%zu %u %u %u %u\n", strlen(argv[1]), best.hits, best.moves, lru.hits, lru.moves);
	return 0;
}
