/* jinja_parse.c - statements, and a template from its text. */
#include "engine/jinja.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/jinja_internal.h"

#define TREE_MAX ((size_t)64 << 20)     /* bytes of tokens and tree */
#define ENDS_MAX 4                      /* words that may end a body */

/* What a body ends at: tags that begin with one of these words. */
struct ends {
	const char *word[ENDS_MAX];
};

static const struct ends at_end_of_text, at_endmacro = { { "endmacro" } }, at_endcall = { { "endcall" } },
	at_endfilter = { { "endfilter" } }, at_endset = { { "endset" } }, at_endwith = { { "endwith" } },
	at_endgeneration = { { "endgeneration" } }, at_endfor = { { "endfor" } },
	at_for = { { "endfor", "else" } }, at_endif = { { "endif" } }, at_if = { { "endif", "elif", "else" } };

static int parse_statement(struct jinja_parser *p, struct jinja_node **out);

static int parse_word(struct jinja_parser *p, const char *word)
{
	char expected[32];

	if (jinja_parse_is_name(p, word)) {
		p->token++;
		return 0;
	}
	snprintf(expected, sizeof(expected), "'%s'", word);
	return jinja_parse_fail(p, expected);
}

static int parse_block_end(struct jinja_parser *p)
{
	if (p->token->type != JINJA_T_BLOCK_END)
		return jinja_parse_fail(p, "'%}'");
	p->token++;
	return 0;
}

/* ---- bodies -------------------------------------------------------------------------------------- */

/* The word of ends that the next tag begins with, or NULL. */
static const char *ended_by(const struct jinja_parser *p, const struct ends *ends)
{
	size_t i;

	for (i = 0; i < ENDS_MAX && ends->word[i] != NULL; i++)
		if (p->token[1].type == JINJA_T_NAME && jinja_str_is(p->token[1].u.text, ends->word[i]))
			return ends->word[i];
	return NULL;
}

static int parse_output(struct jinja_parser *p, struct jinja_node **out)
{
	int rc;

	p->token++;
	rc = jinja_parse_node(p, JINJA_N_OUTPUT, out);
	if (rc == 0)
		rc = jinja_parse_tuple(p, true, &(*out)->a);
	if (rc != 0)
		return rc;
	if (p->token->type != JINJA_T_VAR_END)
		return jinja_parse_fail(p, "'}}'");
	p->token++;
	return 0;
}

static int parse_text(struct jinja_parser *p, struct jinja_node **out)
{
	int rc = jinja_parse_node(p, JINJA_N_TEXT, out);

	if (rc != 0)
		return rc;
	(*out)->v = jinja_string(p->token->u.text.s, p->token->u.text.len);
	p->token++;
	return 0;
}

/* Everything up to a tag that begins with one of ends (the end of the text when there are none), whose
 * word is skipped; *ended tells which it was. */
static int parse_body(struct jinja_parser *p, const struct ends *ends, struct jinja_node **link, const char **ended)
{
	char expected[48];
	int rc = jinja_parse_enter(p);

	while (rc == 0 && p->token->type != JINJA_T_END) {
		if (p->token->type == JINJA_T_TEXT) {
			rc = parse_text(p, link);
		} else if (p->token->type == JINJA_T_VAR_BEGIN) {
			rc = parse_output(p, link);
		} else {
			*ended = ended_by(p, ends);
			p->token++;
			if (*ended != NULL) {
				p->token++;
				p->depth--;
				return 0;
			}
			rc = parse_statement(p, link);
		}
		if (rc == 0)
			link = &(*link)->next;
	}
	p->depth--;
	if (rc != 0 || ends->word[0] == NULL)
		return rc;
	snprintf(expected, sizeof(expected), "'%s'", ends->word[0]);
	return jinja_parse_fail(p, expected);
}

/* "%}", a body, and one of one kind of ends with its "%}". */
static int parse_block(struct jinja_parser *p, const struct ends *ends, struct jinja_node **link)
{
	const char *ended;
	int rc = parse_block_end(p);

	if (rc == 0)
		rc = parse_body(p, ends, link, &ended);
	return rc != 0 ? rc : parse_block_end(p);
}

/* ---- statements ---------------------------------------------------------------------------------- */

static int parse_for(struct jinja_parser *p, struct jinja_node *n)
{
	const char *ended;
	int rc = jinja_parse_target(p, false, &n->a);

	if (rc == 0)
		rc = parse_word(p, "in");
	if (rc == 0)
		rc = jinja_parse_tuple(p, false, &n->b);
	if (rc == 0 && jinja_parse_is_name(p, "if")) {
		p->token++;
		rc = jinja_parse_expr(p, &n->c);
	}
	if (rc == 0 && jinja_parse_is_name(p, "recursive")) {
		n->flag = 1;
		p->token++;
	}
	if (rc == 0)
		rc = parse_block_end(p);
	p->loops++;
	if (rc == 0)
		rc = parse_body(p, &at_for, &n->body, &ended);
	p->loops--;
	if (rc == 0 && strcmp(ended, "else") == 0)
		return parse_block(p, &at_endfor, &n->first);
	return rc != 0 ? rc : parse_block_end(p);
}

