/* stream_internal.h - what a stream consists of, for the files that make it up. */
#ifndef ENGINE_STREAM_INTERNAL_H
#define ENGINE_STREAM_INTERNAL_H

#include "engine/reader.h"
#include "engine/stream.h"
#include "engine/weights.h"

#define STREAM_NONE UINT32_MAX

/* Rows of one matrix, one behind the other in the file. */
struct piece {
	const char *addr;               /* in the mapping; never read */
	uint32_t bytes;
	bool keep, routed;
	bool there;                     /* in memory where it is mapped, when that was asked */
	char *held;                     /* its place in memory once it was read, or NULL */
	uint32_t slot;                  /* of the ring, or STREAM_NONE */
	double heat;                    /* of experts: log2 of uses that fade, plus what one in pass 0 has faded since */
	uint64_t last, asked;           /* passes: of the last use of an expert; in which `there` was asked */
};

struct matrix { const void *data; uint32_t first; };    /* its pieces follow one another */

enum slot_state { SLOT_FREE, SLOT_READING, SLOT_FULL };

struct slot {
	char *mem;
	struct reader_job job;
	enum slot_state state;
	bool taken, direct;             /* direct: read past the page cache */
	bool spare;                     /* nobody waits for it: it goes where it stays when it comes */
	bool again;                     /* it was taken, and will be with the next batch of this layer */
	uint32_t piece, shift;          /* where the piece begins in mem */
	size_t need;                    /* bytes that must have come */
};

struct list { uint32_t *at; uint32_t n, cap; };

struct stream {
	const struct weights *w;
	struct reader *reader;
	bool buffered, apart;
	struct piece *piece;
	uint32_t n_piece, cap_piece;
	struct matrix *matrix;          /* a hash table by data, of a power of two */
	uint32_t n_matrix, cap_matrix;
	/* the ring */
	struct slot *slot;
	uint32_t n_slot, reserve;
	uint32_t depth;                 /* of them under way at most; so many are the ring's own, the others lent */
	char *mem;                      /* of its own */
	size_t mem_bytes, slot_bytes, piece_bytes;
	/* what stays */
	char *hold;
	uint64_t hold_bytes, hold_used, hold_routed, held_routed;
	uint64_t lent;                  /* of its end, which hold_bytes is without meanwhile */
	double share, due;              /* of dense bytes that stay, and what that comes to so far */
	uint64_t kept;
	/* the order of a pass */
	struct list order, wanted, spare;
	uint32_t want_first, spare_first;
	uint32_t body, cursor, ahead;   /* pieces of the layers; what is next to be taken, to be read */
	bool complete, lap, tail;       /* a whole pass is known; ahead is in the next one; this pass goes to the output */
	uint32_t layer;                 /* where the layer began whose pieces stay for other batches, */
	bool stays;                     /* if they do */
	char *rows, *row;               /* of a table; one of them with what lies beside it */
	size_t rows_bytes, row_bytes;
	int rc;
	uint32_t under_way;             /* reads */
	double busy_from;               /* when the first of them began */
	struct stream_stats stats;
};

/* ---- stream_pieces.c ----------------------------------------------------------------------------- */

/* The first piece of a matrix, which is divided when it is first seen; STREAM_NONE without memory, or with rows that no
 * piece can hold. */
uint32_t stream_pieces(struct stream *s, const struct stream_matrix *m);
/* Is it in memory where it is mapped?  Asked once a pass. */
bool stream_in_place(const struct stream *s, struct piece *p);
/* An expert's piece is used in this pass. */
void stream_touch(struct stream *s, struct piece *p);
/* Is there room for an expert's piece without another having to go? */
bool stream_has_room(const struct stream *s, const struct piece *p);
/* Where a piece that was read stays from now on; NULL: nowhere. */
char *stream_place(struct stream *s, const struct piece *p);
/* What stays behind that offset does not any more. */
void stream_drop(struct stream *s, uint64_t from);

/* ---- stream.c ------------------------------------------------------------------------------------ */

void stream_free_slot(struct stream *s, struct slot *slot);
/* Waits for all reads; nothing that was read ahead is used. */
void stream_settle(struct stream *s);

#endif
