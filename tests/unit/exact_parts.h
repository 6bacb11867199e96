/* exact_parts.h - what the families of exact_arch.h are made of.  Only for the files exact_*.c. */
#ifndef TESTS_UNIT_EXACT_PARTS_H
#define TESTS_UNIT_EXACT_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;
struct weights;

#define EXACT_WIDE 512          /* values of one position in any buffer */
#define EXACT_LAYERS 64
#define EXACT_POSITIONS 256
#define EXACT_GLOBAL UINT32_MAX /* for a layer: the tensor belongs to none */

/* One model and the positions that go through it.  A failure sticks in rc; what is computed then is
 * without meaning. */
struct exact {
	struct weights *w;
	const struct gguf *meta;
	char arch[16];
	bool rounded;                   /* GELU in F16 */
	int rc;
	uint32_t n_layer, n_embd, n_head;
	size_t n;
	double eps;
	double (*x)[EXACT_WIDE], (*h)[EXACT_WIDE], (*q)[EXACT_WIDE], (*att)[EXACT_WIDE];        /* [n] */
	double (*k[EXACT_LAYERS])[EXACT_WIDE], (*v[EXACT_LAYERS])[EXACT_WIDE];  /* [n] of each layer */
	double (*extra)[EXACT_WIDE];                                            /* [n]: gemma4's inputs of the layers */
};

/* F32 data of blk.LAYER.NAME, or NULL; ne, where not NULL, gets its shape. */
const float *exact_tensor(const struct exact *e, uint32_t layer, const char *name, uint64_t ne[3]);
/* The same of something that must be there: never NULL, and a failure when it is not. */
const float *exact_needed(struct exact *e, uint32_t layer, const char *name, uint64_t ne[3]);
/* ARCH.KEY as a number; as a count that is one number or, for layer i, an element of an array; as a flag
 * for layer i out of an array of booleans. */
double exact_number(const struct exact *e, const char *key, double otherwise);
uint32_t exact_count(const struct exact *e, const char *key, uint32_t i, uint32_t otherwise);
bool exact_flag(const struct exact *e, const char *key, uint32_t i);

/* y = NAME.weight x + NAME.bias if there is one, of matrix number `of` in a stack; the number of rows. */
size_t exact_linear_of(struct exact *e, uint32_t layer, const char *name, uint64_t of, const double *x, double *y);
size_t exact_linear(struct exact *e, uint32_t layer, const char *name, const double *x, double *y);
/* RMS norm of n values, w NULL for no weights; y may be x. */
void exact_rms(const struct exact *e, const double *x, const float *w, double *y, size_t n);
/* The norm NAME over n_embd values, LayerNorm in gptneox; y may be x. */
void exact_norm(struct exact *e, uint32_t layer, const char *name, const double *x, double *y);
void exact_add(double *x, const double *y, size_t n);
double exact_gelu(const struct exact *e, double x);
void exact_softmax(double *p, size_t n);
/* down(gelu(gate(h)) * up(h)) of the tensors ffn_*. */
void exact_mlp(struct exact *e, uint32_t layer, const double *h, double *y);

/* NEOX rope: of the first n_rot values, angles divided by factor and, where not NULL, by divisors [n_rot / 2]. */
struct exact_turn { uint32_t n_rot; double base, factor; const float *divisors; };
/* The norm of that name, if there is one, and rope, of each of n heads. */
void exact_norm_and_turn(struct exact *e, uint32_t layer, const char *name, const struct exact_turn *r, double *x,
			 uint32_t n, uint32_t head, size_t pos);

/* att of all positions out of q and these keys and values; window 0 and cap 0 for none. */
struct exact_shape { uint32_t n_kv, head, window; double scale, cap; };
void exact_attend(struct exact *e, const struct exact_shape *s, double (*k)[EXACT_WIDE], double (*v)[EXACT_WIDE]);

/* exact_gemma4.c */
void exact_gemma4_inputs(struct exact *e, const uint32_t *ids, uint32_t run);
void exact_gemma4_layer(struct exact *e, uint32_t i);

#endif
