/* tokenizer.c - see tokenizer.h. */
#include "engine/tokenizer.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/tokenizer_internal.h"

void tokenizer_work_put(struct tokenizer_work *w, uint32_t id)
{
	if ((uint64_t)w->n < w->cap)
		w->ids[w->n] = id;
	w->n++;
}

int tokenizer_work_room(struct tokenizer_work *w, size_t n)
{
	char *p;

	if (n <= w->buf_cap)
		return 0;
	p = malloc(n);
	if (p == NULL)
		return -ENOMEM;
	free(w->buf);
	w->buf = p;
	w->buf_cap = n;
	return 0;
}

static int encode_frags(const struct tokenizer *t, struct tokenizer_work *w, const char *text,
			const struct tokenizer_frags *frags)
{
	const struct tokenizer_frag *f;
	bool after_special = true;      /* the start counts as behind a special token */
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < frags->n; i++) {
		f = &frags->v[i];
		if (f->id != TOKENIZER_NONE)
			tokenizer_work_put(w, f->id);
		else if (t->kind == TOKENIZER_SPM)
			rc = tokenizer_spm_encode(t, w, text + f->off, f->len,
						  t->add_space_prefix && after_special);
		else
			rc = tokenizer_bpe_encode(t, w, text + f->off, f->len);
		after_special = f->id != TOKENIZER_NONE;
	}
	return rc;
}

static int64_t encode(const struct tokenizer *t, const char *text, size_t len, bool add_special,
		      const struct tokenizer_parse *parse, uint32_t *ids, size_t cap)
{
	struct tokenizer_work w = { .ids = ids, .cap = cap };
	struct tokenizer_frags frags = { NULL, 0, 0 };
	int rc;

	if (len > TOKENIZER_MAX_TEXT_BYTES)
		return -EINVAL;
	if (add_special && t->special.add_bos)
		tokenizer_work_put(&w, t->special.bos);
	rc = tokenizer_split(t, text, len, parse, &frags);
	if (rc == 0)
		rc = encode_frags(t, &w, text, &frags);
	if (add_special && t->special.add_eos)
		tokenizer_work_put(&w, t->special.eos);
	free(frags.v);
	tokenizer_merge_free(&w.merge);
	free(w.buf);
	return rc == 0 ? w.n : rc;
}

int64_t tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, bool add_special,
			 bool parse_special, uint32_t *ids, size_t cap)
{
	return encode(t, text, len, add_special, &(struct tokenizer_parse){ .special = parse_special }, ids, cap);
}

int64_t tokenizer_encode_guarded(const struct tokenizer *t, const char *text, size_t len, bool add_special,
				 const struct tokenizer_range *plain, size_t n_plain, uint32_t *ids, size_t cap)
{
	return encode(t, text, len, add_special, &(struct tokenizer_parse){ true, plain, n_plain }, ids, cap);
}

/* The token that a line feed begins with. */
static int load_newline(struct tokenizer *t)
{
	int64_t n;

	t->special.nl = t->special.pad;
	if (t->kind == TOKENIZER_SPM) {
		if (tokenizer_spm_byte(t, '\n') != TOKENIZER_NONE)
			t->special.nl = tokenizer_spm_byte(t, '\n');
		return 0;
	}
	n = tokenizer_encode(t, "\n", 1, false, false, &t->special.nl, 1);
	return n == -ENOMEM ? -ENOMEM : 0;
}

int tokenizer_new(struct tokenizer **out, const struct gguf *g, char *err, size_t errlen)
{
	struct tokenizer *t;
	int rc;

	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return tokenizer_fault(err, errlen, -ENOMEM, "no memory for the tokenizer");
	rc = tokenizer_load(t, g, err, errlen);
	if (rc == 0)
		rc = load_newline(t);
	if (rc == -ENOMEM)
		tokenizer_fault(err, errlen, rc, "no memory for the tokenizer");
	if (rc != 0) {
		tokenizer_free(t);
		return rc;
	}
	*out = t;
	return 0;
}

void tokenizer_free(struct tokenizer *t)
{
	if (t == NULL)
		return;
	tokenizer_texts_free(&t->texts);
	tokenizer_pairs_free(&t->merges);
	free(t->attr);
	free(t->flags);
	free(t->order);
	free(t->merged);
	free(t->special_ids);
	free(t->group);
	free(t);
}

uint32_t tokenizer_n_tokens(const struct tokenizer *t)
{
	return t->n_tokens;
}

struct tokenizer_special tokenizer_special(const struct tokenizer *t)
{
	return t->special;
}

enum tokenizer_attr tokenizer_attr(const struct tokenizer *t, uint32_t id)
{
	return id < t->n_tokens ? (enum tokenizer_attr)t->attr[id] : TOKENIZER_UNUSED;
}

bool tokenizer_is_eog(const struct tokenizer *t, uint32_t id)
{
	return id < t->n_tokens && (t->flags[id] & TOKENIZER_FLAG_EOG) != 0;
}
