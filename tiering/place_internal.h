/* place_internal.h - what the place_*.c files share. */
#ifndef TIERING_PLACE_INTERNAL_H
#define TIERING_PLACE_INTERNAL_H

#include "tiering/blob.h"
#include "tiering/fill.h"
#include "tiering/part.h"
#include "tiering/place.h"

#define PLACE_ASKS 64u                  /* put to the policy at a time */
#define PLACE_MOVES 64u
#define PLACE_LOST 64u                  /* files that are no more, dropped at a time */
#define PLACE_FILLS 16u                 /* at a time */
#define PLACE_RETRY_TICKS 8u            /* before a fill that could not go on is tried again */
#define PLACE_SAVE_TICKS 240u           /* heat: every minute */
#define PLACE_DWPD 0.3                  /* writes of a whole cache a day that may displace others, */
#define PLACE_WEAR_DAYS 7.0             /* saved up for so many days at most */

struct place {
	struct tier *tier;
	pthread_t thread;
	pthread_cond_t wake;
	/* below: tier->lock */
	struct blob *touched, *due;
	struct fill *fills;
	unsigned nfills;
	bool running, stop, walk;
	uint32_t walks;                         /* through home, so far */
	struct blob *lost[PLACE_LOST];
	unsigned nlost;
	uint64_t saved_tick;
	struct policy_ask ask[PLACE_ASKS];
	struct policy_move move[PLACE_MOVES];
};

/* place_policy.c; all locked */
void place_decide(struct tier *t);      /* the touched blobs, put to the policy */

/* place_drop.c; the place thread, not locked */
/* Drop the blob's copy on the cache, when nothing is under way with it: false: later. */
bool place_drop_copy(struct tier *t, struct blob *b, unsigned c);
/* Extents that left a blob held in part, or that were found bad. */
void place_drop_extents(struct tier *t, struct blob *b);

/* The map's row of a blob that is gone, once it has no copies. */
void place_forget_blob(struct tier *t, struct blob *b);

/* place_home.c; the place thread, not locked */
void place_walk_home(struct tier *t);   /* pins, and copies of what is no more */

#endif
