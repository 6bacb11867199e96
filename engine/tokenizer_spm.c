/* tokenizer_spm.c - SentencePiece BPE: of all neighbours that together are a token, the pair whose
 * token scores highest merges first.
 *
 * Spaces are written as U+2581 first.  The symbols to begin with are characters; one that is no token
 * in the end is spelled by byte tokens, or else by the unknown token.
 * Source of the order and of the fallback: src/llama-vocab.cpp of llama.cpp.  Unlike there, a byte
 * that is not UTF-8 is a symbol of its own, so that such text survives encoding and decoding.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/tokenizer_internal.h"
#include "engine/unicode.h"

static const char space_mark[3] = { '\xE2', '\x96', '\x81' };  /* U+2581 */

uint32_t tokenizer_spm_byte(const struct tokenizer *t, unsigned char b)
{
	char text[8];
	uint32_t id;

	snprintf(text, sizeof(text), "<0x%02X>", b);
	id = tokenizer_texts_find(&t->texts, text, 6);
	if (id == TOKENIZER_NONE) {
		text[0] = (char)b;
		id = tokenizer_texts_find(&t->texts, text, 1);
	}
	return id;
}

struct spm_text {
	const struct tokenizer *t;
	const char *s;                  /* escaped */
};

static bool spm_pair(void *ctx, const struct tokenizer_sym *l, const struct tokenizer_sym *r,
		     uint32_t *order, uint32_t *id)
{
	const struct spm_text *x = ctx;

	*id = tokenizer_texts_find(&x->t->texts, x->s + l->off, (size_t)l->len + r->len);
	if (*id == TOKENIZER_NONE)
		return false;
	*order = x->t->order[*id];
	return true;
}

int tokenizer_escape(struct tokenizer_work *w, const char *s, size_t len, bool prefix, size_t *n)
{
	size_t i, at = 0, spaces = prefix;
	int rc;

	for (i = 0; i < len; i++)
		spaces += s[i] == ' ';
	rc = tokenizer_work_room(w, len + sizeof(space_mark) * spaces);
	if (rc != 0)
		return rc;
	if (prefix) {
		memcpy(w->buf, space_mark, sizeof(space_mark));
		at = sizeof(space_mark);
	}
	for (i = 0; i < len; i++) {
		if (s[i] == ' ') {
			memcpy(w->buf + at, space_mark, sizeof(space_mark));
			at += sizeof(space_mark);
		} else {
			w->buf[at++] = s[i];
		}
	}
	*n = at;
	return 0;
}

/* A symbol that is no token: its bytes. */
static int put_bytes(const struct tokenizer *t, struct tokenizer_work *w, const char *s, uint32_t len)
{
	uint32_t ids[4], i;

	for (i = 0; i < len; i++) {     /* a character: 4 bytes at most */
		ids[i] = tokenizer_spm_byte(t, (unsigned char)s[i]);
		if (ids[i] == TOKENIZER_NONE)
			break;
	}
	if (i < len) {
		if (t->special.unk == TOKENIZER_NONE)
			return -EINVAL;
		tokenizer_work_put(w, t->special.unk);
		return 0;
	}
	for (i = 0; i < len; i++)
		tokenizer_work_put(w, ids[i]);
	return 0;
}

int tokenizer_spm_encode(const struct tokenizer *t, struct tokenizer_work *w, const char *s,
			 size_t len, bool prefix)
{
	struct spm_text x = { .t = t };
	const struct tokenizer_sym *sym;
	uint32_t cp, i, id;
	size_t n, at, step;
	int rc;

	rc = tokenizer_escape(w, s, len, prefix, &n);
	if (rc != 0)
		return rc;
	x.s = w->buf;
	tokenizer_merge_reset(&w->merge);
	for (at = 0; at < n; at += step) {
		step = unicode_decode(x.s + at, n - at, &cp);
		id = tokenizer_texts_find(&t->texts, x.s + at, step);
		rc = tokenizer_merge_add(&w->merge, (uint32_t)at, (uint32_t)step, id);
		if (rc != 0)
			return rc;
	}
	rc = tokenizer_merge_run(&w->merge, spm_pair, &x);
	for (i = 0; rc == 0 && i != TOKENIZER_MERGE_END && i < w->merge.nsym; i = sym->next) {
		sym = &w->merge.sym[i];
		if (sym->id != TOKENIZER_NONE)
			tokenizer_work_put(w, sym->id);
		else
			rc = put_bytes(t, w, x.s + sym->off, sym->len);
	}
	return rc;
}
