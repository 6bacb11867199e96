/* run_json.c - what a run made, as JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/model.h"
#include "engine/run.h"
#include "engine/run_output.h"
#include "engine/session.h"
#include "engine/unicode.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* Bytes as a string of whole characters; NULL without memory. */
static json_t *text_of(const char *s, size_t len)
{
	char *buf = malloc(len * 3 + 1);
	size_t i, n = 0, used;
	uint32_t cp;
	json_t *text;

	if (buf == NULL)
		return NULL;
	for (i = 0; i < len; i += used) {
		used = unicode_decode(s + i, len - i, &cp);
		if (used > 1 || (unsigned char)s[i] < 0x80) {
			memcpy(buf + n, s + i, used);
			n += used;
		} else {
			memcpy(buf + n, REPLACEMENT, 3);
			n += 3;
		}
	}
	text = json_stringn(buf, n);
	free(buf);
	return text;
}

static double rate(uint64_t n, double seconds)
{
	return seconds > 0.0 ? (double)n / seconds : 0.0;
}

int run_json(const struct run *r, const struct run_output *out)
{
	static const char *const ends[] = {
		[RUN_END_NONE] = "none", [RUN_END_TOKEN] = "eos", [RUN_END_LENGTH] = "length", [RUN_END_CONTEXT] = "context",
		[RUN_END_WORD] = "word", [RUN_END_SIGNAL] = "signal",
	};
	json_t *all = json_pack("{s:s, s:s, s:o, s:s, s:I, s:I, s:I, s:{s:f, s:f, s:f, s:f, s:f}}",
		"model", r->o.model, "architecture", model_arch(r->model), "text", text_of(out->made.at, out->made.len),
		"stop", ends[r->end], "prompt_tokens", (json_int_t)r->n_evaluated, "decoded_tokens", (json_int_t)r->n_decoded,
		"seed", (json_int_t)r->seed,
		"timings", "load_s", r->load_s, "prompt_s", r->prompt_s, "decode_s", r->decode_s,
		"prompt_per_second", rate(r->n_evaluated, r->prompt_s), "decode_per_second", rate(r->n_decoded, r->decode_s));
	int rc;

	if (all == NULL)
		return run_report(r, -ENOMEM, r->o.model);
	errno = 0;
	rc = json_dumpf(all, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(all);
	if (rc == 0 && putchar('\n') != EOF && fflush(stdout) == 0)
		return RUN_OK;
	return run_report(r, errno != 0 ? -errno : -EIO, "standard output");
}
