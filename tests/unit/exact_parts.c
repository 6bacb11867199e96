/* exact_parts.c - see exact_parts.h. */
#include "tests/unit/exact_parts.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/weights.h"
#include "kernels/kern_f16.h"
#include "kernels/kern_type.h"

/* ---- the file -------------------------------------------------------------------------------------- */

const float *exact_tensor(const struct exact *e, uint32_t layer, const char *name, uint64_t ne[3])
{
	struct weights_tensor t;
	char full[96];

	if (layer == EXACT_GLOBAL)
		snprintf(full, sizeof(full), "%s", name);
	else
		snprintf(full, sizeof(full), "blk.%u.%s", layer, name);
	if (weights_find(e->w, full, &t) != 0 || t.type != KERN_F32 || t.ne[0] > EXACT_WIDE)
		return NULL;
	if (ne != NULL)
		memcpy(ne, t.ne, 3 * sizeof(*ne));
	return t.data;
}

const float *exact_needed(struct exact *e, uint32_t layer, const char *name, uint64_t ne[3])
{
	static const float none[EXACT_WIDE];
	const float *p = exact_tensor(e, layer, name, ne);

	if (p != NULL)
		return p;
	e->rc = -EINVAL;
	if (ne != NULL)
		ne[0] = ne[1] = ne[2] = 1;
	return none;
}

double exact_number(const struct exact *e, const char *key, double otherwise)
{
	char full[96];
	float v;

	snprintf(full, sizeof(full), "%s.%s", e->arch, key);
	return gguf_get_f32(e->meta, full, &v) == 0 ? (double)v : otherwise;
}

uint32_t exact_count(const struct exact *e, const char *key, uint32_t i, uint32_t otherwise)
{
	struct gguf_arr a;
	char full[96];
	uint32_t v;

	snprintf(full, sizeof(full), "%s.%s", e->arch, key);
	if (gguf_get_u32(e->meta, full, &v) == 0)
		return v;
	if (gguf_get_arr(e->meta, full, &a) == 0 && gguf_arr_u32(&a, i, &v) == 0)
		return v;
	return otherwise;
}

bool exact_flag(const struct exact *e, const char *key, uint32_t i)
{
	struct gguf_arr a;
	char full[96];

	snprintf(full, sizeof(full), "%s.%s", e->arch, key);
	return gguf_get_arr(e->meta, full, &a) == 0 && a.elem_type == GGUF_BOOL && i < a.n && a.data[i] != 0;
}

/* ---- arithmetic ------------------------------------------------------------------------------------ */

static double dot(const float *w, const double *x, size_t n)
{
	double sum = 0.0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += (double)w[i] * x[i];
	return sum;
}

size_t exact_linear_of(struct exact *e, uint32_t layer, const char *name, uint64_t of, const double *x, double *y)
{
	char full[64];
	const float *w, *bias;
	uint64_t ne[3], i;

	snprintf(full, sizeof(full), "%s.weight", name);
	w = exact_needed(e, layer, full, ne);
	if (e->rc != 0 || ne[1] > EXACT_WIDE || of >= ne[2]) {
		e->rc = e->rc != 0 ? e->rc : -EINVAL;
		return 0;
	}
	snprintf(full, sizeof(full), "%s.bias", name);
	bias = exact_tensor(e, layer, full, NULL);
	for (i = 0; i < ne[1]; i++)
		y[i] = dot(w + (of * ne[1] + i) * ne[0], x, ne[0]) + (bias != NULL ? (double)bias[i] : 0.0);
	return (size_t)ne[1];
}

size_t exact_linear(struct exact *e, uint32_t layer, const char *name, const double *x, double *y)
{
	return exact_linear_of(e, layer, name, 0, x, y);
}

void exact_rms(const struct exact *e, const double *x, const float *w, double *y, size_t n)
{
	double sum = 0.0, r;
	size_t i;

	for (i = 0; i < n; i++)
		sum += x[i] * x[i];
	r = 1.0 / sqrt(sum / (double)n + e->eps);
	for (i = 0; i < n; i++)
		y[i] = x[i] * r * (w != NULL ? (double)w[i] : 1.0);
}

