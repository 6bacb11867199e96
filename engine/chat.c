/* chat.c - see chat.h. */
#include "engine/chat.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"
#include "engine/jinja.h"
#include "engine/jinja_value.h"

#define ROLE_MAX     64                 /* bytes of a role */
#define PROBE_MEMORY ((size_t)16 << 20) /* for one rendering while a template is examined */
#define PROBE_STEPS  1000000u

struct chat {
	struct jinja *template;
	bool takes_system, takes_parts, thinks;
	bool channels;                  /* gpt-oss: knows the role "developer" */
	bool ministral;
	bool trims;                     /* messages are trimmed: StepFun */
};

/* What is rendered: messages and whatever the template sees besides. */
struct job {
	const struct chat *chat;
	const struct chat_prompt *prompt;
	bool thinking;
	const char *reasoning;          /* reasoning_content of the last message, or NULL */
	struct jinja_heap *heap;
	struct jinja_render render;
	uint8_t watch;                  /* JINJA_WATCH: the first message's content is watched */
	bool probe;                     /* only to learn about the template: within small limits */
};

/* ---- the values that the template sees ----------------------------------------------------------- */

static int put(struct job *j, struct jinja_value dict, const char *key, struct jinja_value v)
{
	return jinja_dict_put(j->heap, dict.u.dict, key, v);
}

/* [{"type": "text", "text": content}] */
static int as_parts(struct job *j, struct jinja_value content, struct jinja_value *out)
{
	struct jinja_value part;
	int rc = jinja_list_new(j->heap, JINJA_LIST, out);

	if (rc == 0)
		rc = jinja_dict_new(j->heap, JINJA_DICT, &part);
	if (rc == 0)
		rc = put(j, part, "type", jinja_text("text"));
	if (rc == 0)
		rc = put(j, part, "text", content);
	return rc != 0 ? rc : jinja_list_add(j->heap, out->u.list, part);
}

static int add_message(struct job *j, struct jinja_value list, const char *role, struct jinja_value content,
		       const char *reasoning)
{
	const struct chat *c = j->chat;
	struct jinja_value m;
	bool parts = c->takes_parts || (c->ministral && (strcmp(role, "system") == 0 || strcmp(role, "assistant") == 0));
	int rc = jinja_dict_new(j->heap, JINJA_DICT, &m);

	if (rc == 0)
		rc = put(j, m, "role", jinja_text(role));
	if (rc == 0 && parts)
		rc = as_parts(j, content, &content);
	if (rc == 0)
		rc = put(j, m, "content", content);
	if (rc == 0 && reasoning != NULL)
		rc = put(j, m, "reasoning_content", jinja_text(reasoning));
	return rc != 0 ? rc : jinja_list_add(j->heap, list.u.list, m);
}

