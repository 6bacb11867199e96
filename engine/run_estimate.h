/* run_estimate.h - --estimate and --min-speed: what a run will take and how fast it will be. */
#ifndef ENGINE_RUN_ESTIMATE_H
#define ENGINE_RUN_ESTIMATE_H

#include "engine/run.h"

struct session_params;

/* The plan of such a session, printed to standard output, or with --min-speed only to standard error and only when the
 * prediction is below.  RUN_OK; RUN_FAILED after a line, which below the least speed names both. */
int run_estimate(struct run *r, const struct session_params *p);

#endif
