/* run_cache.c - the prompt cache of --prompt-cache: a file of the session, read before the prompt and written after. */
#include <errno.h>
#include <stddef.h>

#include "engine/run.h"
#include "engine/session.h"

static int save(const struct run *r)
{
	char line[RUN_LINE];

	if (session_save(r->session, r->o.prompt_cache, line, sizeof(line)) == 0)
		return RUN_OK;
	run_error(line);
	return RUN_FAILED;
}

int run_cache_load(const struct run *r)
{
	char line[RUN_LINE];
	int rc;

	if (r->o.prompt_cache == NULL)
		return RUN_OK;
	rc = session_load(r->session, r->o.prompt_cache, line, sizeof(line));
	if (rc == 0)
		return RUN_OK;
	if (rc == -ENOENT && !r->o.prompt_cache_ro)
		return save(r);         /* an empty one: better to know now that it cannot be written */
	run_error(line);
	return RUN_FAILED;
}

void run_cache_prompt(struct run *r, size_t evaluated)
{
	bool first = !r->cached;

	r->cached = true;
	if (r->o.prompt_cache != NULL && !r->o.prompt_cache_ro && first && evaluated > 0 && r->signal == 0)
		r->cache_status = save(r);
}

int run_cache_end(const struct run *r)
{
	if (r->cache_status != RUN_OK || r->o.prompt_cache == NULL || !r->o.prompt_cache_all ||
	    session_n_past(r->session) == 0)
		return r->cache_status;
	return save(r);
}

int run_cache_keep(const struct run *r)
{
	char line[RUN_LINE];

	if (session_keep(r->session, line, sizeof(line)) == 0)
		return RUN_OK;
	run_error(line);
	return RUN_FAILED;
}
