/* tokenizer_vocab.h - small vocabularies built in memory, for the tests and the fuzzer. */
#ifndef TESTS_UNIT_TOKENIZER_VOCAB_H
#define TESTS_UNIT_TOKENIZER_VOCAB_H

#include <stddef.h>
#include <stdint.h>

struct gguf;
struct gguf_build;
struct tokenizer;

struct tokenizer_vocab {
	unsigned char *file;
	struct gguf *g;
	struct tokenizer *t;
};

/* Ids of the SPM vocabulary: <unk> <s> </s>, bytes 3..258, then these. */
enum {
	SPM_BYTE = 3, SPM_SPACE = 259, SPM_A, SPM_B, SPM_C, SPM_T, SPM_H, SPM_E, SPM_AB, SPM_BC, SPM_ABC,
	SPM_HE, SPM_SPACE_T, SPM_SPACE_THE, SPM_SPACE2, SPM_SPACE4, SPM_AA, SPM_AAAA, SPM_E_ACUTE,
	SPM_USER, SPM_USER_LONG, SPM_KEEP, SPM_UNUSED, SPM_COUNT
};

/* Ids of the BPE vocabulary: bytes 0..255 in the order of their values, then these. */
enum {
	BPE_HE = 256, BPE_SPACE_T, BPE_SPACE_THE, BPE_SPACE2, BPE_SPACE4, BPE_12, BPE_123, BPE_AA, BPE_AAAA,
	BPE_SPACE_HELLO, BPE_KEEP, BPE_EOT, BPE_COUNT
};

/* Write the keys of the vocabulary.  The first byte token of the BPE one to leave out, or 256. */
void tokenizer_vocab_put_spm(struct gguf_build *b);
void tokenizer_vocab_put_bpe(struct gguf_build *b, const char *pre, unsigned int without);

/* Finish b, parse and load.  Takes b.  0 and everything in *v, or what failed, its line in err. */
int tokenizer_vocab_load(struct tokenizer_vocab *v, struct gguf_build *b, char *err, size_t errlen);

/* Both of the above; pre NULL is the SPM vocabulary. */
int tokenizer_vocab_open(struct tokenizer_vocab *v, const char *pre, char *err, size_t errlen);

/* The tokens of the SPM vocabulary with merges, as Gemma 4 has them: model "gemma4", or "gpt2" with that pre. */
int tokenizer_vocab_open_gemma4(struct tokenizer_vocab *v, const char *pre, char *err, size_t errlen);

/* Parse and load a file that lies in memory.  Takes file. */
int tokenizer_vocab_from(struct tokenizer_vocab *v, unsigned char *file, size_t len, char *err,
			 size_t errlen);
void tokenizer_vocab_close(struct tokenizer_vocab *v);

#endif
