/* verify.h - are home's bytes, and the copies, what they should be?
 *
 * One thread checks one blob at a time, extent by extent in order, at most a fifth of home's disk while clients
 * wait for it and four fifths otherwise:
 *  home    sha256 of the whole file against the digest in its name (sha256-HEX), where it has one; each extent
 *          against its sum, where that is known
 *  copies  each extent that a cache has against its sum; a bad one is dropped, and copied anew from home
 * Somebody orders that (verify_order), or a blob is suspect: its copies lay on a disk that had failed, or home's
 * metadata was changed behind the mount.  Then only sums are compared.
 *
 * An order goes on where it stopped: in memory, and over a restart in the map's setting "verify.INO".  The result is
 * kept as home's attribute user.hearth.verified: "ok TIME", or "bad TIME extents 3 5-7 (home)".
 */
#ifndef TIERING_VERIFY_H
#define TIERING_VERIFY_H

#include "tiering/tier_internal.h"

struct verifier;

int verify_start(struct tier *t) __attribute__((warn_unused_result));
void verify_stop(struct tier *t);
/* A setting of the map, before verify_start: where an earlier run stopped. */
void verify_saved(struct tier *t, const char *name, const void *value, size_t len);

/* Locked: check it, or stop checking. 0, -ENOMEM. */
int verify_order(struct tier *t, struct blob *b, bool start) __attribute__((warn_unused_result));
/* Locked: it became suspect; compare it soon. */
void verify_suspect(struct tier *t, struct blob *b);
/* Locked: is it in doubt, by the map or a cache's mark, or still, since it could not be compared?  Then compare it, if
 * it is time. */
void verify_doubtful(struct tier *t, struct blob *b);
/* Locked: "running DONE TOTAL" to buf; false when no order is under way. */
bool verify_progress(const struct blob *b, char *buf, size_t cap);
void verify_forget(struct blob *b);             /* before blob_free */

#endif
