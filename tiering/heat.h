/* heat.h - how often and how lately something was touched, in eight bytes.
 *
 * Heat is the sum of touches, each halved every T.  It is kept by forward decay: a touch at time t
 * adds 2^u(t) to a sum that is stored as its logarithm, the key, and
 *
 *     k = log2(sum 2^u(t_i))          heat(now) = 2^(k - u(now))
 *
 * u is the decay clock: the half-lives that have passed.  It runs at 1/T, where T is what 4 times the
 * capacity of the tier takes to be touched, at least 60 seconds and at most 7 days.  T follows the rate
 * of touches from one tick to the next.  Keys need no conversion when it changes, because they are in
 * half-lives and u is continuous: the heat of everything is the same before and after, and exactly so.
 * Nor does a change disturb a loop, however often T changes.  Let x be touched at x_1 < ... < x_n = now
 * by a cyclic read, and v by the same.  After each of x_1 .. x_(n-1) comes a touch of v of its own, which
 * counts no less as u only grows.  So heat(v) >= heat(x) - 1 for every clock, and a rule that asks x for
 * one touch more than v has never moves anything.
 *
 * Keys of one clock are in the order of their heats, now and later, so residents can be kept sorted.
 *
 * A tick is a quarter of a second; all touches of an extent within one count as one.  Keys are fixed
 * point, 24 bits of half-lives and 24 of fraction (40 in a sum of small weights), rounded down: heat is
 * never more than it should be, a single touch has heat 1 exactly in its tick, and the range is 31 years
 * at the shortest T.  A touch more is seen at the greatest heat there can be, 3.5 million.
 *
 * Threads: none of this locks.  The caller advances a clock when nobody reads it, and does not touch one
 * heat from two threads.
 */
#ifndef TIERING_HEAT_H
#define TIERING_HEAT_H

#include <stdbool.h>
#include <stdint.h>

#define HEAT_TICKS_PER_SECOND 4
#define HEAT_SPAN 4                             /* T in touches, as a multiple of the capacity */
#define HEAT_T_MIN_TICKS (60ull * HEAT_TICKS_PER_SECOND)
#define HEAT_T_MAX_TICKS (7ull * 86400 * HEAT_TICKS_PER_SECOND)

/* One per tier: the tiers differ in capacity. */
struct heat_clock {
	uint64_t now;           /* u in 2^-40 half-lives, a multiple of 2^-24 of them */
	uint64_t tick;          /* of the last advance */
	uint64_t capacity;      /* of the tier, in what touches count: extents or units */
	uint64_t pending;       /* touches told since tick last changed */
	double rest;            /* of u, below 2^-24 */
	double half_life;       /* T over the last advance, in ticks */
};

/* 48 bits of key and the low 16 of the tick of the last touch.  All zero: never touched. */
struct heat {
	uint64_t bits;
};

/* capacity 0 is taken for 1. */
void heat_clock_init(struct heat_clock *c, uint64_t tick, uint64_t capacity);
void heat_clock_resize(struct heat_clock *c, uint64_t capacity);
/* tick is now; touches were counted (heat_touch said true) since the last call.  A tick that does not
 * grow adds its touches to the next that does. */
void heat_clock_advance(struct heat_clock *c, uint64_t tick, uint64_t touches);
double heat_clock_half_life_seconds(const struct heat_clock *c);

/* A touch now.  True when it counted, false when this tick already has one.  A heat not touched for
 * a multiple of 4.55 hours, to the tick, and still above 1, loses that touch. */
bool heat_touch(struct heat *h, const struct heat_clock *c);
double heat_now(struct heat h, const struct heat_clock *c);
uint64_t heat_key(struct heat h);               /* for what follows; 0 when never touched */

/* Sums that are not of whole touches: the mean over a blob's extents, where a touch weighs 1 / extents.
 * *key is of 40 bits of fraction, 0 is none.  A weight of 0 or less, or not a number, adds nothing. */
void heat_add(uint64_t *key, const struct heat_clock *c, double weight);
double heat_key_now(uint64_t key, const struct heat_clock *c);
uint64_t heat_key_sum(uint64_t a, uint64_t b);          /* of the heats */
uint64_t heat_key_less(uint64_t a, uint64_t b);         /* heat of a less that of b; 0 when a <= b */

/* To save: heat_now as a number.  To restore it under any clock: these; heats under 2^-64 become 0. */
struct heat heat_from(double value, const struct heat_clock *c);
uint64_t heat_key_from(double value, const struct heat_clock *c);
struct heat heat_from_key(uint64_t key, const struct heat_clock *c);    /* key is of this clock */

#endif
