/* jinja_lex.c - a template's text as tokens.
 *
 * The rules are those of Jinja 3.1 with trim_blocks and lstrip_blocks: a newline behind a block or comment
 * tag is dropped, and so is blank space in front of one that begins its line; '-' at a tag's edge drops all
 * space on that side, '+' keeps it.  Variable tags drop nothing by themselves.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/jinja_internal.h"
#include "engine/unicode.h"

#define STACK_MAX (2 * JINJA_NEST_MAX)  /* open brackets in one tag */

struct lexer {
	struct jinja_heap *heap;
	struct jinja_error *err;
	const char *s;
	size_t len, at;
	uint32_t line;
	bool fresh;                     /* the last tag ended a line, or nothing was read yet */
	struct jinja_token *v;
	size_t n, cap;
	unsigned depth;
	uint8_t open[STACK_MAX];        /* [depth] which closing bracket is due: enum jinja_op */
};

static const struct { const char text[3]; uint8_t op; } ops[] = {      /* longer ones first */
	{ "//", JINJA_OP_FLOORDIV }, { "**", JINJA_OP_POW }, { "==", JINJA_OP_EQ }, { "!=", JINJA_OP_NE },
	{ ">=", JINJA_OP_GE }, { "<=", JINJA_OP_LE }, { "+", JINJA_OP_ADD }, { "-", JINJA_OP_SUB },
	{ "/", JINJA_OP_DIV }, { "*", JINJA_OP_MUL }, { "%", JINJA_OP_MOD }, { "~", JINJA_OP_CONCAT },
	{ "[", JINJA_OP_LBRACKET }, { "]", JINJA_OP_RBRACKET }, { "(", JINJA_OP_LPAREN },
	{ ")", JINJA_OP_RPAREN }, { "{", JINJA_OP_LBRACE }, { "}", JINJA_OP_RBRACE }, { ">", JINJA_OP_GT },
	{ "<", JINJA_OP_LT }, { "=", JINJA_OP_ASSIGN }, { ".", JINJA_OP_DOT }, { ":", JINJA_OP_COLON },
	{ "|", JINJA_OP_PIPE }, { ",", JINJA_OP_COMMA }, { ";", JINJA_OP_SEMICOLON }
};

const char *jinja_op_text(enum jinja_op op)
{
	size_t i;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (ops[i].op == op)
			return ops[i].text;
	return op == JINJA_OP_IN ? "in" : "not in";
}

