/* net.c - the network of the demo model, there and back; net.h says how the arrays lie. */
#include <cblas.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"

#define QUERY_BLOCK 64          /* queries of one attention product */
#define NORM_EPS 1e-5f
#define ROPE_BASE 10000.0

/* ------------------------------------------------------------------ layout */

static float *take(float **at, size_t n)
{
	float *p = *at;

	*at += n;
	return p;
}

size_t net_lay_out(const struct shape *s, struct net *net)
{
	const size_t d = (size_t)s->width;
	float *at = net->all;

	net->embd = take(&at, (size_t)s->vocab * d);
	for (int i = 0; i < s->layers; i++) {
		struct layer *l = &net->layer[i];

		l->attn_norm = take(&at, d);
		l->qkv = take(&at, (size_t)s->qkv_width * d);
		l->attn_output = take(&at, d * d);
		l->ffn_norm = take(&at, d);
		l->gate_up = take(&at, 2 * (size_t)s->hidden * d);
		l->down = take(&at, d * (size_t)s->hidden);
	}
	net->output_norm = take(&at, d);
	return (size_t)(at - net->all);
}

static bool new_floats(float **p, size_t n)
{
	*p = calloc(n, sizeof(**p));
	return *p != NULL;
}

bool net_shape_finish(struct shape *s)
{
	const int half = s->head_width / 2;

	if (!new_floats(&s->turn, (size_t)STORY_MAX * (size_t)s->head_width))
		return false;
	for (int pos = 0; pos < STORY_MAX; pos++)
		for (int j = 0; j < half; j++) {
			const double angle = pos * pow(ROPE_BASE, -(double)j / half);

			s->turn[pos * s->head_width + 2 * j] = (float)cos(angle);
			s->turn[pos * s->head_width + 2 * j + 1] = (float)sin(angle);
		}
	return true;
}

static bool new_saved(const struct shape *s, struct saved *a, size_t n)
{
	const size_t d = (size_t)s->width, hidden = (size_t)s->hidden;

	return new_floats(&a->x_in, n * d) && new_floats(&a->h1, n * d) && new_floats(&a->inv1, n) &&
	       new_floats(&a->qkv, n * (size_t)s->qkv_width) &&
	       new_floats(&a->prob, n * STORY_MAX * (size_t)s->heads) && new_floats(&a->mixed, n * d) &&
	       new_floats(&a->x_mid, n * d) && new_floats(&a->h2, n * d) && new_floats(&a->inv2, n) &&
	       new_floats(&a->gate_up, n * 2 * hidden) && new_floats(&a->act, n * hidden);
}

bool pass_open(struct pass *w, const struct shape *s, int stories)
{
	const size_t n = (size_t)stories * STORY_MAX, d = (size_t)s->width, hidden = (size_t)s->hidden;

	w->shape = s;
	for (int i = 0; i < s->layers; i++)
		if (!new_saved(s, &w->saved[i], n))
			return false;
	return new_floats(&w->x, n * d) && new_floats(&w->last, n * d) && new_floats(&w->inv, n) &&
	       new_floats(&w->logits, n * (size_t)s->vocab) && new_floats(&w->dx, n * d) &&
	       new_floats(&w->dh, n * d) && new_floats(&w->dqkv, n * (size_t)s->qkv_width) &&
	       new_floats(&w->dgu, n * 2 * hidden) && new_floats(&w->dact, n * hidden) &&
	       new_floats(&w->dp, QUERY_BLOCK * STORY_MAX);
}

void net_add(float *x, const float *y, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] += y[i];
}

/* ------------------------------------------------------------------ pieces of the network */

/* y[n][out] = x[n][in] * w[out][in]^T */
static void product(float *y, const float *x, const float *w, int n, int in, int out)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, out, in, 1, x, in, w, in, 0, y, out);
}

/* dx[n][in] = or += dy[n][out] * w, and dw += dy^T * x */
static void product_back(float *dx, float keep, float *dw, const float *dy, const float *x, const float *w, int n,
			 int in, int out)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, in, out, 1, dy, out, w, in, keep, dx, in);
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, out, in, n, 1, dy, out, x, in, 1, dw, in);
}

