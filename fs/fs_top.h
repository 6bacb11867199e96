/* fs_top.h - what `hearth top` shows: samples of a mount's state, and their layout as lines.
 *
 * Nothing here knows a terminal: a sample is made from texts and files, the layout is a function of a sample
 * and of what the viewer chose.
 * Threads: no state; a sample belongs to one thread at a time.
 */
#ifndef FS_FS_TOP_H
#define FS_FS_TOP_H

#include "fs/fs_cli_answer.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FS_TOP_MOVES_MAX 256            /* more are counted and not kept */
#define FS_TOP_WIDTH_MAX 400            /* columns; a wider terminal stays empty to the right */
#define FS_TOP_WIDTH_MIN 24             /* a narrower one cuts the lines */

struct fs_top_tier {
	char name[FS_TIER_NAME], state[32];
	char reason[160];               /* "" or why the state is not ok */
	uint64_t used, limit;           /* bytes; limit 0: none is known */
	uint64_t pinned, locked;
	uint64_t read;                  /* bytes read from it since the mount was made */
	bool counted;                   /* read is known */
	double read_rate;               /* bytes a second; < 0: not known */
};

struct fs_top_move {
	char blob[128], from[FS_TIER_NAME], to[FS_TIER_NAME];
	uint64_t done, total;           /* bytes */
	double rate;                    /* bytes a second */
};

struct fs_top_model {
	char *name, *weights;           /* owned; weights: the file name of its largest blob, or NULL */
	uint64_t bytes;
	struct fs_tiers held;           /* of its blobs that are tiered */
	double heat_mean, heat_max;     /* mean: by bytes */
	char pin[FS_TIER_NAME];         /* "none", a tier, or "some": not all blobs alike */
};

struct fs_top_sample {
	uint64_t at_ns;                 /* monotonic */
	char mount[PATH_MAX], version[32];
	int64_t started;                /* seconds since 1970 */
	int64_t now;                    /* the same, of the sample */
	struct fs_top_tier tier[FS_TIERS_MAX];
	size_t ntiers;
	struct fs_top_move move[FS_TOP_MOVES_MAX];
	size_t nmoves, moves_more;
	struct fs_top_model *model;     /* [nmodels]; owned */
	size_t nmodels;
	char trouble[256];              /* "" or why there is nothing else in it */
};

/* ---- fs_top_stats.c: from texts ---- */
/* From user.hearth.stats: an owned sample with tiers and moves, no models; what a mount of another version does not
 * tell is 0.  0; -EINVAL and a line; -ENOMEM. */
int fs_top_parse(const char *text, size_t len, struct fs_top_sample **out, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void fs_top_sample_free(struct fs_top_sample *s);       /* NULL is a no-op */
/* Add what .hearth/metrics counts: hearth_read_bytes_total{...tier="NAME"...}, summed by tier.  Lines that are
 * something else are passed over. */
void fs_top_take_metrics(struct fs_top_sample *s, const char *text);
/* Read rates of now from the counters of before, an earlier sample or NULL; a counter that went back (another
 * daemon) gives no rate.  Moves that tell no rate get one from the bytes done. */
void fs_top_rates(struct fs_top_sample *now, const struct fs_top_sample *before);

/* ---- fs_top_gather.c: from a mount ---- */
/* All of it, models too.  Never fails but for memory (NULL): trouble says what the mount did not answer. */
struct fs_top_sample *fs_top_gather(const char *dir);

/* ---- fs_top_layout.c: to lines ---- */
enum fs_top_sort { FS_TOP_BY_HEAT, FS_TOP_BY_SIZE, FS_TOP_BY_FAST, FS_TOP_BY_NAME };    /* fast: bytes above home */
enum fs_top_kind { FS_TOP_PLAIN, FS_TOP_TITLE, FS_TOP_HEAD, FS_TOP_ALARM };

struct fs_top_view {
	int width, height;              /* columns; lines, 0: as many as it takes */
	enum fs_top_sort sort;
	size_t first;                   /* how many models are scrolled away */
	bool keys;                      /* say which keys there are */
	unsigned late_s;                /* the sample is so old because the mount does not answer; 0: it does */
};

struct fs_top_line {
	enum fs_top_kind kind;
	char text[FS_TOP_WIDTH_MAX + 1];        /* printable ASCII */
};

/* The lines of a screen: *out is owned, [*n].  Sorts the sample's models.  0 or -ENOMEM. */
int fs_top_layout(struct fs_top_sample *s, const struct fs_top_view *v, struct fs_top_line **out, size_t *n)
	__attribute__((warn_unused_result));

#endif
