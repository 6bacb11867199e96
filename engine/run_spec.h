/* run_spec.h - speculation: tokens are guessed, and those that the model would have made anyway are made together.
 *
 * A pass evaluates the last token of the text and a draft of the next ones behind it, so that the weights are read once for
 * all of them.  The text's own rule (the sampler) is asked behind each in order, as without a draft; where it says
 * another token than the draft, what lies behind is dropped.  So draws, text and logits are those without speculation,
 * whatever is drafted.
 *
 * A model with a state cannot drop what lies behind: it goes back to before the pass, and what was right is evaluated
 * once more, with the next pass.  When there is much of it that pass drafts nothing, so that it must end well: there are
 * never more passes than tokens.
 *
 * A draft comes out of the text itself (run_ngram.h), or is what a small model of the same vocabulary holds for most
 * probable.
 * Threads: one caller at a time, that of the session.
 */
#ifndef ENGINE_RUN_SPEC_H
#define ENGINE_RUN_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/run_ngram.h"
#include "engine/session.h"

struct run_draft;
struct run_options;
struct run_spec;
struct tokenizer;

struct run_spec_params {
	struct run_ngram ngram;         /* who drafts, */
	bool model;                     /* or, where that has nothing, the model */
	uint32_t most, least;           /* tokens of a draft: fewer than least are none */
	double p_min;                   /* the draft model stops where its best token is less probable */
};

/* What the command line asks for; NULL, or the line that says what is wrong with it. */
const char *run_spec_ask(struct run_spec_params *p, const struct run_options *o) __attribute__((warn_unused_result));
/* Is anyone asked to draft? */
bool run_spec_asked(const struct run_spec_params *p);
/* What a session needs for it. */
void run_spec_need(const struct run_spec_params *p, struct session_params *session);

/* Borrows all: draft NULL for none; a draft ends where tok, if not NULL, says that the text does.
 * 0 and an owned one in *out; -ENOMEM. */
int run_spec_new(struct run_spec **out, const struct run_spec_params *p, struct session *s, struct run_draft *draft,
		 const struct tokenizer *tok) __attribute__((warn_unused_result));
void run_spec_free(struct run_spec *sp);        /* takes sp; NULL is a no-op */

/* The session's timeline is the text from here on. */
void run_spec_begin(struct run_spec *sp);

/* The next token in *id, behind n_past others; 1 when it is the last one, or a negative errno.  As without speculation
 * *id itself is not evaluated yet. */
typedef int (*run_spec_take_fn)(void *arg, uint32_t n_past, const float *logits, uint32_t *id);

/* Evaluate *id and what follows: take is called at least once, and what it gave last is in *id.  At most `left` tokens are
 * taken, if it is not negative.  What take returned; errors as session_eval, which take must not be asked after. */
int run_spec_pass(struct run_spec *sp, uint32_t *id, int64_t left, run_spec_take_fn take, void *arg)
	__attribute__((warn_unused_result));

/* The session's timeline becomes the text, all but what take gave last, as without speculation.  Errors as session_eval. */
int run_spec_end(struct run_spec *sp) __attribute__((warn_unused_result));

/* Was the last error one of the draft model? */
bool run_spec_draft_failed(const struct run_spec *sp);

/* Passes, tokens that were taken from them, drafted, of these right, and tokens evaluated once more. */
struct run_spec_stats { uint64_t passes, taken, drafted, accepted, again; };
struct run_spec_stats run_spec_stats(const struct run_spec *sp);

/* ---- run_draft.c: the draft model --------------------------------------------------------------------- */

/* For a model with these tokens, the first n_ids of which have a logit, and a session of these parameters: its budget is
 * divided with it (session_params.others).  0 and an owned draft model in *out; negative errno with a line in err: it cannot
 * be opened, has another vocabulary, or there is no room. */
int run_draft_open(struct run_draft **out, const char *path, const struct tokenizer *tok, uint32_t n_ids,
		   struct session_params *p, char *err, size_t errlen) __attribute__((warn_unused_result));
void run_draft_close(struct run_draft *d);      /* takes d; NULL is a no-op */
void run_draft_set_cancel(struct run_draft *d, session_cancel_fn fn, void *arg);        /* NULL is a no-op */

/* At most `most` tokens behind a text of n >= 1, and in *made how many; none behind a text that is longer than its context,
 * or has a token that is not in its vocabulary.  0, or an error as of session_eval. */
int run_draft_make(struct run_draft *d, const uint32_t *text, size_t n, double p_min, uint32_t *out, uint32_t most,
		   uint32_t *made) __attribute__((warn_unused_result));

#endif
