#include "fs/fs_native.h"
#include "fs/fs.h"

#include <errno.h>
#include <string.h>

void fs_native_refuse(struct fs_native *n, const char *why, bool log)
{
	const char *none = NULL;

	if (atomic_compare_exchange_strong(&n->why_not, &none, why) && log)
		log_warn("no native reads: %s; files are served through the page cache", why);
	atomic_store(&n->allowed, false);
}

int fs_native_register(struct fs_native *n, struct fuse_req *req, int fd)
{
	static struct log_site site;
	int id;

	if (!atomic_load(&n->allowed))
		return 0;
	id = fuse_passthrough_open(req, fd);
	if (id > 0)
		return id;
	switch (errno) {
	case EPERM:
		fs_native_refuse(n, "the kernel asks for root (CAP_SYS_ADMIN in the first user namespace)", true);
		break;
	case ENOTTY:
	case EOPNOTSUPP:
	case ENOSYS:
		fs_native_refuse(n, "the kernel has no passthrough for this mount", true);
		break;
	case ELOOP:
		fs_native_refuse(n, "home's file system is stacked on others", true);
		break;
	default:                        /* out of memory or ids: this file only */
		if (log_site_due(&site))
			log_warn("cannot register a backing file: %s", strerror(errno));
	}
	return 0;
}

void fs_native_unregister(struct fuse_req *req, int backing_id)
{
	if (backing_id > 0)
		fuse_passthrough_close(req, backing_id);
}
