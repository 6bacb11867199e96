/* stream.h - weights that do not fit: some stay in memory, the others are read while what came before is computed with.
 *
 * Matrices are divided into pieces of whole rows, at most STREAM_PIECE bytes each.  The first pass notes the order in
 * which pieces are asked for; from then on those that are not held are read ahead in that order into a ring of slots,
 * over the end of a pass into the next one, since a pass comes a token.  Which are held is decided once, evenly over
 * the order, and never changes: in a cycle larger than memory every other rule would throw out what is needed next.
 * Pieces of experts are not in the order: they are read when the router has named them.  Those that are used most stay; one
 * that was not used for a while goes when another has clearly become the hotter.  As long as there is room for more of them,
 * others are read when nothing else is.
 *
 * What the page cache has anyhow, because hearth or others hold it there, is used in place and not read.
 *
 * Invariants:
 *  T1  memory is what is held and the ring, however large the model is.
 *  T2  a piece that was taken stays where it is until it is released.
 *  T3  what is computed does not depend on what is held or on when reads end.
 * Threads: one caller at a time; the pieces themselves may be read by any thread between take and release.
 */
#ifndef ENGINE_STREAM_H
#define ENGINE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAM_PIECE ((size_t)4 << 20)

struct stream;
struct weights;

struct stream_params {
	uint64_t hold;                  /* bytes of memory for what stays */
	uint64_t dense;                 /* bytes of all matrices that every pass asks for */
	size_t piece;                   /* bytes, at most STREAM_PIECE; a row that is larger is a piece of its own up to that */
	size_t slot;                    /* bytes, of whole weights_align: of the largest piece, and one at both ends */
	uint32_t slots;                 /* of the ring, at least 3 */
	uint32_t reserve;               /* of them for experts */
	bool plain;                     /* no io_uring */
	bool buffered;                  /* no O_DIRECT */
	bool apart;                     /* nothing is used in place, even if it is in memory */
};

/* Borrows w.  0; -EINVAL, -ENOMEM, -EAGAIN or an error of the system with a line in err. */
int stream_open(struct stream **out, struct weights *w, const struct stream_params *p, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void stream_close(struct stream *s);            /* takes s; NULL is a no-op */

/* A pass through the model begins; tail: it goes on to the output behind the layers, which stream_tail says. */
void stream_begin(struct stream *s, bool tail);
void stream_tail(struct stream *s);

/* A matrix in w's mapping. */
struct stream_matrix { const void *data; size_t row_bytes; uint32_t rows; bool routed; };
/* How many rows the pieces of such a matrix have, but the last; the same where pieces are of at most so many bytes. */
uint32_t stream_piece_rows(const struct stream *s, size_t row_bytes);
uint32_t stream_rows_of_piece(size_t piece, size_t row_bytes);

/* Rows row0 .. of a matrix, row0 a multiple of its pieces' rows.  Without wait NULL when they are not there yet.  In the
 * end always a pointer: where the read failed to zeros, and stream_error says it. */
const void *stream_take(struct stream *s, const struct stream_matrix *m, uint32_t row0, bool wait);
/* All that was taken goes. */
void stream_release(struct stream *s);
/* These will be taken soon: begin to read them. */
void stream_want(struct stream *s, const struct stream_matrix *m);

/* Experts that may be read while nothing else is, until what stays is full.  Told in the order in which they are. */
void stream_spare(struct stream *s, const struct stream_matrix *m);

/* ---- stream_layers.c: a pass that takes a layer with batch after batch of tokens before it goes on ------------------- */

/* Memory of what stays becomes `slots` more slots, in which all pieces of a layer can wait for the next batch, and `bytes`
 * besides, which are returned: aligned to 64, the caller's until stream_whole.  What was held there is read again when it is
 * asked for.  NULL: there is not so much; nothing has changed then.  Not in a pass. */
void *stream_lend(struct stream *s, uint32_t slots, size_t bytes);
/* It is as before. */
void stream_whole(struct stream *s);
/* A layer begins, whose pieces will be asked for by more batches; another of them begins, last: the last one. */
void stream_layer(struct stream *s);
void stream_again(struct stream *s, bool last);
/* How many slots there are. */
uint32_t stream_slots(const struct stream *s);

/* ---- stream.c ---------------------------------------------------------------------------------------------------------- */

/* Rows of a table, one behind the other, the stream's until the next call. */
const void *stream_rows(struct stream *s, const void *data, size_t row_bytes, const uint32_t *ids, uint32_t n);

/* 0, or what the first read that failed said. */
int stream_error(const struct stream *s);

/* Bytes that were read and that are held, passes, time that was waited for reads and in which reads were under way,
 * "io_uring" or "threads"; pieces of experts that were taken, and of these what was held. */
struct stream_stats { uint64_t read, held, passes, routed, routed_held; double wait_s, busy_s; const char *kind; };
void stream_stats(const struct stream *s, struct stream_stats *out);

#endif
