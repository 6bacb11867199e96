#include "tiering/heat.h"

#include <math.h>

#define KEY_ONE 1099511627776.0                 /* one half-life, 2^40 */
#define KEY_STEP 65536.0                        /* the resolution of clocks and of single heats, 2^16 */
#define TICK_MASK 0xffffull
#define KEY_MAX (UINT64_MAX & ~TICK_MASK)
#define CLOCK_MAX (KEY_MAX - (256ull << 40))    /* the clock stops here; heats of 2^256 fit above */
#define CLOCK_START (4096ull << 40)             /* so that a heat under 1 has a key at the start too */
#define NEGLIGIBLE (64ull << 40)                /* half-lives after which a touch counts for nothing */

void heat_clock_init(struct heat_clock *c, uint64_t tick, uint64_t capacity)
{
	*c = (struct heat_clock){ .now = CLOCK_START, .tick = tick, .half_life = (double)HEAT_T_MAX_TICKS };
	heat_clock_resize(c, capacity);
}

void heat_clock_resize(struct heat_clock *c, uint64_t capacity)
{
	c->capacity = capacity != 0 ? capacity : 1;
}

void heat_clock_advance(struct heat_clock *c, uint64_t tick, uint64_t touches)
{
	double ticks, passed, steps;

	c->pending += touches;
	if (tick <= c->tick)
		return;
	ticks = (double)(tick - c->tick);
	passed = (double)c->pending / (HEAT_SPAN * (double)c->capacity);
	passed = fmax(passed, ticks / (double)HEAT_T_MAX_TICKS);
	passed = fmin(passed, ticks / (double)HEAT_T_MIN_TICKS);
	c->half_life = ticks / passed;
	c->rest += passed * (KEY_ONE / KEY_STEP);
	steps = floor(c->rest);
	c->rest -= steps;
	steps *= KEY_STEP;
	c->now = steps < (double)(CLOCK_MAX - c->now) ? c->now + (uint64_t)steps : CLOCK_MAX;
	c->tick = tick;
	c->pending = 0;
}

double heat_clock_half_life_seconds(const struct heat_clock *c)
{
	return c->half_life / HEAT_TICKS_PER_SECOND;
}

/* log2(2^a + 2^b) = a + log2(1 + 2^(b - a)), rounded down. */
uint64_t heat_key_sum(uint64_t a, uint64_t b)
{
	uint64_t hi = a > b ? a : b, lo = a > b ? b : a, more;

	if (lo == 0 || hi - lo >= NEGLIGIBLE)
		return hi;
	more = (uint64_t)(log1p(exp2(-(double)(hi - lo) / KEY_ONE)) * (M_LOG2E * KEY_ONE));
	return hi < UINT64_MAX - more ? hi + more : UINT64_MAX;
}

/* log2(2^a - 2^b) = a + log2(1 - 2^(b - a)). */
uint64_t heat_key_less(uint64_t a, uint64_t b)
{
	double less;

	if (a <= b)
		return 0;
	if (b == 0 || a - b >= NEGLIGIBLE)
		return a;
	less = -log2(-expm1(-(double)(a - b) / KEY_ONE * M_LN2)) * KEY_ONE;
	return less < (double)a ? a - (uint64_t)less : 0;
}

bool heat_touch(struct heat *h, const struct heat_clock *c)
{
	uint64_t key = heat_key(*h), tick = c->tick & TICK_MASK;

	if (key >= c->now && (h->bits & TICK_MASK) == tick)
		return false;
	h->bits = (heat_key_sum(key, c->now) & ~TICK_MASK) | tick;
	return true;
}

uint64_t heat_key(struct heat h)
{
	return h.bits & ~TICK_MASK;
}

double heat_now(struct heat h, const struct heat_clock *c)
{
	return heat_key_now(heat_key(h), c);
}

void heat_add(uint64_t *key, const struct heat_clock *c, double weight)
{
	*key = heat_key_sum(*key, heat_key_from(weight, c));
}

double heat_key_now(uint64_t key, const struct heat_clock *c)
{
	if (key == 0)
		return 0;
	return exp2(key >= c->now ? (double)(key - c->now) / KEY_ONE : -(double)(c->now - key) / KEY_ONE);
}

uint64_t heat_key_from(double value, const struct heat_clock *c)
{
	double log;

	if (!(value >= 0x1p-64) || isinf(value))
		return 0;
	log = floor(log2(value) * KEY_ONE);
	return log < 0 ? c->now - (uint64_t)-log : c->now + (uint64_t)log;
}

/* The tick is the one before now, so that a touch in this one counts. */
struct heat heat_from_key(uint64_t key, const struct heat_clock *c)
{
	key &= ~TICK_MASK;
	return (struct heat){ key != 0 ? key | ((c->tick - 1) & TICK_MASK) : 0 };
}

struct heat heat_from(double value, const struct heat_clock *c)
{
	return heat_from_key(heat_key_from(value, c), c);
}