static void rms_norm(float *y, float *inv, const float *x, const float *w, int n, int d)
{
	for (int i = 0; i < n; i++) {
		const float *row = x + i * d;
		float sum = 0;

		for (int j = 0; j < d; j++)
			sum += row[j] * row[j];
		inv[i] = 1 / sqrtf(sum / (float)d + NORM_EPS);
		for (int j = 0; j < d; j++)
			y[i * d + j] = row[j] * inv[i] * w[j];
	}
}

/* dx += the gradient of x; dw += that of w. */
static void rms_norm_back(float *dx, float *dw, const float *dy, const float *x, const float *inv, const float *w,
			  int n, int d)
{
	for (int i = 0; i < n; i++) {
		const float *row = x + i * d, *g = dy + i * d;
		const float r = inv[i];
		float dot = 0;

		for (int j = 0; j < d; j++) {
			dot += g[j] * w[j] * row[j];
			dw[j] += g[j] * row[j] * r;
		}
		dot *= r * r * r / (float)d;
		for (int j = 0; j < d; j++)
			dx[i * d + j] += g[j] * w[j] * r - row[j] * dot;
	}
}

/* Rotates the pairs (0,1), (2,3), ... of heads of one token; back: by the opposite angles. */
static void rope(float *x, const float *turn, int heads, int head_width, float sign)
{
	for (int h = 0; h < heads; h++, x += head_width)
		for (int j = 0; j < head_width; j += 2) {
			const float c = turn[j], s = sign * turn[j + 1], a = x[j], b = x[j + 1];

			x[j] = a * c - b * s;
			x[j + 1] = a * s + b * c;
		}
}

static void rope_all(const struct pass *w, float *qkv, float sign)
{
	const struct shape *s = w->shape;

	for (int i = 0; i < w->stories; i++)
		for (int pos = 0; pos < w->len[i]; pos++, qkv += s->qkv_width)
			rope(qkv, s->turn + pos * s->head_width, s->heads + s->kv_heads, s->head_width, sign);
}

/* Rows begin .. begin + rows of scores [..][len] become probabilities over the keys up to the row's own. */
static void softmax_rows(float *prob, int begin, int rows, int len, int end, float scale)
{
	for (int i = 0; i < rows; i++) {
		float *p = prob + i * len;
		const int keys = begin + i + 1;
		float max = p[0], sum = 0;

		for (int j = 1; j < keys; j++)
			max = p[j] > max ? p[j] : max;
		for (int j = 0; j < keys; j++) {
			p[j] = expf((p[j] - max) * scale);
			sum += p[j];
		}
		for (int j = 0; j < keys; j++)
			p[j] /= sum;
		memset(p + keys, 0, (size_t)(end - keys) * sizeof(*p));
	}
}

/* One head of one story: prob [len][len], out [len] rows of width floats apart. */
static void attend(const struct shape *s, float *out, float *prob, const float *q, const float *k, const float *v,
		   int len)
{
	const int d = s->head_width, ld = s->qkv_width;

	for (int begin = 0; begin < len; begin += QUERY_BLOCK) {
		const int rows = len - begin < QUERY_BLOCK ? len - begin : QUERY_BLOCK, end = begin + rows;
		float *p = prob + begin * len;

		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, end, d, 1, q + begin * ld, ld, k, ld, 0, p,
			    len);
		softmax_rows(p, begin, rows, len, end, 1 / sqrtf((float)d));
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, d, end, 1, p, len, v, ld, 0,
			    out + begin * s->width, s->width);
	}
}

