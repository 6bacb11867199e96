/* fs_cli_answer.h - what the attributes user.hearth.* say, from text to numbers.
 *
 * The texts come from the daemon of a mount that may be of another version: what is not understood is
 * refused, and nothing is read beyond a text's end.
 * Threads: no state; any thread.
 */
#ifndef FS_FS_CLI_ANSWER_H
#define FS_FS_CLI_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FS_TIERS_MAX 16
#define FS_TIER_NAME 16                 /* bytes of a tier's name with its end: a-z, 0-9, first a letter */

/* Bytes by tier, fastest first, home last. */
struct fs_tiers {
	size_t n;
	struct fs_tier_bytes {
		char name[FS_TIER_NAME];
		uint64_t bytes;
	} tier[FS_TIERS_MAX];
};

/* "ram=1 nvme=2 home=3": user.hearth.tier.  0; -EINVAL, *out untouched, for anything else. */
int fs_tiers_parse(const char *text, struct fs_tiers *out) __attribute__((warn_unused_result));
bool fs_tiers_has(const struct fs_tiers *t, const char *name);
uint64_t fs_tiers_get(const struct fs_tiers *t, const char *name);      /* 0 for a tier that is not there */
/* Add each tier's bytes to those of the same name in sum; a tier that is new there goes before home.  Sums stay
 * at the largest number; tiers beyond FS_TIERS_MAX are left out. */
void fs_tiers_add(struct fs_tiers *sum, const struct fs_tiers *t);
bool fs_tier_name_ok(const char *name);

/* The tier that an order means: given, or without it the fastest cache of the mount, or ram where there is none.
 * tiers: of any file on the mount.  0 and a name, or -EINVAL and a line that says what there is. */
int fs_tier_choose(const struct fs_tiers *tiers, const char *given, char out[FS_TIER_NAME], char *err, size_t errlen)
	__attribute__((warn_unused_result));

/* "mean=1.250 max=4.000": user.hearth.heat.  0 or -EINVAL. */
int fs_heat_parse(const char *text, double *mean, double *max) __attribute__((warn_unused_result));

/* user.hearth.warm: "idle", "TIER DONE TOTAL" in bytes, or "failed TEXT". */
enum fs_warm_state { FS_WARM_IDLE, FS_WARM_MOVING, FS_WARM_FAILED };
struct fs_warm {
	enum fs_warm_state state;
	char tier[FS_TIER_NAME];        /* of moving */
	uint64_t done, total;           /* of moving; done <= total */
	char why[256];                  /* of failed; printable */
};
int fs_warm_parse(const char *text, struct fs_warm *out) __attribute__((warn_unused_result));

/* user.hearth.verified: "never", "ok TIME", "bad TIME TEXT" or "running DONE TOTAL".  A text may stand behind ok's
 * time too. */
enum fs_verified_state { FS_VERIFIED_NEVER, FS_VERIFIED_OK, FS_VERIFIED_BAD, FS_VERIFIED_RUNNING };
struct fs_verified {
	enum fs_verified_state state;
	uint64_t done, total;           /* of running; done <= total */
	char when[32];                  /* of ok and bad, as it stands */
	char what[512];                 /* of ok and bad: the text; printable, cut when longer */
};
int fs_verified_parse(const char *text, struct fs_verified *out) __attribute__((warn_unused_result));

#endif
