/* fs_virtual.h - .hearth: what the mount says about itself, as read-only files under its root.
 *
 *     .hearth/stats        the whole state as JSON
 *     .hearth/metrics      the same counters in OpenMetrics text
 *     .hearth/map/INODE    extents of the file with that st_ino and where they are
 *
 * Node ids of these are computed, never in the inode table: bit 62 marks them, bit 61 the maps, whose
 * low bits are the st_ino.  A file's text is made when it is opened and stays as it was then.
 * .hearth answers by name and is not listed by its parent.
 */
#ifndef FS_FS_VIRTUAL_H
#define FS_FS_VIRTUAL_H

#include "fs/fs.h"

#define FS_VIRTUAL_NAME ".hearth"

static inline bool fs_virtual_is(fuse_ino_t ino)
{
	return (ino >> 62 & 1) != 0;
}

/* Does (parent, name) belong to .hearth, so that no file of home may be made or reached there? */
bool fs_virtual_owns(fuse_ino_t parent, const char *name);

/* Each replies. */
void fs_virtual_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_virtual_getattr(fuse_req_t req, fuse_ino_t ino);
void fs_virtual_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void fs_virtual_read(fuse_req_t req, const struct fs_handle *h, size_t size, off_t off);
void fs_virtual_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off);

#endif