static int push(struct lexer *l, struct jinja_token t)
{
	size_t cap = l->cap == 0 ? 64 : l->cap * 2;
	struct jinja_token *v;

	if (l->n == l->cap) {
		v = jinja_heap_alloc(l->heap, cap * sizeof(*v));
		if (v == NULL)
			return jinja_error_memory(l->err);
		if (l->n != 0)
			memcpy(v, l->v, l->n * sizeof(*v));
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = t;
	return 0;
}

static int push_type(struct lexer *l, enum jinja_token_type type)
{
	return push(l, (struct jinja_token){ .type = (uint8_t)type, .line = l->line });
}

static bool starts(const struct lexer *l, size_t at, const char *with)
{
	size_t n = strlen(with);

	return l->len - at >= n && memcmp(l->s + at, with, n) == 0;
}

/* Go to at, counting lines. */
static void move(struct lexer *l, size_t at)
{
	for (; l->at < at; l->at++)
		l->line += l->s[l->at] == '\n';
}

static size_t skip_space(const struct lexer *l, size_t at)
{
	uint32_t cp;
	size_t n;

	while (at < l->len) {
		n = unicode_decode(l->s + at, l->len - at, &cp);
		if (!unicode_is_space(cp))
			break;
		at += n;
	}
	return at;
}

/* ---- text between tags --------------------------------------------------------------------------- */

/* Where the text [from, to) ends when a tag with this sign in front follows it. */
static size_t text_end(const struct lexer *l, size_t from, size_t to, char sign, bool is_var)
{
	size_t begin = to;

	if (sign == '-')
		return from + jinja_strip((struct jinja_str){ l->s + from, to - from }, NULL, false, true).len;
	if (sign == '+' || is_var)
		return to;
	while (begin > from && l->s[begin - 1] != '\n')
		begin--;
	if (begin == from && !l->fresh)
		return to;
	return skip_space(l, begin) >= to ? begin : to;
}

static int push_text(struct lexer *l, size_t from, size_t to)
{
	struct jinja_token t = { .type = JINJA_T_TEXT, .line = l->line, .u.text = { l->s + from, to - from } };

	return from == to ? 0 : push(l, t);
}

static char sign_at(const struct lexer *l, size_t at)
{
	return at < l->len && (l->s[at] == '-' || l->s[at] == '+') ? l->s[at] : '\0';
}

/* The end of a block or comment tag that is written as close ("%}" or "#}") at l->at, after an optional
 * sign, with the space that it takes along; 0 when there is none. */
static size_t tag_end(const struct lexer *l, size_t at, const char *close)
{
	char sign = sign_at(l, at);
	size_t end = at + (sign != '\0');

	if (!starts(l, end, close))
		return 0;
	end += 2;
	if (sign == '-')
		return skip_space(l, end);
	return sign == '\0' && end < l->len && l->s[end] == '\n' ? end + 1 : end;
}

static void go_past(struct lexer *l, size_t end)
{
	move(l, end);
	l->fresh = end > 0 && l->s[end - 1] == '\n';
}

static int skip_comment(struct lexer *l)
{
	uint32_t line = l->line;
	size_t at, end;

	for (at = l->at + 2 + (sign_at(l, l->at + 2) != '\0'); at < l->len; at++) {
		end = tag_end(l, at, "#}");
		if (end == 0)
			continue;
		go_past(l, end);
		return 0;
	}
	return jinja_error_set(l->err, -EINVAL, line, "a comment without its end '#}'");
}

/* After "{%" and its sign at l->at: where 'word' and space around it end, or 0. */
static size_t after_word(const struct lexer *l, size_t at, const char *word)
{
	at += 2;
	at += sign_at(l, at) != '\0';
	at = skip_space(l, at);
	return starts(l, at, word) ? skip_space(l, at + strlen(word)) : 0;
}

/* At "{% raw": everything up to its endraw is text. */
static int lex_raw(struct lexer *l, size_t begin)
{
	uint32_t line = l->line;
	size_t at, inside, end;
	int rc;

	for (at = begin; at < l->len; at++) {
		if (!starts(l, at, "{%"))
			continue;
		inside = after_word(l, at, "endraw");
		end = inside != 0 ? tag_end(l, inside, "%}") : 0;
		if (end == 0)
			continue;
		move(l, begin);
		l->fresh = begin > 0 && l->s[begin - 1] == '\n';
		rc = push_text(l, begin, text_end(l, begin, at, sign_at(l, at + 2), false));
		go_past(l, end);
		return rc;
	}
	return jinja_error_set(l->err, -EINVAL, line, "raw without endraw");
}

/* Where the text of "{% raw %}" at l->at begins, or 0 when it is another tag.  A newline stays. */
static size_t raw_begin(const struct lexer *l)
{
	size_t at = after_word(l, l->at, "raw");

	if (at == 0)
		return 0;
	if (starts(l, at, "-%}"))
		return skip_space(l, at + 3);
	return starts(l, at, "%}") ? at + 2 : 0;
}

/* ---- inside a tag -------------------------------------------------------------------------------- */

static bool name_begins(uint32_t cp)
{
	return cp == '_' || unicode_cat(cp) == UNICODE_LETTER;
}

static size_t name_end(const struct lexer *l, size_t at)
{
	uint32_t cp;
	size_t n;

	while (at < l->len) {
		n = unicode_decode(l->s + at, l->len - at, &cp);
		if (!name_begins(cp) && unicode_cat(cp) != UNICODE_NUMBER && unicode_cat(cp) != UNICODE_MARK)
			break;
		at += n;
	}
	return at;
}

static bool is_digit(const struct lexer *l, size_t at)
{
	return at < l->len && l->s[at] >= '0' && l->s[at] <= '9';
}

/* Past digits with single '_' between them. */
static size_t digits_end(const struct lexer *l, size_t at)
{
	while (is_digit(l, at) || (at < l->len && l->s[at] == '_' && is_digit(l, at + 1)))
		at++;
	return at;
}

/* The end of the float that begins at the digits [at, end), or 0 when it is an int. */
static size_t float_end(const struct lexer *l, size_t end)
{
	size_t exponent;
	bool is_float = false;

	if (end < l->len && l->s[end] == '.' && is_digit(l, end + 1)) {
		end = digits_end(l, end + 1);
		is_float = true;
	}
	if (end < l->len && (l->s[end] | 0x20) == 'e') {
		exponent = end + 1;
		exponent += sign_at(l, exponent) != '\0';
		if (is_digit(l, exponent))
			return digits_end(l, exponent);
	}
	return is_float ? end : 0;
}

/* [at, end) without '_' as a C string, or NULL. */
static char *copy_number(struct lexer *l, size_t at, size_t end)
{
	char *p = jinja_heap_alloc(l->heap, end - at + 1);
	size_t n = 0;

	for (; p != NULL && at < end; at++)
		if (l->s[at] != '_')
			p[n++] = l->s[at];
	return p;
}

static size_t based_end(const struct lexer *l, size_t at, int *base)
{
	char c = at + 1 < l->len && l->s[at] == '0' ? (char)(l->s[at + 1] | 0x20) : '\0';
	size_t end = at + 2;

	*base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 10;
	if (*base == 10)
		return 0;
	while (end < l->len && (l->s[end] == '_' ||
	       (isxdigit((unsigned char)l->s[end]) && (*base == 16 || l->s[end] - '0' < *base))))
		end++;
	return end > at + 2 ? end : 0;
}

static int lex_number(struct lexer *l)
{
	struct jinja_token t = { .type = JINJA_T_INT, .line = l->line };
	int base;
	size_t at = l->at, end = based_end(l, at, &base), fend = 0;
	char *text;

	if (end == 0) {
		base = 10;
		end = digits_end(l, at);
		fend = float_end(l, end);
		for (; fend == 0 && l->s[at] == '0' && end > at + 1 && l->s[end - 1] != '0'; end--)
			;       /* "07" is two numbers, which is nothing */
	} else {
		at += 2;
	}
	text = copy_number(l, at, fend != 0 ? fend : end);
	if (text == NULL)
		return jinja_error_memory(l->err);
	move(l, fend != 0 ? fend : end);
	if (fend != 0) {
		t.type = JINJA_T_FLOAT;
		t.u.f = strtod(text, NULL);
		return push(l, t);
	}
	errno = 0;
	t.u.i = strtoll(text, NULL, base);
	if (errno != 0)
		return jinja_error_set(l->err, -EINVAL, l->line, "a number past 64 bits");
	return push(l, t);
}

/* The value of n hexadecimal digits at s, or -1. */
static int64_t hex(const char *s, size_t left, size_t n)
{
	int64_t v = 0;
	size_t i;

	if (left < n)
		return -1;
	for (i = 0; i < n; i++) {
		if (!isxdigit((unsigned char)s[i]))
			return -1;
		v = v * 16 + (s[i] <= '9' ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10);
	}
	return v;
}

/* One escape at s (after the backslash) into out; returns the bytes of s used, 0 when there is no such. */
static size_t unescape(const char *s, size_t left, char out[4], size_t *n)
{
	static const char from[] = "n\\'\"trabfv", to[] = "\n\\'\"\t\r\a\b\f\v";
	const char *p = memchr(from, s[0], sizeof(from) - 1);
	size_t digits = s[0] == 'x' ? 2 : s[0] == 'u' ? 4 : s[0] == 'U' ? 8 : 0, i;
	int64_t v = 0;

	*n = 1;
	if (p != NULL) {
		out[0] = to[p - from];
		return 1;
	}
	if (s[0] == '\n') {
		*n = 0;
		return 1;
	}
	if (s[0] >= '0' && s[0] <= '7') {
		for (i = 0; i < 3 && i < left && s[i] >= '0' && s[i] <= '7'; i++)
			v = v * 8 + (s[i] - '0');
		*n = unicode_encode((uint32_t)v, out);
		return i;
	}
	v = digits != 0 ? hex(s + 1, left - 1, digits) : -1;
	if (v < 0 || v > 0x10ffff)
		return 0;
	*n = unicode_encode((uint32_t)v, out);
	return 1 + digits;
}

static int lex_string(struct lexer *l)
{
	struct jinja_token t = { .type = JINJA_T_STRING, .line = l->line };
	char quote = l->s[l->at], *p;
	size_t from = l->at + 1, end = from, n = 0, used, m;

	while (end < l->len && l->s[end] != quote)
		end += l->s[end] == '\\' ? 2 : 1;
	if (end >= l->len)
		return jinja_error_set(l->err, -EINVAL, l->line, "a string without its end %c", quote);
	p = jinja_heap_alloc(l->heap, 2 * (end - from) + 4);
	if (p == NULL)
		return jinja_error_memory(l->err);
	move(l, end + 1);
	while (from < end) {
		used = 0;
		if (l->s[from] == '\\' && end - from > 1)
			used = unescape(l->s + from + 1, end - from - 1, p + n, &m);
		if (used != 0) {
			n += m;
			from += 1 + used;
		} else {
			p[n++] = l->s[from++];
		}
	}
	t.u.text = (struct jinja_str){ p, n };
	return push(l, t);
}

/* Opening brackets are remembered, closing ones must match. */
static int bracket(struct lexer *l, enum jinja_op op)
{
	enum jinja_op due = op == JINJA_OP_LPAREN ? JINJA_OP_RPAREN : op == JINJA_OP_LBRACKET ? JINJA_OP_RBRACKET :
			    op == JINJA_OP_LBRACE ? JINJA_OP_RBRACE : JINJA_OP_NONE;

	if (due != JINJA_OP_NONE) {
		if (l->depth == STACK_MAX)
			return jinja_error_set(l->err, -E2BIG, l->line, "more than %d open brackets", STACK_MAX);
		l->open[l->depth++] = (uint8_t)due;
		return 0;
	}
	if (op != JINJA_OP_RPAREN && op != JINJA_OP_RBRACKET && op != JINJA_OP_RBRACE)
		return 0;
	if (l->depth == 0)
		return jinja_error_set(l->err, -EINVAL, l->line, "'%s' that closes nothing", jinja_op_text(op));
	if (l->open[--l->depth] != op)
		return jinja_error_set(l->err, -EINVAL, l->line, "expected '%s', found '%s'",
				       jinja_op_text(l->open[l->depth]), jinja_op_text(op));
	return 0;
}

static int lex_op(struct lexer *l)
{
	size_t i;
	int rc;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (!starts(l, l->at, ops[i].text))
			continue;
		rc = bracket(l, ops[i].op);
		if (rc != 0)
			return rc;
		move(l, l->at + strlen(ops[i].text));
		return push(l, (struct jinja_token){ .type = JINJA_T_OP, .op = ops[i].op, .line = l->line });
	}
	if ((unsigned char)l->s[l->at] < 0x80 && isprint((unsigned char)l->s[l->at]))
		return jinja_error_set(l->err, -EINVAL, l->line, "'%c' where an expression goes on", l->s[l->at]);
	return jinja_error_set(l->err, -EINVAL, l->line, "a byte 0x%02x where an expression goes on",
			       (unsigned char)l->s[l->at]);
}

