/* fs_inode.h - who is who: the table behind the node ids that the kernel knows.
 *
 * Three identifier spaces meet here.
 *   nodeid   what FUSE calls an inode: an index into the table (FUSE_ROOT_ID is home itself).  It lives
 *            until the kernel forgets it; it is never a pointer, so a later process can adopt it.
 *   st_ino   what home calls it and what clients see in stat(2).  All names of one home inode share one
 *            nodeid.  A nodeid may be retired while it is still open: the st_ino then gets a new one.
 *   name     (parent nodeid, component).  Names are hints: they were true when they were seen.  To
 *            reach a file its names are tried until one still leads to its st_ino, and a file that
 *            lost its names is reached through any handle that is open on it, or through the
 *            descriptor that was kept when the last one went.
 * No other descriptor is kept for a known inode; one is kept for each open file.
 *
 * Invariants (fs_inode_check walks them):
 *  N1  a slot is in use <=> it is referenced: lookups, open handles, children that name it as parent.
 *  N2  the st_ino index leads to at most one nodeid for an inode, the newest.
 *  N3  every name is in its child's list and in the name index; (parent, component) is unique.
 * Locks: table->lock guards everything in this file and is a leaf: nothing is called under it and no
 * I/O is done under it.  See docs/locking.md.
 * Threads: new and free are exclusive; all else locks for itself.
 */
#ifndef FS_FS_INODE_H
#define FS_FS_INODE_H

#include "tiering/tier.h"

#include <stdbool.h>
#include <stdint.h>

struct fs_inodes;

/* How an inode is open (design rule R5: one inode, one mode, from its first open to its last release). */
enum fs_mode {
	FS_MODE_NONE,                   /* not open */
	FS_MODE_DECIDING,               /* its first open is being answered; others wait for the outcome */
	FS_MODE_CACHED,                 /* through FUSE's page cache, the daemon serves reads and writes */
	FS_MODE_NATIVE                  /* passthrough to one backing file */
};

/* 0 and an owned table that borrows home, with the root in it; or -ENOMEM. */
int fs_inodes_new(struct fs_inodes **out, const struct home *home, const struct io *io, uint64_t root_ino)
	__attribute__((warn_unused_result));
void fs_inodes_free(struct fs_inodes *t);

/* The kernel is about to learn that name in parent is st_ino: find or make the node, count one
 * lookup, remember the name.  0 and the nodeid; -ENOMEM, -ENFILE, -ESTALE (parent is not known any
 * more); *out untouched on failure.
 * name may be NULL: a file without one (O_TMPFILE). */
int fs_inode_learn(struct fs_inodes *t, uint64_t parent, const char *name, uint64_t st_ino, uint64_t *out)
	__attribute__((warn_unused_result));
void fs_inode_forget(struct fs_inodes *t, uint64_t nodeid, uint64_t nlookup);

/* What a change of names did on home. */
void fs_inode_unname(struct fs_inodes *t, uint64_t parent, const char *name);
void fs_inode_rename(struct fs_inodes *t, uint64_t parent, const char *name, uint64_t newparent,
		     const char *newname, bool exchange);

/* The st_ino leads to this node no longer: the file's last name is gone (the number may come back as
 * another file), or new opens are to be answered in another mode than the node's.  Opens that it has
 * live on.  last, or NULL: what stat(2) is to say of it when nothing leads to the file any more. */
void fs_inode_retire(struct fs_inodes *t, uint64_t nodeid, const struct stat *last);
/* What was given as last; false if nothing was. */
bool fs_inode_last_stat(struct fs_inodes *t, uint64_t nodeid, struct stat *last);

/* The node's last name is about to go.  fd, open on it with O_PATH and the table's from now on, is kept until the kernel
 * forgets the node, so that an open whose look-up was before still reaches the file; closed where that cannot be (256
 * are).  unkeep: the name stayed. */
void fs_inode_keep(struct fs_inodes *t, uint64_t nodeid, int fd);
void fs_inode_unkeep(struct fs_inodes *t, uint64_t nodeid);

uint64_t fs_inode_st_ino(struct fs_inodes *t, uint64_t nodeid);
/* The nodeid of a home inode that the kernel knows, or 0. */
uint64_t fs_inode_by_st_ino(struct fs_inodes *t, uint64_t st_ino);
uint64_t fs_inode_count(struct fs_inodes *t);