static int parse_if(struct jinja_parser *p, struct jinja_node *n)
{
	struct jinja_node **link = &n->first;
	const char *word = "if";
	int rc = 0;

	while (rc == 0 && strcmp(word, "endif") != 0) {
		rc = jinja_parse_node(p, JINJA_N_GROUP, link);
		if (rc == 0 && strcmp(word, "else") == 0)
			return parse_block(p, &at_endif, &(*link)->body);
		if (rc == 0)
			rc = jinja_parse_tuple(p, false, &(*link)->a);
		if (rc == 0)
			rc = parse_block_end(p);
		if (rc == 0)
			rc = parse_body(p, &at_if, &(*link)->body, &word);
		if (rc == 0)
			link = &(*link)->next;
	}
	return rc != 0 ? rc : parse_block_end(p);
}

static int parse_set(struct jinja_parser *p, struct jinja_node *n)
{
	int rc = jinja_parse_target(p, true, &n->a);

	if (rc != 0)
		return rc;
	if (jinja_parse_is_op(p, JINJA_OP_ASSIGN)) {
		p->token++;
		rc = jinja_parse_tuple(p, true, &n->b);
		return rc != 0 ? rc : parse_block_end(p);
	}
	n->kind = JINJA_N_SET_BLOCK;
	rc = jinja_parse_node(p, JINJA_N_BODY_TEXT, &n->b);
	if (rc == 0)
		rc = jinja_parse_filters(p, false, n->b, &n->b);
	return rc != 0 ? rc : parse_block(p, &at_endset, &n->body);
}

/* "(a, b=c)" of a macro or call block. */
static int parse_params(struct jinja_parser *p, struct jinja_node **link)
{
	int rc = jinja_parse_op(p, JINJA_OP_LPAREN);

	while (rc == 0 && !jinja_parse_is_op(p, JINJA_OP_RPAREN)) {
		if (p->token->type != JINJA_T_NAME)
			return jinja_parse_fail(p, "the name of a parameter");
		rc = jinja_parse_name(p, link);
		if (rc == 0 && (*link)->kind != JINJA_N_NAME)
			return jinja_error_set(&p->err, -EINVAL, (*link)->line, "a constant cannot be a parameter");
		if (rc == 0 && jinja_parse_is_op(p, JINJA_OP_ASSIGN)) {
			p->token++;
			rc = jinja_parse_expr(p, &(*link)->a);
		}
		if (rc != 0)
			return rc;
		link = &(*link)->next;
		if (!jinja_parse_is_op(p, JINJA_OP_RPAREN))
			rc = jinja_parse_op(p, JINJA_OP_COMMA);
	}
	return rc != 0 ? rc : jinja_parse_op(p, JINJA_OP_RPAREN);
}

/* A body with loops and special names of its own. */
static int parse_macro_body(struct jinja_parser *p, const struct ends *ends, struct jinja_node *n)
{
	unsigned uses = p->uses, loops = p->loops;
	int rc;

	p->uses = 0;
	p->loops = 0;
	rc = parse_block(p, ends, &n->body);
	n->flag = (uint8_t)p->uses;
	p->uses = uses;
	p->loops = loops;
	return rc;
}

static int parse_macro(struct jinja_parser *p, struct jinja_node *n)
{
	int rc;

	if (p->token->type != JINJA_T_NAME)
		return jinja_parse_fail(p, "the name of a macro");
	n->v = jinja_string(p->token->u.text.s, p->token->u.text.len);
	p->token++;
	rc = parse_params(p, &n->first);
	return rc != 0 ? rc : parse_macro_body(p, &at_endmacro, n);
}

static int parse_call_block(struct jinja_parser *p, struct jinja_node *n)
{
	int rc = 0;

	n->v = jinja_text("caller");
	if (jinja_parse_is_op(p, JINJA_OP_LPAREN))
		rc = parse_params(p, &n->first);
	if (rc == 0)
		rc = jinja_parse_unary(p, true, &n->a);
	if (rc != 0)
		return rc;
	if (n->a->kind != JINJA_N_CALL)
		return jinja_error_set(&p->err, -EINVAL, n->line, "expected a call behind 'call'");
	return parse_macro_body(p, &at_endcall, n);
}

