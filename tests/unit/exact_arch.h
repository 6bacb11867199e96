/* exact_arch.h - logits in double precision, for the families whose GELU llama.cpp rounds to F16.
 *
 * Their goldens in tests/golden hold to about 1e-7 only; this computes gemma2, gemma3, gemma4 and gptneox in
 * the plainest way there is, from the formulas at the head of tiny_arch_gemma.c, tiny_arch_gemma4.c and
 * tiny_arch_gptneox.c: one position after the other, one product after the other, nothing shared with
 * engine/ but the reading of the file.
 */
#ifndef TESTS_UNIT_EXACT_ARCH_H
#define TESTS_UNIT_EXACT_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Logits of n tokens from position 0 on, [n][n_vocab], with the F32 model of that path; rounded: with GELU's argument
 * and result rounded to F16 as llama.cpp does, which shows that the rest agrees with it.  0; -ENOTSUP (another
 * architecture), -EINVAL (a tensor or key that it needs is missing, or too large for it), -ENOMEM, and what
 * weights_open returns. */
int exact_arch_logits(const char *path, const uint32_t *ids, size_t n, bool rounded, double *logits)
	__attribute__((warn_unused_result));

#endif
