/* fs_cli_progress.h - how far a long work is: rate, time to go, and a bar that fits a line.
 *
 * Threads: no state; any thread.
 */
#ifndef FS_FS_CLI_PROGRESS_H
#define FS_FS_CLI_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

struct fs_progress {
	uint64_t last_ns;               /* of the last sample; 0: none yet */
	uint64_t done, total;           /* bytes */
	double rate;                    /* bytes a second: a mean that forgets with a time constant of 5 s */
};

/* done of total bytes are there at now_ns (monotonic).  done may go back: that counts as no progress. */
void fs_progress_sample(struct fs_progress *p, uint64_t now_ns, uint64_t done, uint64_t total);

/* "LABEL [#####-----]  50%  2.3 GB of 4.7 GB  148 MB/s  ETA 0:16" of at most width columns and cap - 1 bytes;
 * what does not fit is left out, the time first and the percentage last.  Returns the columns used. */
int fs_progress_line(const struct fs_progress *p, const char *label, int width, char *buf, size_t cap);

/* cells times '#' or '-'; all '#' only when done is total. */
void fs_progress_bar(char *buf, int cells, uint64_t done, uint64_t total);
int fs_progress_percent(uint64_t done, uint64_t total);         /* rounded down */
/* "0:16", "1:02:03", "over 4 d"; "--:--" when the rate is 0. */
const char *fs_progress_eta(uint64_t left, double rate, char buf[16]);

#endif
