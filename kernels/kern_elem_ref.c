/* kern_elem_ref.c - norm, rope, activation and addition, one value at a time. */
#include <math.h>

#include "kernels/kern_exp.h"
#include "kernels/kern_internal.h"

/* What is taken off each value, and what the rest is multiplied by. */
static void norm_terms(const struct kern_norm *p, const float *x, double *mean, double *scale)
{
	double sum = 0.0, squares = 0.0;
	uint32_t i;

	if (p->kind == KERN_NORM_LAYER)
		for (i = 0; i < p->n; i++)
			sum += (double)x[i];
	*mean = sum / p->n;
	for (i = 0; i < p->n; i++)
		squares += ((double)x[i] - *mean) * ((double)x[i] - *mean);
	if (p->kind == KERN_NORM_L2)
		*scale = 1.0 / fmax(sqrt(squares), (double)p->eps);
	else
		*scale = 1.0 / sqrt(squares / p->n + (double)p->eps);
}

void kern_norm_ref(const struct kern_norm *p, uint32_t row0, uint32_t row1)
{
	uint32_t t, i;

	for (t = row0; t < row1; t++) {
		const float *x = p->x + (size_t)t * p->n;
		float *y = p->y + (size_t)t * p->n;
		double mean, scale;

		norm_terms(p, x, &mean, &scale);
		for (i = 0; i < p->n; i++) {
			float v = (x[i] - (float)mean) * (float)scale;

			if (p->w != NULL)
				v *= p->w[i];
			y[i] = p->b != NULL ? v + p->b[i] : v;
		}
	}
}

static void rope_head(float *x, const float *co, const float *si, uint32_t n_rot, bool neox)
{
	uint32_t i, half = n_rot / 2;

	for (i = 0; i < half; i++) {
		uint32_t first = neox ? i : 2 * i, second = neox ? half + i : 2 * i + 1;
		float a = x[first], b = x[second];

		x[first] = a * co[i] - b * si[i];
		x[second] = a * si[i] + b * co[i];
	}
}

void kern_rope_ref(const struct kern_rope *p, uint32_t tok0, uint32_t tok1)
{
	uint32_t t, h;

	for (t = tok0; t < tok1; t++) {
		const float *co = p->cos + (size_t)t * (p->n_rot / 2);
		const float *si = p->sin + (size_t)t * (p->n_rot / 2);

		for (h = 0; h < p->n_head; h++)
			rope_head(p->x + ((size_t)t * p->n_head + h) * p->head_dim + p->at, co, si, p->n_rot, p->neox);
	}
}

/* The pair whose angle turns so many times within n_ctx positions. */
static float yarn_pair(const struct kern_rope_angles *a, uint32_t n_ctx, float turns)
{
	return (float)a->n_rot * logf((float)n_ctx / (turns * 2.0f * (float)M_PI)) / (2.0f * logf(a->base));
}

void kern_rope_yarn(struct kern_rope_angles *a, uint32_t n_ctx_orig, float beta_fast, float beta_slow)
{
	a->low = fmaxf(0.0f, floorf(yarn_pair(a, n_ctx_orig, beta_fast)));
	a->high = fminf((float)a->n_rot - 1.0f, ceilf(yarn_pair(a, n_ctx_orig, beta_slow)));
}

void kern_rope_table(const struct kern_rope_angles *a, uint32_t pos, float *cos_out, float *sin_out)
{
	float step = powf(a->base, -2.0f / (float)a->n_rot), theta = (float)pos, factor = a->attn_factor;
	uint32_t i;

	if (a->yarn != 0.0f)
		factor *= 1.0f + 0.1f * logf(1.0f / a->scale);
	for (i = 0; i < a->n_rot / 2; i++) {
		float plain = a->factors != NULL ? theta / a->factors[i] : theta, angle = a->scale * plain;

		if (a->yarn != 0.0f) {
			float along = ((float)i - a->low) / fmaxf(0.001f, a->high - a->low);
			float keep = (1.0f - fminf(1.0f, fmaxf(0.0f, along))) * a->yarn;

			angle = angle * (1.0f - keep) + plain * keep;
		}
		cos_out[i] = (float)cos((double)angle) * factor;
		sin_out[i] = (float)sin((double)angle) * factor;
		theta *= step;
	}
}

static float glu_act(enum kern_glu_kind kind, float x)
{
	switch (kind) {
	case KERN_GLU_SILU:
		return x / (1.0f + kern_expf(-x));
	case KERN_GLU_GELU:     /* (1 + tanh(z)) / 2 = 1 / (1 + e^-2z) */
		return x / (1.0f + kern_expf(-2.0f * KERN_GELU_SCALE * x * (1.0f + KERN_GELU_CUBE * x * x)));
	case KERN_GLU_OAI:
		x = x < KERN_OAI_LIMIT ? x : KERN_OAI_LIMIT;
		return x / (1.0f + kern_expf(-KERN_OAI_ALPHA * x));
	case KERN_GLU_SIGMOID:
		break;
	}
	return 1.0f / (1.0f + kern_expf(-x));
}

void kern_glu_ref(const struct kern_glu *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		p->g[i] = glu_act(p->kind, p->g[i]);
		if (p->kind == KERN_GLU_OAI)
			p->g[i] *= 1.0f + fmaxf(-KERN_OAI_LIMIT, fminf(KERN_OAI_LIMIT, p->u[i]));
		else if (p->u != NULL)
			p->g[i] *= p->u[i];
	}
}

void kern_add_ref(const struct kern_add *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		p->y[i] += p->scale * p->x[i];
}
