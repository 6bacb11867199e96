/* fs_cli_doctor.h - the parts of hearth doctor. */
#ifndef FS_FS_CLI_DOCTOR_H
#define FS_FS_CLI_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* A finding: is it as it should be, what is it about, and a line with what to do. */
typedef void (*fs_doctor_say_fn)(void *ctx, bool ok, const char *what, const char *text);

/* What the mount's statistics tell of its caches and its RAM tier; stats is borrowed, and may be NULL. */
void fs_cli_doctor_tiers(const json_t *stats, fs_doctor_say_fn say, void *ctx);

/* What the kernel tells of the machine: limits, swap, huge pages, RAID below home and caches, heat of NVMe disks.  All
 * is read below the directory root, "/" or a test's; what is not there is left out.  stats is borrowed, and may be
 * NULL.  largest is the size of the largest model in bytes, 0 when that is not known. */
void fs_cli_doctor_machine(const char *root, const json_t *stats, uint64_t largest, fs_doctor_say_fn say, void *ctx);

#endif
