/* fs_cli_doctor.h - the parts of hearth doctor. */
#ifndef FS_FS_CLI_DOCTOR_H
#define FS_FS_CLI_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>

/* A finding: is it as it should be, what is it about, and a line with what to do. */
typedef void (*fs_doctor_say_fn)(void *ctx, bool ok, const char *what, const char *text);

/* What the mount's statistics tell of its caches and its RAM tier; stats is borrowed, and may be NULL. */
void fs_cli_doctor_tiers(const json_t *stats, fs_doctor_say_fn say, void *ctx);

#endif
