/* run_budget.c - see run_budget.h. */
#include "engine/run_budget.h"

#include <stdio.h>

#include "engine/model.h"
#include "engine/room.h"
#include "engine/session.h"

#define HEAD_LEAST ((uint64_t)256 << 20)
#define HEAD_PART 20u
#define HEAD_MOST 4u

static uint64_t head_room(uint64_t left)
{
	uint64_t head = left / HEAD_PART > HEAD_LEAST ? left / HEAD_PART : HEAD_LEAST;

	return head < left / HEAD_MOST ? head : left / HEAD_MOST;
}

uint64_t run_budget_default(const struct model *m, const struct session_params *p, const char *root, char *line, size_t len)
{
	struct session_params free_of = *p;
	struct session_sizes z;
	struct room room;
	uint64_t usable, need;
	char err[256];

	line[0] = '\0';
	free_of.budget = 0;
	if (room_read(&room, root) != 0 || session_sizes(m, &free_of, &z, err, sizeof(err)) != 0)
		return 0;               /* what is wrong session_open will say */
	usable = room.left - head_room(room.left);
	need = z.kv + z.graph + z.other + model_bytes(m);
	if (need <= usable)
		return 0;
	snprintf(line, len, "%.1f GB are needed and %.1f GB of memory are free for it: weights that do not fit are read as needed "
		 "(--ram-budget)", (double)need / 1e9, (double)usable / 1e9);
	return usable > 0 ? usable : 1;
}
