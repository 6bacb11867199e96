/* self_check.c - the peers against sequences worked out by hand from their papers' rules; the reader of recorded
 * traces against good and bad ones.
 */
#include "tests/bench/policy/replay.h"

#include <stdio.h>
#include <string.h>

#define LONGEST 16

static const struct {
	const char *policy;
	replay_fn replay;
	const char *requests;                   /* a letter an extent */
	const char *hits;                       /* h where it is there; of the optimum only how many counts */
	uint32_t cap, moves;
} cases[] = {
	{ "LRU", replay_lru, "abacba", "..h...", 2, 5 },
	{ "LRU", replay_lru, "aabbcdefb", ".h.h.....", 2, 7 },
	/* b comes back from B1 and moves p to 1, so a leaves T2; a comes back from B2 */
	{ "ARC", replay_arc, "abacbcac", "..h..h.h", 2, 5 },
	/* a scan passes through T1 and leaves b in T2 */
	{ "ARC", replay_arc, "aabbcdefb", ".h.h....h", 2, 6 },
	/* c is asked for again while in the stack and becomes low instead of a; then a instead of c */
	{ "LIRS", replay_lirs, "abacbccaac", "..h...hhhh", 2, 5 },
	{ "LIRS", replay_lirs, "abcabcabc", "...h..h..", 2, 7 },
	/* c, low by then, outlives d */
	{ "LIRS", replay_lirs, "abacbcdcac", "..h....h.h", 2, 7 },
	/* b becomes low by a hit in the stack */
	{ "LIRS", replay_lirs, "abbcba", "..h.h.", 2, 4 },
	/* b, below the lowest low one, is forgotten and comes back high */
	{ "LIRS", replay_lirs, "abacbcbdc", "..h.....h", 2, 7 },
	/* a is remembered by the ghost queue and goes to main, where one hit saves it once */
	{ "S3-FIFO", replay_s3fifo, "abacadaceac", "..h...h..h.", 2, 8 },
	/* c is refused at equal counts, and gets in by its second request */
	{ "W-TinyLFU", replay_tinylfu, "abcdacecb", "....h..h.", 3, 7 },
	{ "Belady", replay_opt, "aba", "..h", 1, 1 },
	{ "Belady", replay_opt, "abcabcab", "...hh.hh", 2, 2 },
	/* three of four fit: the first pass fills, then nothing moves */
	{ "hearth", replay_hearth, "abcdabcdabcd", "....hhh.hhh.", 3, 3 },
	{ "hearth hidden", replay_hearth_hidden, "abcdabcdabcd", "....hhh.hhh.", 3, 3 },
};

static uint64_t count_hits(const char *hits, size_t n)
{
	uint64_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += hits[i] == 'h';
	return count;
}

/* Replay every beginning of the sequence, so that each hit is where it should be. */
static bool holds(size_t k)
{
	uint32_t id[LONGEST], blob[26] = { 0 };
	uint8_t scan[LONGEST] = { 0 };
	struct trace t = { .id = id, .scan = scan, .ids = 26, .blob = blob, .blobs = 1 };
	size_t all = strlen(cases[k].requests), from = cases[k].replay == replay_opt ? all : 1;
	struct replay_result got = { 0 };

	for (size_t j = 0; j < all; j++)
		id[j] = (uint32_t)(cases[k].requests[j] - 'a');
	for (t.n = from; t.n <= all; t.n++) {
		if (cases[k].replay(&t, cases[k].cap, &got) != 0 || got.hits != count_hits(cases[k].hits, t.n))
			return false;
	}
	return got.moves == cases[k].moves;
}

int replay_self_check(void)
{
	int bad = 0;

	for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
		if (holds(k))
			continue;
		fprintf(stderr, "%s does not do on %s what its paper says\n", cases[k].policy, cases[k].requests);
		bad++;
	}
	return bad + replay_self_check_csv();
}