void exact_norm(struct exact *e, uint32_t layer, const char *name, const double *x, double *y)
{
	char full[64];
	const float *w, *b;
	double mean = 0.0;
	size_t i;

	snprintf(full, sizeof(full), "%s.weight", name);
	w = exact_needed(e, layer, full, NULL);
	if (strcmp(e->arch, "gptneox") != 0) {
		exact_rms(e, x, w, y, e->n_embd);
		return;
	}
	snprintf(full, sizeof(full), "%s.bias", name);
	b = exact_needed(e, layer, full, NULL);
	for (i = 0; i < e->n_embd; i++)
		mean += x[i] / e->n_embd;
	for (i = 0; i < e->n_embd; i++)
		y[i] = x[i] - mean;
	exact_rms(e, y, w, y, e->n_embd);
	for (i = 0; i < e->n_embd; i++)
		y[i] += (double)b[i];
}

void exact_add(double *x, const double *y, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		x[i] += y[i];
}

static double to_f16(double x)
{
	return (double)kern_f16_to_f32(kern_f32_to_f16((float)x));
}

/* Rounded as llama.cpp's CPU code does it: a table over all F16 arguments below 10 in size. */
double exact_gelu(const struct exact *e, double x)
{
	double in = e->rounded ? to_f16(x) : x;
	double y = 0.5 * in * (1.0 + tanh(sqrt(2.0 / M_PI) * in * (1.0 + 0.044715 * in * in)));

	if (!e->rounded)
		return y;
	return x <= -10.0 ? 0.0 : x >= 10.0 ? x : to_f16(y);
}

void exact_softmax(double *p, size_t n)
{
	double top = -INFINITY, sum = 0.0;
	size_t i;

	for (i = 0; i < n; i++)
		top = fmax(top, p[i]);
	for (i = 0; i < n; i++)
		sum += p[i] = exp(p[i] - top);
	for (i = 0; i < n; i++)
		p[i] /= sum;
}

/* NEOX rope of one head at a position. */
static void rope(const struct exact_turn *r, double *x, size_t pos)
{
	uint32_t half = r->n_rot / 2, i;

	for (i = 0; i < half; i++) {
		double angle = (double)pos * pow(r->base, -2.0 * i / r->n_rot) / r->factor;
		double a = x[i], b = x[i + half];

		if (r->divisors != NULL)
			angle /= (double)r->divisors[i];
		x[i] = a * cos(angle) - b * sin(angle);
		x[i + half] = a * sin(angle) + b * cos(angle);
	}
}

void exact_attend(struct exact *e, const struct exact_shape *s, double (*k)[EXACT_WIDE], double (*v)[EXACT_WIDE])
{
	double p[EXACT_POSITIONS];
	size_t t, j, i;
	uint32_t h;

	for (t = 0; t < e->n; t++)
		for (h = 0; h < e->n_head; h++) {
			size_t first = s->window != 0 && t + 1 > s->window ? t + 1 - s->window : 0, q = (size_t)h * s->head;
			size_t kv = (size_t)(h / (e->n_head / s->n_kv)) * s->head;

			for (j = first; j <= t; j++) {
				p[j] = 0.0;
				for (i = 0; i < s->head; i++)
					p[j] += e->q[t][q + i] * k[j][kv + i];
				p[j] *= s->scale;
				if (s->cap != 0.0)
					p[j] = s->cap * tanh(p[j] / s->cap);
			}
			exact_softmax(p + first, t + 1 - first);
			memset(e->att[t] + q, 0, s->head * sizeof(double));
			for (j = first; j <= t; j++)
				for (i = 0; i < s->head; i++)
					e->att[t][q + i] += p[j] * v[j][kv + i];
		}
}

void exact_mlp(struct exact *e, uint32_t layer, const double *h, double *y)
{
	double gate[EXACT_WIDE], up[EXACT_WIDE];
	size_t n = exact_linear(e, layer, "ffn_gate", h, gate), i;

	exact_linear(e, layer, "ffn_up", h, up);
	for (i = 0; i < n; i++)
		gate[i] = exact_gelu(e, gate[i]) * up[i];
	exact_linear(e, layer, "ffn_down", gate, y);
}

void exact_norm_and_turn(struct exact *e, uint32_t layer, const char *name, const struct exact_turn *r, double *x,
			 uint32_t n, uint32_t head, size_t pos)
{
	const float *w = exact_tensor(e, layer, name, NULL);
	uint32_t h;

	for (h = 0; h < n; h++) {
		if (w != NULL)
			exact_rms(e, x + (size_t)h * head, w, x + (size_t)h * head, head);
		rope(r, x + (size_t)h * head, pos);
	}
}