/* dq, dk, dv += the gradients; dp is scratch of [QUERY_BLOCK][len]. */
static void attend_back(const struct shape *s, float *dq, float *dk, float *dv, float *dp, const float *dout,
			const float *prob, const float *q, const float *k, const float *v, int len)
{
	const int d = s->head_width, ld = s->qkv_width;
	const float scale = 1 / sqrtf((float)d);

	for (int begin = 0; begin < len; begin += QUERY_BLOCK) {
		const int rows = len - begin < QUERY_BLOCK ? len - begin : QUERY_BLOCK, end = begin + rows;
		const float *p = prob + begin * len, *g = dout + begin * s->width;

		cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, end, d, rows, 1, p, len, g, s->width, 1, dv, ld);
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, end, d, 1, g, s->width, v, ld, 0, dp, len);
		for (int i = 0; i < rows; i++) {
			float dot = 0;

			for (int j = 0; j < end; j++)
				dot += dp[i * len + j] * p[i * len + j];
			for (int j = 0; j < end; j++)
				dp[i * len + j] = p[i * len + j] * (dp[i * len + j] - dot) * scale;
		}
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, d, end, 1, dp, len, k, ld, 1,
			    dq + begin * ld, ld);
		cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, end, d, rows, 1, dp, len, q + begin * ld, ld, 1,
			    dk, ld);
	}
}

static void swiglu(float *act, const float *gate_up, int n, int hidden)
{
	for (int i = 0; i < n; i++, act += hidden, gate_up += 2 * hidden)
		for (int j = 0; j < hidden; j++)
			act[j] = gate_up[j] / (1 + expf(-gate_up[j])) * gate_up[hidden + j];
}

static void swiglu_back(float *dgu, const float *dact, const float *gate_up, int n, int hidden)
{
	for (int i = 0; i < n; i++, dact += hidden, gate_up += 2 * hidden, dgu += 2 * hidden)
		for (int j = 0; j < hidden; j++) {
			const float g = gate_up[j], sig = 1 / (1 + expf(-g));

			dgu[j] = dact[j] * gate_up[hidden + j] * sig * (1 + g * (1 - sig));
			dgu[hidden + j] = dact[j] * g * sig;
		}
}

/* ------------------------------------------------------------------ there and back */

/* Runs attend (back false) or attend_back over all stories and heads of a layer. */
static void attention(struct pass *w, struct saved *a, bool back)
{
	const struct shape *s = w->shape;
	const int d = s->head_width;
	size_t row = 0, square = 0;

	for (int i = 0; i < w->stories; row += (size_t)w->len[i], i++)
		for (int h = 0; h < s->heads; h++) {
			const int kv = h / s->share, len = w->len[i];
			const int q = h * d, k = s->width + kv * d, v = k + s->kv_width;
			const float *qkv = a->qkv + row * (size_t)s->qkv_width;
			const size_t out = row * (size_t)s->width + (size_t)q;
			float *prob = a->prob + square;

			square += (size_t)len * (size_t)len;
			if (back) {
				float *g = w->dqkv + row * (size_t)s->qkv_width;

				attend_back(s, g + q, g + k, g + v, w->dp, w->dh + out, prob, qkv + q, qkv + k, qkv + v,
					    len);
			} else {
				attend(s, a->mixed + out, prob, qkv + q, qkv + k, qkv + v, len);
			}
		}
}

static void layer_forward(struct pass *w, const struct layer *l, struct saved *a)
{
	const struct shape *s = w->shape;
	const int n = w->n, d = s->width;
	const size_t size = (size_t)n * (size_t)d;

	memcpy(a->x_in, w->x, size * sizeof(float));
	rms_norm(a->h1, a->inv1, w->x, l->attn_norm, n, d);
	product(a->qkv, a->h1, l->qkv, n, d, s->qkv_width);
	rope_all(w, a->qkv, 1);
	attention(w, a, false);
	product(w->dx, a->mixed, l->attn_output, n, d, d);
	net_add(w->x, w->dx, size);
	memcpy(a->x_mid, w->x, size * sizeof(float));
	rms_norm(a->h2, a->inv2, w->x, l->ffn_norm, n, d);
	product(a->gate_up, a->h2, l->gate_up, n, d, 2 * s->hidden);
	swiglu(a->act, a->gate_up, n, s->hidden);
	product(w->dx, a->act, l->down, n, s->hidden, d);
	net_add(w->x, w->dx, size);
}