/* Path of a node below home ("" is the root) by its i-th name; false when it has no i-th name or it is
 * longer than PATH_MAX. */
bool fs_inode_path(struct fs_inodes *t, uint64_t nodeid, unsigned i, char *path);

/* Open the node with flags (O_PATH ...): by its names, verified against st_ino, else through a
 * handle that is open on it or what was kept of it.  A descriptor of the caller's, -ESTALE when it can no longer be
 * reached, or what opening said. */
int fs_inode_open(struct fs_inodes *t, uint64_t nodeid, int flags) __attribute__((warn_unused_result));

/* ---- open state ---------------------------------------------------------------------------------
 * begin tells the mode in which this open must be answered and counts it:
 *   FS_MODE_DECIDING  the caller is the first: it decides and says so with fs_inode_open_decided
 *   otherwise         join that mode, with *backing_id when it is native
 * It waits while another first open is deciding.  Each begin is paired with one end; end returns the
 * backing id to close (0: none) when it was the last. */
enum fs_mode fs_inode_open_begin(struct fs_inodes *t, uint64_t nodeid, int *backing_id);
void fs_inode_open_decided(struct fs_inodes *t, uint64_t nodeid, enum fs_mode mode, int backing_id);
int fs_inode_open_end(struct fs_inodes *t, uint64_t nodeid);

/* How tiering has the node served, and of which copy, as tier_file_serve said to its first open: set by who
 * decides, before fs_inode_open_decided; constant while the node is open. */
void fs_inode_set_serve(struct fs_inodes *t, uint64_t nodeid, enum tier_serve serve, uint64_t token);
enum tier_serve fs_inode_serve(struct fs_inodes *t, uint64_t nodeid, uint64_t *token);
/* Whether its st_ino leads elsewhere by now: an open that still reaches it joins its mode. */
bool fs_inode_is_retired(struct fs_inodes *t, uint64_t nodeid);

/* The node was opened natively for writing.  It stays so while the kernel knows it: a writable mapping
 * outlives its handle's release and goes on changing home's pages, its times and its size, with
 * nothing said to us.  So its later opens are native as well, and its attributes are not cached. */
void fs_inode_set_native_written(struct fs_inodes *t, uint64_t nodeid);
bool fs_inode_native_written(struct fs_inodes *t, uint64_t nodeid);
/* Nobody has it open for writing or mapped writable any more: a lease proved that. */
void fs_inode_clear_native_written(struct fs_inodes *t, uint64_t nodeid);

/* A handle is open on the node as fd until the same call with -1 in its place; fs_inode_open may go
 * through it.  borrow pins a descriptor of the node's (a duplicate, the caller closes it) or says
 * -ENOENT. */
void fs_inode_handle_add(struct fs_inodes *t, uint64_t nodeid, int fd, bool writable);
void fs_inode_handle_del(struct fs_inodes *t, uint64_t nodeid, int fd);
int fs_inode_borrow(struct fs_inodes *t, uint64_t nodeid) __attribute__((warn_unused_result));

/* ---- FUSE's page cache --------------------------------------------------------------------------
 * Pages of a cached node are kept across opens as long as home's file is the one they were read from.
 * Changes through the mount keep them true by themselves, so each is told with own_change; only a
 * change behind the mount makes an open drop them.  They must not be dropped without need: the kernel
 * shows a write in its pages before it has reached home, and pages dropped in between would be read
 * back old.
 *
 * keep: for an open, before its handle is added.  id is what stat(2) of home says; may the pages stay?
 * own_change: id is what it says after a change of ours; data: bytes or size changed, not only names,
 * owner, mode or times. */
bool fs_inode_keep_cache(struct fs_inodes *t, uint64_t nodeid, const struct home_ident *id,
			 const struct timespec *now);
void fs_inode_own_change(struct fs_inodes *t, uint64_t nodeid, const struct home_ident *id, bool data);

/* Check N1-N3; 0, or -EINVAL and a line about the first violation. */
int fs_inode_check(struct fs_inodes *t, char *err, size_t errlen) __attribute__((warn_unused_result));

#endif
