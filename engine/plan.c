/* plan.c - see plan.h. */
#include "engine/plan.h"

#include <math.h>
#include <stddef.h>

#define FINE_EXPERTS 64u        /* of so many a text uses some much more than others */
#define SKEW 5.6                /* of the experts that are used least, a share x of all gets x^SKEW of the uses: a recorded
				 * text through 48 layers of 128 experts, x = 0.25 to 0.75; of a few experts all are used alike */

#define LAYER_STEPS 18.0        /* operations of a layer that are divided over threads: norms, matrices and their inputs, rope, attention */

static double least(double a, double b)
{
	return a < b ? a : b;
}

static double most(double a, double b)
{
	return a > b ? a : b;
}

/* The share of uses that meet an expert which is not held, when those that are used most are. */
static double missed(const struct model *m, double held)
{
	double away = 1.0 - least(held, 1.0);

	return m->dims.n_expert >= FINE_EXPERTS ? pow(away, SKEW) : away;
}

/* Seconds that a share of bytes by type takes; negative: of a type whose speed is not known. */
static double compute(const double bytes[KERN_TYPE_COUNT], double share, const struct plan_rates *r)
{
	double s = 0.0;
	uint32_t i;

	for (i = 0; i < KERN_TYPE_COUNT; i++) {
		if (bytes[i] <= 0.0)
			continue;
		if (r->matmul[i] <= 0.0)
			return -1.0;
		s += bytes[i] * share / r->matmul[i];
	}
	return s;
}

void plan_make(struct plan *out, const struct model *m, const struct session_sizes *z, const struct plan_rates *r, uint32_t depth,
	       double resident, double kv_token)
{
	struct model_size w;
	double dense, away, hold, rest, dense_disk, expert_disk, dense_s, expert_s, kv = depth * kv_token;

	model_size(m, &w);
	dense = w.layers + w.output;
	away = 1.0 - resident;
	hold = z->slots != 0 ? (double)z->hold : (dense + w.experts) * away;
	rest = most(hold - dense * away, 0.0);          /* of it for experts */
	dense_disk = most(dense * away - hold, 0.0);
	expert_disk = w.experts > 0.0 ? w.experts * w.expert_share * missed(m, resident + rest / w.experts) : 0.0;
	*out = (struct plan){ .in_memory = (dense + w.experts) * resident + least(hold, (dense + w.experts) * away) };
	out->memory = (double)(z->kv + z->graph + z->other + z->ring);
	out->memory += z->slots != 0 ? least(hold, (dense + w.experts) * away) : dense + w.experts;
	out->layers = m->dims.n_layer * least(1.0, out->in_memory / (dense + w.experts));
	out->token_disk = dense_disk + expert_disk;
	out->token_memory = dense + w.experts * w.expert_share - out->token_disk + kv;
	out->bound = PLAN_UNKNOWN;
	dense_s = compute(w.dense_type, 1.0, r);
	expert_s = compute(w.expert_type, w.expert_share, r);
	if (dense_s < 0.0 || expert_s < 0.0 || (kv > 0.0 && r->matmul[KERN_F16] <= 0.0) || (out->token_disk > 0.0 && r->disk <= 0.0))
		return;
	out->compute_s = dense_s + expert_s + m->dims.n_layer * LAYER_STEPS * r->step + (kv > 0.0 ? kv / r->matmul[KERN_F16] : 0.0);
	out->disk_s = out->token_disk > 0.0 ? out->token_disk / r->disk : 0.0;
	rest = out->compute_s + (expert_disk > 0.0 ? expert_disk / r->disk : 0.0);
	out->bound = out->disk_s > rest || expert_disk / most(r->disk, 1.0) > out->compute_s ? PLAN_BY_DISK : PLAN_BY_COMPUTE;
	rest = most(out->disk_s, rest);
	out->speed = rest > 0.0 ? 1.0 / rest : 0.0;
}

const struct plan_quantisation *plan_quantisation(unsigned i)
{
	/* what llama.cpp's mixtures come to for models of some billions of weights (its quantize's list) */
	static const struct plan_quantisation list[] = {
		{ "F16", 16.0 }, { "Q8_0", 8.5 }, { "Q6_K", 6.56 }, { "Q5_K_M", 5.69 }, { "Q4_K_M", 4.89 }, { "IQ4_XS", 4.32 },
		{ "Q3_K_M", 3.91 }, { "Q2_K", 3.0 },
	};

	return i < sizeof(list) / sizeof(list[0]) ? &list[i] : NULL;
}