static int lex_inside(struct lexer *l)
{
	struct jinja_token t = { .type = JINJA_T_NAME, .line = l->line };
	uint32_t cp;
	size_t end;

	unicode_decode(l->s + l->at, l->len - l->at, &cp);
	if (cp == '"' || cp == '\'')
		return lex_string(l);
	if (cp >= '0' && cp <= '9')
		return lex_number(l);
	if (!name_begins(cp))
		return lex_op(l);
	end = name_end(l, l->at);
	t.u.text = (struct jinja_str){ l->s + l->at, end - l->at };
	move(l, end);
	return push(l, t);
}

/* The end of the tag at l->at, or 0.  "}}" takes space along only after '-'. */
static size_t inside_end(const struct lexer *l, bool is_var)
{
	if (l->depth != 0)
		return 0;
	if (!is_var)
		return tag_end(l, l->at, "%}");
	if (starts(l, l->at, "-}}"))
		return skip_space(l, l->at + 3);
	return starts(l, l->at, "}}") ? l->at + 2 : 0;
}

static int lex_tag(struct lexer *l, bool is_var)
{
	uint32_t line = l->line;
	size_t end;
	int rc;

	rc = push_type(l, is_var ? JINJA_T_VAR_BEGIN : JINJA_T_BLOCK_BEGIN);
	move(l, l->at + 2 + (sign_at(l, l->at + 2) != '\0'));
	l->depth = 0;
	while (rc == 0) {
		move(l, skip_space(l, l->at));
		end = inside_end(l, is_var);
		if (end != 0) {
			rc = push_type(l, is_var ? JINJA_T_VAR_END : JINJA_T_BLOCK_END);
			go_past(l, end);
			return rc;
		}
		if (l->at >= l->len)
			return jinja_error_set(l->err, -EINVAL, line, "a tag without its end '%s'", is_var ? "}}" : "%}");
		rc = lex_inside(l);
	}
	return rc;
}

