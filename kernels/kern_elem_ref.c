/* kern_elem_ref.c - norm, rope, gated activation and addition, one value at a time. */
#include <math.h>

#include "kernels/kern_exp.h"
#include "kernels/kern_internal.h"

void kern_rms_norm_ref(const struct kern_norm *p, uint32_t tok0, uint32_t tok1)
{
	uint32_t t, i;

	for (t = tok0; t < tok1; t++) {
		const float *x = p->x + (size_t)t * p->n;
		float *y = p->y + (size_t)t * p->n;
		double sum = 0.0;
		float scale;

		for (i = 0; i < p->n; i++)
			sum += (double)x[i] * (double)x[i];
		scale = (float)(1.0 / sqrt(sum / p->n + (double)p->eps));
		for (i = 0; i < p->n; i++)
			y[i] = x[i] * scale * p->w[i];
	}
}

static void rope_head(float *x, const float *co, const float *si, uint32_t n_rot)
{
	uint32_t i;

	for (i = 0; i < n_rot / 2; i++) {
		float a = x[2 * i], b = x[2 * i + 1];

		x[2 * i] = a * co[i] - b * si[i];
		x[2 * i + 1] = a * si[i] + b * co[i];
	}
}

void kern_rope_ref(const struct kern_rope *p, uint32_t tok0, uint32_t tok1)
{
	uint32_t t, h;

	for (t = tok0; t < tok1; t++) {
		const float *co = p->cos + (size_t)t * (p->n_rot / 2);
		const float *si = p->sin + (size_t)t * (p->n_rot / 2);

		for (h = 0; h < p->n_head; h++)
			rope_head(p->x + ((size_t)t * p->n_head + h) * p->head_dim, co, si, p->n_rot);
	}
}

void kern_rope_table(const struct kern_rope_angles *a, uint32_t pos, float *cos_out, float *sin_out)
{
	float step = powf(a->base, -2.0f / (float)a->n_rot);
	float theta = (float)pos;
	uint32_t i;

	for (i = 0; i < a->n_rot / 2; i++) {
		float angle = a->scale * (a->factors != NULL ? theta / a->factors[i] : theta);

		cos_out[i] = (float)cos((double)angle);
		sin_out[i] = (float)sin((double)angle);
		theta *= step;
	}
}

void kern_silu_mul_ref(const struct kern_silu_mul *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		p->g[i] = p->g[i] / (1.0f + kern_expf(-p->g[i])) * p->u[i];
}

void kern_add_ref(const struct kern_add *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		p->y[i] += p->x[i];
}