/* a, a newline, b */
static int fold(struct job *j, const struct chat_message *a, const struct chat_message *b, struct jinja_value *out)
{
	char *s;

	if (a->len > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
		return -ENOMEM;
	s = jinja_heap_alloc(j->heap, a->len + b->len + 1);
	if (s == NULL)
		return -ENOMEM;
	if (a->len != 0)
		memcpy(s, a->content, a->len);
	s[a->len] = '\n';
	if (b->len != 0)
		memcpy(s + a->len + 1, b->content, b->len);
	*out = jinja_string(s, a->len + 1 + b->len);
	return 0;
}

static const char *role_of(const struct chat *c, const struct chat_message *m)
{
	return !c->channels && strcmp(m->role, "developer") == 0 ? "system" : m->role;
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without ASCII space around it. */
static struct jinja_str trimmed(struct jinja_str s)
{
	while (s.len != 0 && is_space(s.s[0]))
		s = (struct jinja_str){ s.s + 1, s.len - 1 };
	while (s.len != 0 && is_space(s.s[s.len - 1]))
		s.len--;
	return s;
}

static int build_messages(struct job *j, struct jinja_value *out)
{
	const struct chat_message *m = j->prompt->messages, *system = NULL;
	size_t i, n = j->prompt->n;
	struct jinja_value content;
	struct jinja_str text;
	int rc = jinja_list_new(j->heap, JINJA_LIST, out);

	for (i = 0; rc == 0 && i < n; i++) {
		if (i == 0 && !j->chat->takes_system && strcmp(role_of(j->chat, &m[0]), "system") == 0) {
			system = &m[0];
			continue;
		}
		text = (struct jinja_str){ m[i].content, m[i].len };
		text = j->chat->trims ? trimmed(text) : text;
		content = jinja_string(text.s, text.len);
		if (system != NULL)
			rc = fold(j, system, &m[i], &content);
		system = NULL;
		content.watch = i == 0 ? j->watch : 0;
		if (rc == 0)
			rc = add_message(j, *out, role_of(j->chat, &m[i]), content, i == n - 1 ? j->reasoning : NULL);
	}
	return rc;
}

/* The day, twice, under the names that llama.cpp gives templates. */
static int put_dates(struct job *j, struct jinja_value root)
{
	static const char *const names[] = { "date_string", "datetime" };
	struct jinja_value v;
	char text[64];
	size_t i, n;
	int rc = 0;

	for (i = 0; rc == 0 && i < 2 && j->prompt->now != NULL; i++) {
		n = i == 0 ? strftime(text, sizeof(text), "%d %b %Y", j->prompt->now) :
		    strftime(text, sizeof(text), "%b %d %Y", j->prompt->now);
		rc = jinja_string_copy(j->heap, text, n, &v);
		if (rc == 0)
			rc = put(j, root, names[i], v);
	}
	return rc;
}

/* That the reasoning of earlier answers is kept, under the names that templates have for it. */
static int put_preserve(struct job *j, struct jinja_value root)
{
	static const struct { const char *name; bool value; } names[] = {
		{ "preserve_reasoning", true }, { "preserve_thinking", true }, { "clear_thinking", false },
		{ "truncate_history_thinking", false }, { "drop_thinking", false }
	};
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < sizeof(names) / sizeof(names[0]); i++)
		rc = put(j, root, names[i].name, jinja_bool(names[i].value));
	return rc;
}

static int build_root(struct job *j, struct jinja_value *root)
{
	const struct chat_prompt *p = j->prompt;
	struct jinja_value messages;
	int rc = jinja_dict_new(j->heap, JINJA_DICT, root);

	if (rc == 0)
		rc = build_messages(j, &messages);
	if (rc == 0)
		rc = put(j, *root, "messages", messages);
	if (rc == 0)
		rc = put(j, *root, "bos_token", jinja_text(p->bos != NULL ? p->bos : ""));
	if (rc == 0)
		rc = put(j, *root, "eos_token", jinja_text(p->eos != NULL ? p->eos : ""));
	if (rc == 0)
		rc = put(j, *root, "enable_thinking", jinja_bool(j->thinking));
	if (rc == 0 && p->generate)
		rc = put(j, *root, "add_generation_prompt", jinja_bool(true));
	if (rc == 0)
		rc = put_preserve(j, *root);
	return rc != 0 ? rc : put_dates(j, *root);
}

/* ---- rendering ----------------------------------------------------------------------------------- */

static void say(char *err, size_t errlen, const char *what)
{
	snprintf(err, errlen, "%s", what);
}

/* Render; the text lives in j->heap, which the caller frees in any case. */
static int render(struct job *j, struct jinja_str *out, char *err, size_t errlen)
{
	int rc;

	j->heap = NULL;
	rc = jinja_heap_new(&j->heap, j->probe ? PROBE_MEMORY : JINJA_MEMORY_MAX, j->probe ? PROBE_STEPS : JINJA_STEPS_MAX,
			    JINJA_BLOCK);
	if (rc == 0)
		rc = build_root(j, &j->render.root);
	if (rc != 0) {
		say(err, errlen, "the conversation needs too much memory");
		return rc;
	}
	j->render.heap = j->heap;
	j->render.now = j->prompt->now;
	return jinja_render(j->chat->template, &j->render, out, err, errlen);
}

static bool begins_with(struct jinja_str s, const char *with)
{
	return with != NULL && with[0] != '\0' && s.len >= strlen(with) && memcmp(s.s, with, strlen(with)) == 0;
}

static bool ends_with(struct jinja_str s, const char *with)
{
	return with != NULL && with[0] != '\0' && s.len >= strlen(with) &&
	       memcmp(s.s + s.len - strlen(with), with, strlen(with)) == 0;
}

int chat_apply(const struct chat *c, const struct chat_prompt *p, char **out, size_t *len, char *err, size_t errlen)
{
	struct job j = { .chat = c, .prompt = p };
	struct jinja_str s;
	char *text;
	size_t i;
	int rc;

	for (i = 0; i < p->n; i++)
		if (strlen(p->messages[i].role) > ROLE_MAX) {
			say(err, errlen, "a message whose role is too long");
			return -EINVAL;
		}
	j.thinking = p->thinking == CHAT_THINKING_AUTO ? c->thinks : p->thinking == CHAT_THINKING_ON;
	rc = render(&j, &s, err, errlen);
	if (rc != 0)
		goto free_heap;
	if (p->strip_bos && begins_with(s, p->bos))
		s = (struct jinja_str){ s.s + strlen(p->bos), s.len - strlen(p->bos) };
	if (p->strip_eos && ends_with(s, p->eos))
		s.len -= strlen(p->eos);
	text = malloc(s.len + 1);
	if (text == NULL) {
		say(err, errlen, "the conversation needs too much memory");
		rc = -ENOMEM;
		goto free_heap;
	}
	if (s.len != 0)
		memcpy(text, s.s, s.len);
	text[s.len] = '\0';
	*out = text;
	*len = s.len;
free_heap:
	jinja_heap_free(j.heap);
	return rc;
}

/* ---- what a template takes ----------------------------------------------------------------------- */

static const char probe_user[] = "U_USER_MSG Hello END_U", probe_answer[] = "A_ASST_MSG I can help END_A",
	probe_reasoning[] = "REASON_PART I am thinking END_R";

/* Some day, so that templates that ask for it can be tried. */
static const struct tm probe_day = { .tm_year = 125, .tm_mday = 1, .tm_wday = 3 };

static struct chat_message message(const char *role, const char *content)
{
	return (struct chat_message){ role, content, strlen(content) };
}

/* Whether the template looks at a system message, and whether it takes text or only parts. */
static void probe_content(struct chat *c)
{
	struct chat_message m[2] = { message("user", "content") };
	struct chat_prompt p = { .messages = m, .n = 1, .generate = true, .now = &probe_day };
	struct job j = { .chat = c, .prompt = &p, .watch = JINJA_WATCH, .probe = true };
	struct jinja_str s;
	char err[8];
	int rc;

	rc = render(&j, &s, err, sizeof(err));
	jinja_heap_free(j.heap);
	c->takes_parts = rc != 0 && (j.render.watched & JINJA_WATCH_ITEMS) != 0;
	m[0] = message("system", "System message");
	m[1] = message("user", "User message");
	p.n = 2;
	rc = render(&j, &s, err, sizeof(err));
	jinja_heap_free(j.heap);
	c->takes_system = (j.render.watched & JINJA_WATCH_USED) != 0;
}

/* Whether the template prints the reasoning of an answer. */
static bool prints_reasoning(const struct chat *c)
{
	const struct chat_message m[2] = { message("user", probe_user), message("assistant", probe_answer) };
	const struct chat_prompt p = { .messages = m, .n = 2, .now = &probe_day };
	struct job j = { .chat = c, .prompt = &p, .thinking = true, .reasoning = probe_reasoning, .probe = true };
	struct jinja_str s;
	char err[8];
	bool prints;
	int rc;

	rc = render(&j, &s, err, sizeof(err));
	prints = rc == 0 && s.len != 0 && memmem(s.s, s.len, probe_reasoning, sizeof(probe_reasoning) - 1) != NULL;
	jinja_heap_free(j.heap);
	return prints;
}

/* One "<...>" and nothing else. */
static bool is_marker(struct jinja_str s)
{
	return s.len >= 3 && s.s[0] == '<' && s.s[s.len - 1] == '>' && memchr(s.s + 1, '<', s.len - 1) == NULL &&
	       memchr(s.s, '>', s.len) == s.s + s.len - 1;
}

/* Cut what both begin and end with; not through a marker that is open where they part. */
static void differing(struct jinja_str *a, struct jinja_str *b)
{
	size_t i = 0, least = a->len < b->len ? a->len : b->len;
	const char *open;

	while (i < least && a->s[i] == b->s[i])
		i++;
	open = i != 0 ? memrchr(a->s, '<', i) : NULL;
	if (open != NULL && memchr(open, '>', i - (size_t)(open - a->s)) == NULL)
		i = (size_t)(open - a->s);
	*a = (struct jinja_str){ a->s + i, a->len - i };
	*b = (struct jinja_str){ b->s + i, b->len - i };
	while (a->len != 0 && b->len != 0 && a->s[a->len - 1] == b->s[b->len - 1] && a->s[a->len - 1] != '>') {
		a->len--;
		b->len--;
	}
}

/* The "<...>" that s ends with, space behind it aside; s is cut before it.  Empty when there is none. */
static struct jinja_str last_marker(struct jinja_str *s)
{
	struct jinja_str none = { "", 0 }, m;
	const char *open;

	*s = trimmed(*s);
	open = s->len != 0 ? memrchr(s->s, '<', s->len) : NULL;
	if (open == NULL)
		return none;
	m = (struct jinja_str){ open, s->len - (size_t)(open - s->s) };
	if (!is_marker(m))
		return none;
	s->len -= m.len;
	return m;
}

/* Whether off ends with two markers that hold nothing, as an empty thought, and on does not. */
static bool thinks_nothing(struct jinja_str off, struct jinja_str on)
{
	struct jinja_str close = last_marker(&off), open = last_marker(&off), other = last_marker(&on);

	return close.len != 0 && open.len != 0 && !jinja_str_equal(close, other);
}

/* Whether enable_thinking adds an opening marker at the end of the prompt, puts one for a closing one, or
 * takes an empty thought away. */
static bool thinking_shows(const struct chat *c)
{
	const struct chat_message m = message("user", probe_user);
	const struct chat_prompt p = { .messages = &m, .n = 1, .generate = true, .now = &probe_day };
	struct job off = { .chat = c, .prompt = &p, .probe = true }, on = off;
	struct jinja_str a, b, whole;
	char err[8];
	bool shows = false;
	int rc;

	on.thinking = true;
	rc = render(&off, &a, err, sizeof(err));
	if (rc == 0)
		rc = render(&on, &b, err, sizeof(err));
	if (rc == 0) {
		whole = trimmed(b);
		shows = thinks_nothing(a, b);
		differing(&a, &b);
		a = trimmed(a);
		b = trimmed(b);
		shows = shows || (a.len == 0 && b.len != 0 && b.s + b.len == whole.s + whole.len) || (is_marker(a) && is_marker(b));
	}
	jinja_heap_free(off.heap);
	jinja_heap_free(on.heap);
	return shows;
}

static bool has(const char *text, size_t len, const char *part)
{
	return memmem(text, len, part, strlen(part)) != NULL;
}

/* Templates that llama.cpp knows by parts of their text, and for which it takes reasoning for granted. */
static bool known_to_think(const char *t, size_t len)
{
	return (has(t, len, "<|tool_calls_section_begin|>") && has(t, len, "<|tool_call_begin|>")) ||
	       has(t, len, "<|channel|>") || has(t, len, "'<|tool_call>call:'") ||
	       (has(t, len, "<|tool_list_start|>") && has(t, len, "<|tool_list_end|>")) ||
	       (has(t, len, "List of tools: [") && !has(t, len, "<|tool_list_start|>")) ||
	       (has(t, len, "dsml_token") && has(t, len, "DSML")) ||
	       (has(t, len, "content.split('</think>')") && !has(t, len, "reasoning_content"));
}

static void examine(struct chat *c, const char *text, size_t len)
{
	c->channels = has(text, len, "<|channel|>");
	c->takes_system = true;
	probe_content(c);
	c->ministral = has(text, len, "[SYSTEM_PROMPT]") && has(text, len, "[TOOL_CALLS]") && has(text, len, "[ARGS]") &&
		       !has(text, len, "[CALL_ID]");
	c->trims = has(text, len, "You have access to the following functions in JSONSchema format");
	c->thinks = c->ministral || known_to_think(text, len) || prints_reasoning(c) || thinking_shows(c);
}

/* ---- opening ------------------------------------------------------------------------------------- */

/* A copy of text with every from replaced by to, which is not longer; *len is adjusted. */
static char *replaced(const char *text, size_t *len, const char *from, const char *to)
{
	size_t n = strlen(from), m = strlen(to), at = 0, out = 0;
	char *copy = malloc(*len + 1);

	while (copy != NULL && at < *len) {
		if (*len - at >= n && memcmp(text + at, from, n) == 0) {
			memcpy(copy + out, to, m);
			at += n;
			out += m;
		} else {
			copy[out++] = text[at++];
		}
	}
	*len = out;
	return copy;
}

/* Two conditions that only raise an exception, on content that llama.cpp lets pass: it takes them out as well. */
static char *without_refusals(const char *text, size_t *len)
{
	static const char gpt_oss[] = "{%- if \"<|channel|>analysis<|message|>\" in message.content or "
				      "\"<|channel|>final<|message|>\" in message.content %}";
	static const char mistral[] = "{%- if (message['content'] is none or message['content'] == '' or "
				      "message['content']|length == 0) and (message['tool_calls'] is not defined or "
				      "message['tool_calls'] is none or message['tool_calls']|length == 0) %}";
	char *once = replaced(text, len, gpt_oss, "{%- if false %}"), *twice;

	if (once == NULL)
		return NULL;
	twice = replaced(once, len, mistral, "{%- if false %}");
	free(once);
	return twice;
}

int chat_open(struct chat **out, const char *text, size_t len, char *err, size_t errlen)
{
	const char *builtin = chat_builtin_text(text, len);
	struct chat *c;
	char *source;
	int rc;

	if (builtin != NULL) {
		text = builtin;
		len = strlen(builtin);
	}
	if (len > JINJA_TEXT_MAX) {
		snprintf(err, errlen, "a template of more than %zu bytes", JINJA_TEXT_MAX);
		return -E2BIG;
	}
	c = calloc(1, sizeof(*c));
	source = c != NULL ? without_refusals(text, &len) : NULL;
	if (source == NULL) {
		say(err, errlen, "the template needs too much memory");
		rc = -ENOMEM;
		goto free_chat;
	}
	rc = jinja_parse(&c->template, source, len, err, errlen);
	if (rc != 0)
		goto free_source;
	examine(c, source, len);
	c->channels = c->channels || builtin != NULL;   /* they print any role, and leave out what they do not know */
	c->takes_system = c->takes_system || builtin != NULL;
	free(source);
	*out = c;
	return 0;

free_source:
	free(source);
free_chat:
	free(c);
	return rc;
}

int chat_open_model(struct chat **out, const struct gguf *g, const char *text, char *err, size_t errlen)
{
	struct gguf_str s = { "chatml", 6 };

	if (text != NULL && chat_builtin_text(text, strlen(text)) == NULL && strchr(text, '{') == NULL) {
		snprintf(err, errlen, "'%.64s' is neither a built-in one nor a template", text);
		return -EINVAL;
	}
	if (text != NULL)
		return chat_open(out, text, strlen(text), err, errlen);
	if (gguf_get_str(g, "tokenizer.chat_template", &s) == -EINVAL) {
		say(err, errlen, "tokenizer.chat_template is no string");
		return -EINVAL;
	}
	return chat_open(out, s.s, s.len, err, errlen);
}

void chat_free(struct chat *c)
{
	if (c == NULL)
		return;
	jinja_free(c->template);
	free(c);
}

bool chat_takes_system(const struct chat *c)
{
	return c->takes_system;
}

bool chat_takes_parts(const struct chat *c)
{
	return c->takes_parts;
}

bool chat_thinks(const struct chat *c)
{
	return c->thinks;
}