/* ---- all of it ----------------------------------------------------------------------------------- */

/* Text up to the next tag, and that tag. */
static int lex_next(struct lexer *l)
{
	size_t from = l->at, at = from, raw;
	const char *p;
	char kind;
	int rc;

	do {
		p = memchr(l->s + at, '{', l->len - at);
		at = p != NULL ? (size_t)(p - l->s) + 1 : l->len;
		kind = p != NULL && at < l->len ? l->s[at] : '\0';
	} while (p != NULL && kind != '{' && kind != '%' && kind != '#');
	if (p == NULL) {
		rc = push_text(l, from, l->len);
		move(l, l->len);
		return rc;
	}
	at--;
	rc = push_text(l, from, text_end(l, from, at, sign_at(l, at + 2), kind == '{'));
	if (rc != 0)
		return rc;
	move(l, at);
	if (kind == '#')
		return skip_comment(l);
	raw = kind == '%' ? raw_begin(l) : 0;
	return raw != 0 ? lex_raw(l, raw) : lex_tag(l, kind == '{');
}

/* A copy with every kind of newline as '\n', and without the last one. */
static int normalise(struct jinja_heap *heap, struct jinja_str text, struct jinja_str *out)
{
	char *p = jinja_heap_alloc(heap, text.len + 1);
	size_t i, n = 0;

	if (p == NULL)
		return -ENOMEM;
	for (i = 0; i < text.len; i++) {
		p[n++] = text.s[i] == '\r' ? '\n' : text.s[i];
		i += text.s[i] == '\r' && i + 1 < text.len && text.s[i + 1] == '\n';
	}
	*out = (struct jinja_str){ p, n - (n != 0 && p[n - 1] == '\n') };
	return 0;
}

int jinja_lex(struct jinja_heap *heap, struct jinja_str text, struct jinja_token **out, size_t *n,
	      struct jinja_error *err)
{
	struct lexer l = { .heap = heap, .err = err, .line = 1, .fresh = true };
	struct jinja_str copy;
	int rc;

	if (normalise(heap, text, &copy) != 0)
		return jinja_error_memory(err);
	l.s = copy.s;
	l.len = copy.len;
	rc = 0;
	while (rc == 0 && l.at < l.len)
		rc = lex_next(&l);
	if (rc == 0)
		rc = push_type(&l, JINJA_T_END);
	if (rc != 0)
		return rc;
	*out = l.v;
	*n = l.n;
	return 0;
}