static int parse_filter_block(struct jinja_parser *p, struct jinja_node *n)
{
	int rc = jinja_parse_node(p, JINJA_N_BODY_TEXT, &n->a);

	if (rc == 0)
		rc = jinja_parse_filters(p, true, n->a, &n->a);
	return rc != 0 ? rc : parse_block(p, &at_endfilter, &n->body);
}

static int parse_with(struct jinja_parser *p, struct jinja_node *n)
{
	struct jinja_node **link = &n->first;
	int rc = 0;

	while (rc == 0 && p->token->type != JINJA_T_BLOCK_END) {
		if (n->first != NULL)
			rc = jinja_parse_op(p, JINJA_OP_COMMA);
		if (rc == 0)
			rc = jinja_parse_node(p, JINJA_N_SET, link);
		if (rc == 0)
			rc = p->token->type == JINJA_T_NAME ? jinja_parse_name(p, &(*link)->a) :
			     jinja_parse_fail(p, "a name");
		if (rc == 0)
			rc = jinja_parse_op(p, JINJA_OP_ASSIGN);
		if (rc == 0)
			rc = jinja_parse_expr(p, &(*link)->b);
		if (rc == 0)
			link = &(*link)->next;
	}
	return rc != 0 ? rc : parse_block(p, &at_endwith, &n->body);
}

static int parse_do(struct jinja_parser *p, struct jinja_node *n)
{
	int rc = jinja_parse_tuple(p, true, &n->a);

	return rc != 0 ? rc : parse_block_end(p);
}

static int parse_jump(struct jinja_parser *p, struct jinja_node *n)
{
	if (p->loops == 0)
		return jinja_error_set(&p->err, -EINVAL, n->line, "'%s' outside of a loop",
				       n->kind == JINJA_N_BREAK ? "break" : "continue");
	return parse_block_end(p);
}

static int parse_generation(struct jinja_parser *p, struct jinja_node *n)
{
	return parse_block(p, &at_endgeneration, &n->body);
}

static const struct { const char *word; enum jinja_kind kind; int (*fn)(struct jinja_parser *, struct jinja_node *); }
statements[] = {
	{ "for", JINJA_N_FOR, parse_for }, { "if", JINJA_N_IF, parse_if }, { "set", JINJA_N_SET, parse_set },
	{ "macro", JINJA_N_MACRO, parse_macro }, { "call", JINJA_N_CALL_BLOCK, parse_call_block },
	{ "filter", JINJA_N_FILTER_BLOCK, parse_filter_block }, { "with", JINJA_N_WITH, parse_with },
	{ "do", JINJA_N_DO, parse_do }, { "break", JINJA_N_BREAK, parse_jump },
	{ "continue", JINJA_N_CONTINUE, parse_jump }, { "generation", JINJA_N_GROUP, parse_generation }
};

/* What follows "{%". */
static int parse_statement(struct jinja_parser *p, struct jinja_node **out)
{
	size_t i;
	int rc;

	for (i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
		if (!jinja_parse_is_name(p, statements[i].word))
			continue;
		rc = jinja_parse_node(p, statements[i].kind, out);
		if (rc != 0)
			return rc;
		p->token++;
		return statements[i].fn(p, *out);
	}
	return jinja_parse_fail(p, "a statement");
}

/* ---- the template -------------------------------------------------------------------------------- */

int jinja_parse(struct jinja **out, const char *text, size_t len, char *err, size_t errlen)
{
	struct jinja_parser p = { .err = { err, errlen, 0 } };
	struct jinja_token *tokens;
	struct jinja *t = calloc(1, sizeof(*t));
	const char *ended;
	size_t n;
	int rc;

	if (t == NULL || jinja_heap_new(&t->heap, TREE_MAX, UINT64_MAX, JINJA_BLOCK) != 0) {
		free(t);
		return jinja_error_memory(&p.err);
	}
	p.heap = t->heap;
	if (len > JINJA_TEXT_MAX) {
		rc = jinja_error_set(&p.err, -E2BIG, 1, "a template of more than %zu bytes", JINJA_TEXT_MAX);
		goto free_template;
	}
	rc = jinja_lex(t->heap, (struct jinja_str){ text, len }, &tokens, &n, &p.err);
	if (rc != 0)
		goto free_template;
	p.token = tokens;
	rc = parse_body(&p, &at_end_of_text, &t->body, &ended);
	if (rc != 0)
		goto free_template;
	*out = t;
	return 0;

free_template:
	jinja_free(t);
	return rc;
}

void jinja_free(struct jinja *t)
{
	if (t == NULL)
		return;
	jinja_heap_free(t->heap);
	free(t);
}

size_t jinja_bytes(const struct jinja *t)
{
	return jinja_heap_bytes(t->heap);
}
