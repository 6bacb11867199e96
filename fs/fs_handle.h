/* fs_handle.h - open files and directories, by the fh that the kernel carries.
 *
 * An fh is a slot index with the slot's generation, never a pointer.  A handle is made by open and
 * ended by release; the kernel sends nothing for an fh after its release, so between the two a
 * request may use the handle without a lock.
 * Locks: the table's lock is a leaf (docs/locking.md).
 */
#ifndef FS_FS_HANDLE_H
#define FS_FS_HANDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs_handles;
struct tier_file;

struct fs_handle {
	uint64_t nodeid;
	int fd;                         /* on home; -1 for a virtual file */
	bool writable;
	struct tier_file *blob;         /* what tiering calls this open; NULL: no blob */
	char *text;                     /* a virtual file's content, as it was at open; owned */
	size_t text_len;
};

int fs_handles_new(struct fs_handles **out) __attribute__((warn_unused_result));
void fs_handles_free(struct fs_handles *t);     /* closes what is still open */

/* Takes h->fd, h->blob and h->text.  0 and the fh; -ENOMEM, -ENFILE (nothing taken). */
int fs_handle_add(struct fs_handles *t, const struct fs_handle *h, uint64_t *fh) __attribute__((warn_unused_result));
/* The handle, or NULL for an fh that is not open. */
struct fs_handle *fs_handle_get(struct fs_handles *t, uint64_t fh);
/* Take it out of the table; what *h has is the caller's again.  False if it was not open. */
bool fs_handle_del(struct fs_handles *t, uint64_t fh, struct fs_handle *h);

uint64_t fs_handle_count(struct fs_handles *t);

/* A duplicate of the descriptor of the next file open for writing at or after *cursor, which moves on;
 * -1 when there is no further one.  The caller closes it. */
int fs_handle_next_writable(struct fs_handles *t, uint32_t *cursor);

#endif
