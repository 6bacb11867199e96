/* tokenizer_bpe.c - BPE: within each word the neighbours whose merge ranks first merge.
 *
 * Token texts spell a byte as one character: printable Latin-1 as itself, the other 68 bytes, in
 * order, as U+0100 and on (the alphabet of GPT-2's encoder.py).  Symbols are numbers of texts, so a
 * merge is one look-up of two numbers; texts that only the merges name have numbers past the tokens.
 *
 * Gemma 4 writes texts as they are, with U+2581 for a space, begins with characters instead of bytes, and
 * spells what is no token in tokens <0x00> to <0xFF>.
 * A byte that no token spells is left out; Falcon's vocabulary has such bytes.
 * Source: src/llama-vocab.cpp of llama.cpp.  Unlike there, a byte that is not UTF-8 is a symbol of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer_internal.h"
#include "engine/unicode.h"

#define MERGES_KEY "tokenizer.ggml.merges"

uint32_t tokenizer_bpe_char(unsigned char b)
{
	if (b <= 0x20)
		return 0x100u + b;
	if (b >= 0x7F && b <= 0xA0)
		return 0x121u + b - 0x7F;
	return b == 0xAD ? 0x143u : b;
}

int tokenizer_bpe_byte(uint32_t cp)
{
	if (cp >= 0x100 && cp <= 0x120)
		return (int)(cp - 0x100);
	if (cp >= 0x121 && cp <= 0x142)
		return (int)(cp - 0x121 + 0x7F);
	if (cp == 0x143)
		return 0xAD;
	return cp < 0x100 && tokenizer_bpe_char((unsigned char)cp) == cp ? (int)cp : -1;
}

/* The number of a text, given now if it has none. */
static int number(struct tokenizer *t, const char *s, size_t len, uint32_t *id)
{
	int rc = tokenizer_texts_add(&t->texts, s, (uint32_t)len, id);

	return rc == -EEXIST ? 0 : rc;
}

/* Where the texts of results that are no tokens go: room bytes, more than all merges together hold. */
struct merged_room {
	char *at;
	size_t left;
};

/* The number of the text left + right, which is the merge m without its space. */
static int number_result(struct tokenizer *t, struct merged_room *room, struct gguf_str m, size_t space,
			 uint32_t *id)
{
	size_t len = m.len - 1;
	char buf[2 * TOKENIZER_MAX_TOKEN_BYTES];
	int rc;

	memcpy(buf, m.s, space);
	memcpy(buf + space, m.s + space + 1, len - space);
	*id = tokenizer_texts_find(&t->texts, buf, len);
	if (*id != TOKENIZER_NONE)
		return 0;
	if (room->left < len)
		return -EINVAL;
	memcpy(room->at, buf, len);
	rc = number(t, room->at, len, id);
	room->at += len;
	room->left -= len;
	return rc;
}

/* One merge, "left right".  A result that is longer than any token may be is of no use: left out. */
static int load_merge(struct tokenizer *t, struct merged_room *room, struct gguf_str m, uint32_t rank,
		      char *err, size_t errlen)
{
	struct tokenizer_pair pair = { .rank = rank };
	const char *sp = m.len < 3 ? NULL : memchr(m.s + 1, ' ', m.len - 2);
	size_t space;
	int rc;

	if (sp == NULL)
		return tokenizer_fault(err, errlen, -EINVAL,
				       MERGES_KEY "[%u] is not two texts with a space between", rank);
	space = (size_t)(sp - m.s);
	if (m.len - 1 > TOKENIZER_MAX_TOKEN_BYTES)
		return 0;
	rc = number(t, m.s, space, &pair.left);
	if (rc == 0)
		rc = number(t, sp + 1, m.len - space - 1, &pair.right);
	if (rc == 0)
		rc = number_result(t, room, m, space, &pair.id);
	if (rc == 0)
		rc = tokenizer_pairs_add(&t->merges, &pair);
	if (rc == -EINVAL)
		return tokenizer_fault(err, errlen, rc, MERGES_KEY "[%u] collides with too many others", rank);
	return rc;
}

static int load_merges(struct tokenizer *t, const struct gguf_arr *a, char *err, size_t errlen)
{
	struct merged_room room;
	struct gguf_str m;
	uint64_t cursor = 0, i;
	int rc = 0;

	room.left = a->nbytes;
	room.at = t->merged = malloc(room.left + 1);
	if (t->merged == NULL)
		return -ENOMEM;
	rc = tokenizer_pairs_init(&t->merges, (uint32_t)a->n);
	for (i = 0; rc == 0 && i < a->n; i++) {
		rc = gguf_arr_str(a, &cursor, &m);
		if (rc == 0)
			rc = load_merge(t, &room, m, (uint32_t)i, err, errlen);
	}
	return rc;
}

