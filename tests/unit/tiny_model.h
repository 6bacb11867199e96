/* tiny_model.h - small llama models of seeded random weights, as GGUF files in memory or on disk.
 *
 * The vocabulary is of SentencePiece's kind: <unk>, <s>, </s>, the 256 bytes, and TINY_MODEL_TEXT
 * tokens of letters, so that llama.cpp loads the file as well.
 */
#ifndef TESTS_UNIT_TINY_MODEL_H
#define TESTS_UNIT_TINY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TINY_MODEL_TEXT 61
#define TINY_MODEL_VOCAB (259 + TINY_MODEL_TEXT)

struct tiny_model {
	uint64_t seed;
	uint32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_ff, n_ctx;
	uint32_t type;                  /* of all matrices: F32, or any type that kern_data_row can make up */
	bool rope_freqs, biases, tied;
	float rope_factor;              /* linear scaling, 0 for none */
	float gain;                     /* rows of block types are about gain / sqrt(columns) large; 0: as they come */
};

/* Two of them have logits of llama.cpp in tests/golden. */
extern const struct tiny_model tiny_model_plain, tiny_model_full;

/* 0 and an owned buffer; -ENOMEM, -EFBIG. */
int tiny_model_build(const struct tiny_model *t, unsigned char **out, size_t *len)
	__attribute__((warn_unused_result));

/* Bytes into a new file under $TMPDIR or /tmp; path is filled in, the caller unlinks it. */
#define TINY_MODEL_PATH 256
int tiny_model_write(const unsigned char *bytes, size_t len, char path[TINY_MODEL_PATH])
	__attribute__((warn_unused_result));
/* model_open of a file of these bytes, which is gone again on return; its line is in err. */
struct model;
int tiny_model_open(const unsigned char *bytes, size_t len, struct model **m, char *err, size_t errlen)
	__attribute__((warn_unused_result));
/* tiny_model_build and tiny_model_write at once. */
int tiny_model_file(const struct tiny_model *t, char path[TINY_MODEL_PATH]) __attribute__((warn_unused_result));

#endif
