/* fs_creds.h - make names on home as the caller would: with its uid and gid.
 *
 * The kernel has checked the caller's permission (default_permissions), with groups that we do not
 * see; so the owner is the caller's and the right to write into the directory is ours.
 * Threads: acts on the calling thread only.
 */
#ifndef FS_FS_CREDS_H
#define FS_FS_CREDS_H

#include <stdbool.h>
#include <sys/types.h>

/* Take on uid and gid for file system access.  False when nothing was changed (not root, or root
 * itself asks).  Pass the answer to fs_creds_restore. */
bool fs_creds_become(uid_t uid, gid_t gid);
void fs_creds_restore(bool became);

#endif