int tokenizer_bpe_load(struct tokenizer *t, const struct gguf *g, char *err, size_t errlen)
{
	struct gguf_arr a;
	char text[8];
	unsigned int b;
	size_t n;
	int rc;

	rc = gguf_get_arr(g, MERGES_KEY, &a);
	if (rc == -ENOENT && t->pre->no_merges)
		a = (struct gguf_arr){ .elem_type = GGUF_STR };
	else if (rc != 0 || a.elem_type != GGUF_STR || a.n > UINT32_MAX / 8)
		return tokenizer_fault(err, errlen, -EINVAL, MERGES_KEY " is %s",
				       rc == -ENOENT ? "missing" : "not an array of strings");
	rc = load_merges(t, &a, err, errlen);
	for (b = 0; b < 256; b++) {
		if (t->escaped)
			n = (size_t)snprintf(text, sizeof(text), "<0x%02X>", b);
		else
			n = unicode_encode(tokenizer_bpe_char((unsigned char)b), text);
		t->byte_id[b] = tokenizer_texts_find(&t->texts, text, n);
	}
	return rc;
}

static bool bpe_pair(void *ctx, const struct tokenizer_sym *l, const struct tokenizer_sym *r,
		     uint32_t *order, uint32_t *id)
{
	const struct tokenizer *t = ctx;
	const struct tokenizer_pair *p;

	if (l->id == TOKENIZER_NONE || r->id == TOKENIZER_NONE)
		return false;
	p = tokenizer_pairs_find(&t->merges, l->id, r->id);
	if (p == NULL)
		return false;
	*order = p->rank;
	*id = p->id;
	return true;
}

/* The token whose text spells the word s in GPT-2's alphabet, or TOKENIZER_NONE. */
static uint32_t spelled_word(const struct tokenizer *t, const char *s, size_t len)
{
	char text[TOKENIZER_MAX_TOKEN_BYTES + 4];
	size_t i, n = 0;
	uint32_t id;

	for (i = 0; i < len; i++) {
		if (n >= TOKENIZER_MAX_TOKEN_BYTES)
			return TOKENIZER_NONE;
		n += unicode_encode(tokenizer_bpe_char((unsigned char)s[i]), text + n);
	}
	id = tokenizer_texts_find(&t->texts, text, n);
	return id < t->n_tokens ? id : TOKENIZER_NONE;
}

/* The token that is the word s where the pre-tokenizer asks for that before merging, or TOKENIZER_NONE. */
static uint32_t whole_word(const struct tokenizer *t, const char *s, size_t len)
{
	uint32_t id = TOKENIZER_NONE;

	if (t->pre->whole_lines && s[0] == '\n')        /* no other word begins with one */
		id = tokenizer_texts_find(&t->texts, s, len);
	else if (t->pre->ignore_merges)
		id = spelled_word(t, s, len);
	return id < t->n_tokens ? id : TOKENIZER_NONE;
}

/* The symbols to begin with. */
static int add_symbols(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t len)
{
	size_t at, n = 1;
	uint32_t cp, id;
	int rc = 0;

	tokenizer_merge_reset(&w->merge);
	for (at = 0; rc == 0 && at < len; at += n) {
		if (t->escaped) {
			n = unicode_decode(s + at, len - at, &cp);
			id = tokenizer_texts_find(&t->texts, s + at, n);
		} else {
			id = t->byte_id[(unsigned char)s[at]];
		}
		rc = tokenizer_merge_add(&w->merge, (uint32_t)at, (uint32_t)n, id);
	}
	return rc;
}

/* The tokens of one symbol: itself, or those of its bytes that have one. */
static void put_symbol(const struct tokenizer *t, struct tokenizer_work *w, const char *s,
		      const struct tokenizer_sym *sym)
{
	uint32_t i, id;

	if (sym->id < t->n_tokens) {
		tokenizer_work_put(w, sym->id);
		return;
	}
	for (i = 0; i < sym->len; i++) {
		id = t->byte_id[(unsigned char)s[sym->off + i]];
		if (id < t->n_tokens)
			tokenizer_work_put(w, id);
	}
}

static int encode_word(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t len)
{
	const struct tokenizer_sym *sym;
	uint32_t i, id;
	int rc;

	id = whole_word(t, s, len);
	if (id != TOKENIZER_NONE) {
		tokenizer_work_put(w, id);
		return 0;
	}
	rc = add_symbols(t, w, s, len);
	if (rc == 0)
		rc = tokenizer_merge_run(&w->merge, bpe_pair, (void *)(uintptr_t)t);
	for (i = 0; rc == 0 && i != TOKENIZER_MERGE_END; i = sym->next) {
		sym = &w->merge.sym[i];
		put_symbol(t, w, s, sym);
	}
	return rc;
}

int tokenizer_bpe_encode(const struct tokenizer *t, struct tokenizer_work *w, const char *s, size_t len)
{
	struct tokenizer_pre_ends ends = { { 0 } };
	size_t n;
	int rc;

	if (t->escaped) {
		rc = tokenizer_escape(w, s, len, false, &len);
		if (rc != 0)
			return rc;
		s = w->buf;
	}
	for (; len > 0; s += n, len -= n) {
		n = tokenizer_pre_next(t->pre, &ends, s, len);
		rc = encode_word(t, w, s, n);
		if (rc != 0)
			return rc;
	}
	return 0;
}
