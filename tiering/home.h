/* home.h - the directory that holds every file whole, under its own name: the truth.
 *
 * Invariants:
 *  H1  everything is opened beneath one descriptor taken before any mount, so home may be the
 *      mountpoint itself; no path leaves home, crosses a mount or follows a symbolic link.
 *  H2  one hearth at a time holds a home: flock(2) on the directory, which ends with the process.
 *  H3  home is one file system (st_dev); what lies on another one is refused with EXDEV.
 * Threads: open and close are exclusive; all else may be called by any thread at once.
 */
#ifndef TIERING_HOME_H
#define TIERING_HOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct home;
struct io;

/* What must be unchanged for a copy, or for cached pages, of a file of home to be still true. */
struct home_ident {
	uint64_t ino, size;
	struct timespec mtime, ctime;
};

/* Open and lock the directory.  io is borrowed until home_close.
 * 0 and an owned home in *out; -ENOENT, -ENOTDIR, -EACCES, -EBUSY (another hearth has it), -ENOMEM;
 * err says which directory and what to do. */
int home_open(struct home **out, const char *dir, const struct io *io, char *err, size_t errlen)
	__attribute__((warn_unused_result));
void home_close(struct home *h);        /* takes h; NULL is a no-op */

const char *home_path(const struct home *h);       /* absolute, as it was before any mount */
bool home_is_stacked(const struct home *h);        /* overlayfs: a backing file adds a level */
bool home_is_network(const struct home *h);        /* NFS: hide .nfs* names */

/* Open rel ("" is home itself) beneath home.  The descriptor is the caller's.  -EXDEV (H3). */
int home_openat(const struct home *h, const char *rel, int flags) __attribute__((warn_unused_result));
/* The same for one name in a directory of home that is open as dirfd. */
int home_openat_dir(const struct home *h, int dirfd, const char *name, int flags, mode_t mode)
	__attribute__((warn_unused_result));

/* Call each(ctx, name) for every entry but "." and ".." of the directory that is open as dirfd, until it
 * says other than 0, which is then returned.  0, or negative errno. */
int home_list(const struct home *h, int dirfd, int (*each)(void *ctx, const char *name), void *ctx)
	__attribute__((warn_unused_result));

int home_statvfs(const struct home *h, struct statvfs *sv) __attribute__((warn_unused_result));

/* fsync the directory rel and each one above it up to home, so that every name on the way to an
 * entry of rel is durable, also those that somebody made just before.  First error, or 0. */
int home_sync_dirs(const struct home *h, const char *rel) __attribute__((warn_unused_result));

struct home_ident home_ident(const struct stat *st);
bool home_ident_equal(const struct home_ident *a, const struct home_ident *b);
/* Equal but for the ctime: names, owner or mode may have changed in between. */
bool home_ident_same_data(const struct home_ident *a, const struct home_ident *b);
/* True when the file was last changed over two seconds before now (both of the real-time clock), so
 * that a later change cannot carry the same time stamps. */
bool home_ident_settled(const struct home_ident *id, const struct timespec *now);

#endif
