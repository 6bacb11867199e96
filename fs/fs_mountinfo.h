/* fs_mountinfo.h - the mounts of this namespace, read from /proc/self/mountinfo (proc(5)).
 *
 * Looking at a mount this way asks its file system nothing, so it is safe for our own (design rule R6)
 * and for one whose daemon is dead.
 */
#ifndef FS_FS_MOUNTINFO_H
#define FS_FS_MOUNTINFO_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define FS_MOUNT_TYPE "fuse.hearth"

struct fs_mount {
	char dir[PATH_MAX];             /* where, unescaped */
	char type[64];
	char source[PATH_MAX];
	unsigned major, minor;          /* of st_dev, which names the bdi */
};

/* Call each(ctx, mount) for every mount, in the order they were made (a later one on the same dir hides
 * the earlier), until it says false.  0 or negative errno. */
int fs_mountinfo_each(bool (*each)(void *ctx, const struct fs_mount *m), void *ctx)
	__attribute__((warn_unused_result));

/* The topmost mount exactly on dir; -ENOENT when there is none. */
int fs_mountinfo_at(const char *dir, struct fs_mount *out) __attribute__((warn_unused_result));
/* The mount that the absolute path dir lies on. */
int fs_mountinfo_of(const char *dir, struct fs_mount *out) __attribute__((warn_unused_result));

/* The mount that holds the bytes of the absolute path dir: as fs_mountinfo_of, but hearth's own mounts are looked
 * through.  Read from ROOT/proc/self/mountinfo; root is "/" or a test's. */
int fs_mountinfo_disk_of(const char *root, const char *dir, struct fs_mount *out) __attribute__((warn_unused_result));

/* A name as the kernel writes it in a table, blanks and the like as three octal digits, to the name itself; cut off
 * at cap, always terminated. */
void fs_mountinfo_unescape(char *out, size_t cap, const char *in);

/* Is path below dir (strictly), both absolute and normal? */
bool fs_path_below(const char *path, const char *dir);

#endif
