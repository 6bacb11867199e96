/* plan.h - what a run will take and how fast it will be, before any weight is read.
 *
 * Sizes come from the model's header (session_sizes, model_size), speeds from probe.h.  A token takes as long as the slower
 * of two things that go on together: weights that are not in memory come from disk, and all weights pass through the
 * processor.  Experts are known only when the router has named them: their reads are waited for.  Those that are used most
 * are taken to be held: how much that helps depends on the text, and a recorded one is taken for all.
 * Threads: any.
 */
#ifndef ENGINE_PLAN_H
#define ENGINE_PLAN_H

#include <stdint.h>

#include "engine/model_internal.h"
#include "engine/session.h"

struct plan_rates {
	double disk;                            /* bytes a second, 0: not known */
	double matmul[KERN_TYPE_COUNT];         /* the same of weights in memory; 0: not known */
	double step;                            /* seconds that an operation takes besides, to be divided over threads */
};

enum plan_bound { PLAN_BY_DISK, PLAN_BY_COMPUTE, PLAN_UNKNOWN };

struct plan {
	double memory;                  /* bytes, of what is held and all buffers */
	double in_memory;               /* bytes of weights that are held, or mapped */
	double layers;                  /* that are in memory, of as many as there are */
	double token_memory, token_disk;        /* bytes that a token takes from each */
	double disk_s, compute_s;       /* a token's */
	double speed;                   /* tokens a second, 0: not known */
	enum plan_bound bound;
};

/* depth: tokens that are in the context; resident: the share of the model that is in memory anyhow, 0 .. 1; kv_token: bytes
 * of KV cache a position. */
void plan_make(struct plan *out, const struct model *m, const struct session_sizes *z, const struct plan_rates *r, uint32_t depth,
	       double resident, double kv_token);

/* Bits a weight of the usual quantisations, for tables; NULL past the end. */
struct plan_quantisation { const char *name; double bits; };
const struct plan_quantisation *plan_quantisation(unsigned i);

#endif
