/* tier_client.h - one client of a world's store: opens, reads, maps, orders and changes files as fs does it.
 *
 * Every byte that a read gives is compared with the model; what is not allowed fails the world.
 */
#ifndef TESTS_UNIT_TIER_CLIENT_H
#define TESTS_UNIT_TIER_CLIENT_H

#include "tests/unit/tier_world.h"

#define CLIENT_HANDLES 8

/* An open file. */
struct client_handle {
	struct client *client;
	struct tier_file *f;
	struct truth *truth;
	int home, copy;                 /* -1: none */
	unsigned char *map;             /* of the copy */
	size_t len;                     /* of home's file at the open */
	uint64_t opened, ready;         /* when its open began, and was done */
	struct truth_look look;         /* of the copy's bytes */
	unsigned flying;                /* reads under way */
	bool gathers;
};

struct client {
	struct world *w;
	uint64_t draw;
	struct client_handle handle[CLIENT_HANDLES];
	pthread_mutex_t lock;
	pthread_cond_t landed;          /* a read came back */
	unsigned char *bytes;           /* a MiB, for reads of files */
	unsigned long ops, reads, copies, gathered, changes;
};

void client_init(struct client *c, struct world *w, uint64_t seed);
void client_end(struct client *c);              /* closes all */
uint64_t client_draw(struct client *c, uint64_t below);

/* Open a file and keep it; NULL when it is none any more, or too many are open. */
struct client_handle *client_open(struct client *c, int slot);
void client_close(struct client *c, struct client_handle *h);
/* A few random reads of an open file. */
void client_read(struct client *c, struct client_handle *h);
/* All of it, from its start. */
void client_read_all(struct client *c, struct client_handle *h);
/* Any operation. */
void client_step(struct client *c);
/* Those that change home, or a cache behind the store's back (tier_client_change.c). */
void client_change(struct client *c);

#endif
