/* logit_rows.h - the logits of all positions, one behind the other, for tests that compare them. */
#ifndef TESTS_UNIT_LOGIT_ROWS_H
#define TESTS_UNIT_LOGIT_ROWS_H

#include <stdint.h>
#include <string.h>

struct logit_rows { float *logits; size_t n_vocab; };

/* session_logits_fn of a struct logit_rows */
static inline int logit_rows_keep(void *arg, uint32_t pos, const float *logits)
{
	struct logit_rows *r = arg;

	memcpy(r->logits + pos * r->n_vocab, logits, r->n_vocab * sizeof(float));
	return 0;
}

#endif
