#include "fs/fs.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int fs_err(struct fs *fs, int rc)
{
	if (rc == -EIO)
		fs_count(fs, FS_IO_ERRORS, 1);
	return -rc;
}

/* Ask for what reference behaviour needs, and for nothing that would change it. */
static void fs_op_init(void *userdata, struct fuse_conn_info *conn)
{
	static const uint64_t unwanted[] = {
		FUSE_CAP_AUTO_INVAL_DATA,       /* drops a running model's pages at any change of mtime */
		FUSE_CAP_WRITEBACK_CACHE,       /* would hide write errors, and disables passthrough */
		FUSE_CAP_SPLICE_READ, FUSE_CAP_SPLICE_WRITE, FUSE_CAP_SPLICE_MOVE,      /* slower here */
		FUSE_CAP_POSIX_ACL,
	};
	static const uint64_t wanted[] = {
		FUSE_CAP_EXPLICIT_INVAL_DATA, FUSE_CAP_PARALLEL_DIROPS, FUSE_CAP_ASYNC_READ, FUSE_CAP_ASYNC_DIO,
		FUSE_CAP_ATOMIC_O_TRUNC, FUSE_CAP_HANDLE_KILLPRIV_V2, FUSE_CAP_DIRECT_IO_ALLOW_MMAP,
		FUSE_CAP_EXPIRE_ONLY,
	};
	struct fs *fs = userdata;

	for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++)
		fuse_unset_feature_flag(conn, unwanted[i]);
#ifdef FUSE_CAP_OVER_IO_URING
	fuse_unset_feature_flag(conn, FUSE_CAP_OVER_IO_URING);
#endif
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		fuse_set_feature_flag(conn, wanted[i]);
	conn->max_write = FS_REQUEST_BYTES;
	conn->max_readahead = UINT32_MAX;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
	if (!atomic_load(&fs->native.allowed))
		return;
	conn->max_backing_stack_depth = home_is_stacked(fs->home) ? 1 : 0;
	if (!fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH))
		fs_native_refuse(&fs->native, "this kernel has no FUSE passthrough (it came with Linux 6.9)", true);
}

/* poll is left out on purpose: ENOSYS tells the kernel that files are always ready.  So are flock and
 * lock, which makes the kernel do them itself, and access, which default_permissions does. */
const struct fuse_lowlevel_ops fs_ops = {
	.init = fs_op_init,
	.lookup = fs_op_lookup,
	.forget = fs_op_forget,
	.forget_multi = fs_op_forget_multi,
	.getattr = fs_op_getattr,
	.setattr = fs_op_setattr,
	.readlink = fs_op_readlink,
	.mknod = fs_op_mknod,
	.mkdir = fs_op_mkdir,
	.symlink = fs_op_symlink,
	.unlink = fs_op_unlink,
	.rmdir = fs_op_rmdir,
	.rename = fs_op_rename,
	.link = fs_op_link,
	.open = fs_op_open,
	.create = fs_op_create,
	.tmpfile = fs_op_tmpfile,
	.release = fs_op_release,
	.read = fs_op_read,
	.write = fs_op_write,
	.flush = fs_op_flush,
	.fsync = fs_op_fsync,
	.fallocate = fs_op_fallocate,
	.lseek = fs_op_lseek,
	.copy_file_range = fs_op_copy_file_range,
	.opendir = fs_op_opendir,
	.readdir = fs_op_readdir,
	.releasedir = fs_op_releasedir,
	.fsyncdir = fs_op_fsyncdir,
	.statfs = fs_op_statfs,
	.setxattr = fs_op_setxattr,
	.getxattr = fs_op_getxattr,
	.listxattr = fs_op_listxattr,
	.removexattr = fs_op_removexattr,
};