/* w->dx comes in as the gradient of the layer's output and goes out as that of its input. */
static void layer_backward(struct pass *w, const struct layer *l, struct layer *g, struct saved *a)
{
	const struct shape *s = w->shape;
	const int n = w->n, d = s->width;

	product_back(w->dact, 0, g->down, w->dx, a->act, l->down, n, s->hidden, d);
	swiglu_back(w->dgu, w->dact, a->gate_up, n, s->hidden);
	product_back(w->dh, 0, g->gate_up, w->dgu, a->h2, l->gate_up, n, d, 2 * s->hidden);
	rms_norm_back(w->dx, g->ffn_norm, w->dh, a->x_mid, a->inv2, l->ffn_norm, n, d);
	product_back(w->dh, 0, g->attn_output, w->dx, a->mixed, l->attn_output, n, d, d);
	memset(w->dqkv, 0, (size_t)n * (size_t)s->qkv_width * sizeof(float));
	attention(w, a, true);
	rope_all(w, w->dqkv, -1);
	product_back(w->dh, 0, g->qkv, w->dqkv, a->h1, l->qkv, n, d, s->qkv_width);
	rms_norm_back(w->dx, g->attn_norm, w->dh, a->x_in, a->inv1, l->attn_norm, n, d);
}

/* Logits become their gradient, scaled; the last token of a story has no target. Returns the summed loss. */
static double cross_entropy(struct pass *w, float scale)
{
	const int vocab = w->shape->vocab;
	float *p = w->logits;
	double loss = 0;

	for (int i = 0; i < w->stories; i++)
		for (int pos = 0; pos < w->len[i]; pos++, p += vocab) {
			float max = p[0], sum = 0;

			if (pos + 1 == w->len[i]) {
				memset(p, 0, (size_t)vocab * sizeof(*p));
				continue;
			}
			for (int j = 1; j < vocab; j++)
				max = p[j] > max ? p[j] : max;
			loss -= p[w->story[i][pos + 1]] - max;
			for (int j = 0; j < vocab; j++) {
				p[j] = expf(p[j] - max);
				sum += p[j];
			}
			loss += logf(sum);
			for (int j = 0; j < vocab; j++)
				p[j] *= scale / sum;
			p[w->story[i][pos + 1]] -= scale;
		}
	return loss;
}

double pass_forward(struct pass *w, const struct net *net, float scale)
{
	const int d = w->shape->width;
	float *x = w->x;

	w->n = 0;
	for (int i = 0; i < w->stories; i++) {
		w->n += w->len[i];
		for (int pos = 0; pos < w->len[i]; pos++, x += d)
			memcpy(x, net->embd + w->story[i][pos] * d, (size_t)d * sizeof(float));
	}
	for (int i = 0; i < w->shape->layers; i++)
		layer_forward(w, &net->layer[i], &w->saved[i]);
	rms_norm(w->last, w->inv, w->x, net->output_norm, w->n, d);
	product(w->logits, w->last, net->embd, w->n, d, w->shape->vocab);
	return cross_entropy(w, scale);
}

void pass_backward(struct pass *w, const struct net *net, struct net *grad)
{
	const int d = w->shape->width;
	const float *dx = w->dx;

	product_back(w->dh, 0, grad->embd, w->logits, w->last, net->embd, w->n, d, w->shape->vocab);
	memset(w->dx, 0, (size_t)w->n * (size_t)d * sizeof(float));
	rms_norm_back(w->dx, grad->output_norm, w->dh, w->x, w->inv, net->output_norm, w->n, d);
	for (int i = w->shape->layers - 1; i >= 0; i--)
		layer_backward(w, &net->layer[i], &grad->layer[i], &w->saved[i]);
	for (int i = 0; i < w->stories; i++)
		for (int pos = 0; pos < w->len[i]; pos++, dx += d)
			net_add(grad->embd + w->story[i][pos] * d, dx, (size_t)d);
}
