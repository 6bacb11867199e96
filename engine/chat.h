/* chat.h - a conversation as the prompt that a model was trained on.
 *
 * A chat is a template: the one in a model's file, a text that the user gave, or one of the built-in ones, which
 * have the names and the output of llama.cpp's --chat-template.  What llama.cpp does to messages before it
 * renders a template is done here (common/chat.cpp and common/jinja/caps.cpp there):
 *  - the role "developer" becomes "system", unless the template knows channels (gpt-oss);
 *  - a system message is put in front of the next message, with a newline between, when the template does not
 *    look at it (Gemma);
 *  - content becomes a list of typed parts when the template takes nothing else, and for system and assistant
 *    messages of Ministral's template;
 *  - messages are trimmed for StepFun's template;
 *  - enable_thinking is true when the template can show reasoning, found out by rendering it with and without
 *    (by simpler rules than there, which agree on the templates that were tried);
 *  - a BOS text at the start and an EOS text at the end are taken away when the tokenizer adds them itself;
 *  - preserve_reasoning, preserve_thinking are true, clear_thinking, truncate_history_thinking and drop_thinking
 *    false;
 *  - date_string and datetime hold the day, in the formats "%d %b %Y" and "%b %d %Y".
 * No tools are passed.  Messages are data: nothing in them is read as template.
 * Threads: a chat is constant once opened.
 */
#ifndef ENGINE_CHAT_H
#define ENGINE_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct chat;
struct gguf;

struct chat_message {
	const char *role;               /* terminated */
	const char *content;            /* len bytes */
	size_t len;
};

enum chat_thinking { CHAT_THINKING_AUTO, CHAT_THINKING_ON, CHAT_THINKING_OFF };

struct chat_prompt {
	const struct chat_message *messages;    /* [n] */
	size_t n;
	const char *bos, *eos;          /* texts of these tokens; NULL is "" */
	bool strip_bos, strip_eos;      /* the tokenizer adds them itself */
	bool generate;                  /* end with the beginning of the answer */
	enum chat_thinking thinking;    /* ON and OFF overrule what the template shows */
	const struct tm *now;           /* for templates that print the date; NULL: they cannot ask for it */
};

/* A template by its text, or by the name of a built-in one.  0 and an owned chat; else as jinja_parse. */
int chat_open(struct chat **out, const char *text, size_t len, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* The same of text, when that is not NULL (without any tag it must be a name: -EINVAL), else of g's
 * tokenizer.chat_template, else "chatml". */
int chat_open_model(struct chat **out, const struct gguf *g, const char *text, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void chat_free(struct chat *c);         /* takes c; NULL is a no-op */

/* The prompt of a conversation: 0 and a text of *len bytes, terminated, that the caller frees; else the error and
 * the line of jinja_render (-ECANCELED: the template refuses the conversation, and says why). */
int chat_apply(const struct chat *c, const struct chat_prompt *p, char **out, size_t *len, char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* What was found out about the template when it was opened. */
bool chat_takes_system(const struct chat *c);
bool chat_takes_parts(const struct chat *c);    /* typed parts only */
bool chat_thinks(const struct chat *c);

/* The i-th built-in template's name, or NULL past the last; its text, or NULL when there is none of that name. */
const char *chat_builtin_name(size_t i);
const char *chat_builtin_text(const char *name, size_t len);

#endif
