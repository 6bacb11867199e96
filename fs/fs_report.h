/* fs_report.h - the state of the mount as text. */
#ifndef FS_FS_REPORT_H
#define FS_FS_REPORT_H

#include "fs/fs.h"

/* Each returns 0 and an owned, terminated string in *out, or negative errno. */
int fs_report_stats(struct fs *fs, char **out) __attribute__((warn_unused_result));     /* JSON */
int fs_report_metrics(struct fs *fs, char **out) __attribute__((warn_unused_result));   /* OpenMetrics 1.0 */
/* tier_map_print of a node; -ENOENT when it is no regular file of home. */
int fs_report_map(struct fs *fs, uint64_t nodeid, char **out) __attribute__((warn_unused_result));
/* Bytes per tier of a file, or of all files below a directory. */
int fs_report_usage(struct fs *fs, uint64_t nodeid, struct tier_usage *out) __attribute__((warn_unused_result));

#endif
