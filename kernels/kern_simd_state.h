/* kern_simd_state.h - the gated delta rule in vectors; see struct kern_delta.
 *
 * Included once by each kern_simd_<isa>.c.  A row of the state is gone over twice: once for its product with k, once
 * to change it and for its product with q.
 */
#ifndef KERNELS_KERN_SIMD_STATE_H
#define KERNELS_KERN_SIMD_STATE_H

#include "kernels/kern_internal.h"
#include "kernels/kern_simd.h"

#ifdef KERN_SIMD

KERN_INLINE float state_dot(const float *s, const float *k, uint32_t n)
{
	kern_vf acc = kern_vset1(0.0f);
	uint32_t i;

	for (i = 0; i + KERN_LANES <= n; i += KERN_LANES)
		acc = kern_vfma(kern_vload(s + i), kern_vload(k + i), acc);
	if (i < n)
		acc = kern_vfma(kern_vload_n(s + i, n - i), kern_vload_n(k + i, n - i), acc);
	return kern_vsum(acc);
}

/* s = keep * s + delta * k; returns s . q */
KERN_INLINE float state_step(float *s, const float *k, const float *q, uint32_t n, float keep, float delta)
{
	kern_vf acc = kern_vset1(0.0f), kv = kern_vset1(keep), dv = kern_vset1(delta), v;
	uint32_t i;

	for (i = 0; i + KERN_LANES <= n; i += KERN_LANES) {
		v = kern_vfma(dv, kern_vload(k + i), kern_vmul(kern_vload(s + i), kv));
		kern_vstore(s + i, v);
		acc = kern_vfma(v, kern_vload(q + i), acc);
	}
	if (i < n) {
		v = kern_vfma(dv, kern_vload_n(k + i, n - i), kern_vmul(kern_vload_n(s + i, n - i), kv));
		kern_vstore_n(s + i, v, n - i);
		acc = kern_vfma(v, kern_vload_n(q + i, n - i), acc);
	}
	return kern_vsum(acc);
}

void KERN_FN(kern_delta)(const struct kern_delta *p, uint32_t head0, uint32_t head1)
{
	uint32_t h, t, r, d = p->dim;

	for (h = head0; h < head1; h++) {
		uint32_t kh = p->tiled ? h % p->n_k : h / (p->n_v / p->n_k);

		for (t = 0; t < p->n_tok; t++) {
			const float *q = p->q + ((size_t)t * p->n_k + kh) * d, *k = p->k + ((size_t)t * p->n_k + kh) * d;
			size_t at = (size_t)t * p->n_v + h;
			float keep = kern_expf(p->g[at]);

			for (r = 0; r < d; r++) {
				float *s = p->state + ((size_t)h * d + r) * d;
				float delta = p->beta[at] * (p->v[at * d + r] - keep * state_dot(s, k, d));

				p->out[at * d + r] = p->scale * state_step(s, k, q, d, keep, delta);
			}
		}
	}
}

#endif
#endif
