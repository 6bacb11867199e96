/* fs_inode_internal.h - the layout of the inode table, for fs_inode.c and fs_inode_open.c alone. */
#ifndef FS_FS_INODE_INTERNAL_H
#define FS_FS_INODE_INTERNAL_H

#include "fs/fs_inode.h"

#include <pthread.h>

#define FS_ROOT 1u                      /* FUSE_ROOT_ID */
#define FS_MAX_NODES (1u << 26)
#define FS_KEPT_MAX 256u

/* One name of a node.  In two lists: its child's names and a bucket of the name index. */
struct fs_name {
	struct fs_name *next_of_child, *next_in_bucket;
	uint32_t parent, child;
	char component[];
};

struct fs_open_fd {
	struct fs_open_fd *next;
	int fd;
	bool writable;
};

struct fs_node {
	uint64_t st_ino;
	uint64_t nlookup;               /* what the kernel will forget */
	uint32_t nodeid;
	uint32_t nopen;                 /* opens begun and not ended */
	uint32_t nchildren;             /* names that have this node as parent */
	enum fs_mode mode;
	enum tier_serve serve;
	uint64_t serve_token;
	int backing_id;                 /* of a native node, 0 otherwise */
	bool has_cached_ident;          /* false: the kernel has no pages yet */
	bool ident_trusted;             /* nothing can have changed the file and left cached_ident equal */
	bool native_written;            /* opened natively for writing since the kernel learned it */
	bool retired;                   /* no longer what its st_ino leads to */
	struct stat *last;              /* of a retired node, or NULL; owned */
	int kept;                       /* a descriptor (O_PATH) of a node that lost its last name, or -1; owned */
	struct home_ident cached_ident; /* of home's file, whose bytes FUSE's page cache shows */
	struct fs_name *names;
	struct fs_open_fd *fds;
	struct fs_node *next_in_bucket;
};

struct fs_inodes {
	const struct home *home;        /* constant */
	const struct io *io;            /* constant */
	pthread_mutex_t lock;           /* guards all below, and every node and name */
	pthread_cond_t decided;         /* some node left FS_MODE_DECIDING */
	struct fs_node **slots;         /* [nslots], NULL where free; index is the nodeid */
	uint32_t *free_slots;           /* [nfree] of [nslots] */
	uint32_t nslots, nfree, nused;
	struct fs_node **by_ino;        /* [nbuckets] */
	struct fs_name **by_name;       /* [nbuckets] */
	uint32_t nbuckets;              /* a power of two, >= nslots */
	int shut[FS_KEPT_MAX];          /* [nshut] kept of nodes that are gone, to be closed without the lock */
	uint32_t nshut, nkept;          /* nkept: these and the nodes' */
};

/* All with t->lock held. */
struct fs_node *fs_node_at(const struct fs_inodes *t, uint64_t nodeid);
void fs_node_reap(struct fs_inodes *t, struct fs_node *first);

/* Not held: close what reaped nodes kept. */
void fs_inodes_shut(struct fs_inodes *t);

#endif
