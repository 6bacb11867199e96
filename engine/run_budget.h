/* run_budget.h - how much memory a run may take when nobody says it. */
#ifndef ENGINE_RUN_BUDGET_H
#define ENGINE_RUN_BUDGET_H

#include <stddef.h>
#include <stdint.h>

struct model;
struct session_params;

/* 0 when the model and such a session (whose budget is not looked at) fit in what room_read(root) leaves, or when that is
 * not known: then weights are used where they are mapped.  Else the bytes that are left, less a head-room of a twentieth,
 * at least 256 MiB but no more than a quarter; line says so in words, and is empty otherwise. */
uint64_t run_budget_default(const struct model *m, const struct session_params *p, const char *root, char *line, size_t len);

#endif
