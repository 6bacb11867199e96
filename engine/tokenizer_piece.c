/* tokenizer_piece.c - token ids back to bytes. */
#include <errno.h>
#include <string.h>

#include "engine/tokenizer_internal.h"
#include "engine/unicode.h"

/* A buffer that counts what does not fit, and leaves out the first `skip` bytes put into it. */
struct sink {
	char *buf;
	size_t cap, n, skip;
};

static void put(struct sink *k, char c)
{
	if (k->skip > 0) {
		k->skip--;
		return;
	}
	if (k->n < k->cap)
		k->buf[k->n] = c;
	k->n++;
}

static void put_text(struct sink *k, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		put(k, s[i]);
}

/* SentencePiece writes a space as U+2581. */
static void put_unescaped(struct sink *k, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (len - i >= 3 && memcmp(s + i, "\xE2\x96\x81", 3) == 0) {
			put(k, ' ');
			i += 2;
		} else {
			put(k, s[i]);
		}
	}
}

/* Each character of a BPE text is a byte; one outside the alphabet stands for itself. */
static void put_mapped(struct sink *k, const char *s, size_t len)
{
	uint32_t cp;
	size_t n;
	int b;

	for (; len > 0; s += n, len -= n) {
		n = unicode_decode(s, len, &cp);
		b = tokenizer_bpe_byte(cp);
		if (b >= 0)
			put(k, (char)b);
		else
			put_text(k, s, n);
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<0x0A>" is the byte 10; a byte token of another form stands for its text. */
static void put_byte(struct sink *k, const char *s, size_t len)
{
	int hi, lo;

	if (len == 6 && memcmp(s, "<0x", 3) == 0 && s[5] == '>') {
		hi = hex_digit(s[3]);
		lo = hex_digit(s[4]);
		if (hi >= 0 && lo >= 0) {
			put(k, (char)(hi << 4 | lo));
			return;
		}
	}
	put_text(k, s, len);
}

static void put_piece(const struct tokenizer *t, struct sink *k, uint32_t id, bool special)
{
	const struct tokenizer_text *x = &t->texts.v[id];

	switch ((enum tokenizer_attr)t->attr[id]) {
	case TOKENIZER_NORMAL:
		if (t->escaped)
			put_unescaped(k, x->s, x->len);
		else
			put_mapped(k, x->s, x->len);
		break;
	case TOKENIZER_UNKNOWN:
	case TOKENIZER_CONTROL:
		if (special || (t->flags[id] & TOKENIZER_FLAG_SHOWN))
			put_text(k, x->s, x->len);
		break;
	case TOKENIZER_USER:
		put_text(k, x->s, x->len);
		break;
	case TOKENIZER_BYTE:
		put_byte(k, x->s, x->len);
		break;
	case TOKENIZER_UNUSED:
		break;
	}
}

size_t tokenizer_piece(const struct tokenizer *t, uint32_t id, bool special, char *buf, size_t cap)
{
	struct sink k = { .buf = buf, .cap = cap };

	if (id < t->n_tokens)
		put_piece(t, &k, id, special);
	return k.n;
}

/* The index of the id whose leading space encoding put there, or n. */
static size_t prefixed(const struct tokenizer *t, const uint32_t *ids, size_t n)
{
	size_t i = n > 0 && ids[0] == t->special.bos;
	char c = 0;

	if (!t->add_space_prefix || t->kind != TOKENIZER_SPM || i >= n || ids[i] >= t->n_tokens)
		return n;
	if (t->attr[ids[i]] != TOKENIZER_NORMAL)
		return n;
	return tokenizer_piece(t, ids[i], false, &c, 1) > 0 && c == ' ' ? i : n;
}

int64_t tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, bool special,
			 char *buf, size_t cap)
{
	struct sink k = { .buf = buf, .cap = cap };
	size_t i, strip = prefixed(t, ids, n);

	for (i = 0; i < n; i++) {
		if (ids[i] >= t->n_tokens)
			return -EINVAL;
		k.skip = i == strip;
		put_piece(t, &k, ids[i], special);
	}
	return (int64_t)k.n;
}

size_t tokenizer_utf8_whole(const char *buf, size_t len)
{
	size_t tail;

	for (tail = 1; tail <= 3 && tail <= len; tail++)
		if (unicode_missing(buf + len - tail, tail) != 0)
			return len - tail;
	return len;
}
