/* sampler.h - the next token out of logits.
 *
 * Steps in llama.cpp's order: biases, penalties, top-k, top-p, min-p, temperature, then a draw; with a temperature
 * of 0 or less the largest logit that biases and penalties leave is taken (of equal ones the lowest id).
 *   bias    is added to the logit of its token; -INFINITY bans it
 *   penalties of a token that is among the last repeat_last_n accepted, count times: a positive logit is divided by
 *           repeat_penalty, another multiplied, then count * frequency_penalty + presence_penalty is taken off
 *   top-k   keep the k largest (0 or less: all)
 *   top-p   of those, in falling order, keep the fewest whose probabilities reach p (1 or more: all)
 *   min-p   keep those whose probability is at least p times the largest one's (0 or less: all)
 * The first token always stays.  The draw takes 53 bits of xoshiro256** (Blackman and Vigna,
 * prng.di.unimi.it, public domain), seeded from 64 bits by splitmix64: the same seed, options and
 * logits give the same tokens, though not those that llama.cpp would draw.
 * Threads: one caller at a time.
 */
#ifndef ENGINE_SAMPLER_H
#define ENGINE_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sampler;

struct sampler_bias { uint32_t id; float bias; };

struct sampler_params {
	float temp;
	int32_t top_k;
	float top_p, min_p;
	uint32_t repeat_last_n;         /* 0: no penalties */
	float repeat_penalty, frequency_penalty, presence_penalty;
	const struct sampler_bias *bias;        /* [n_bias], read by sampler_new only; ids < n_vocab */
	size_t n_bias;
	uint64_t seed;
};

/* llama.cpp's defaults: 0.8, 40, 0.95, 0.05; the last 64 tokens, penalties 1, 0, 0; seed 0. */
struct sampler_params sampler_defaults(void);

/* For vocabularies of n_vocab >= 1 tokens.  0 and an owned sampler in *out; -EINVAL, -ENOMEM. */
int sampler_new(struct sampler **out, const struct sampler_params *p, uint32_t n_vocab)
	__attribute__((warn_unused_result));
void sampler_free(struct sampler *s);           /* takes s; NULL is a no-op */

/* Ids for which banned says true are not drawn; fn NULL bans none. */
typedef bool (*sampler_ban_fn)(void *arg, uint32_t id);
void sampler_set_ban(struct sampler *s, sampler_ban_fn fn, void *arg);

/* The token is part of the text now: of the prompt, or drawn.  Ids >= n_vocab count for nothing. */
void sampler_accept(struct sampler *s, uint32_t id);

/* 0 and a token; -EDOM when a logit is NaN or no logit is finite, or all are banned. */
int sampler_next(struct sampler *s, const float *logits, uint32_t *id) __attribute__((warn_unused_result));

#endif
