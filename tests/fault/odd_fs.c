#define FUSE_USE_VERSION 317

#include "tests/fault/odd_fs.h"

#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define ODD_INO 2

unsigned char odd_byte(uint64_t off)
{
	return (unsigned char)(off * 2654435761u >> 13);
}

static void odd_stat(fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){ .st_ino = ino, .st_nlink = 1 };
	st->st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644;
	st->st_size = ino == FUSE_ROOT_ID ? 0 : ODD_LEN;
}

static void odd_init(void *userdata, struct fuse_conn_info *conn)
{
	struct odd_fs *fs = userdata;

	if (!fs->async)
		fuse_unset_feature_flag(conn, FUSE_CAP_ASYNC_DIO);
}

static void odd_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .ino = ODD_INO, .attr_timeout = 60, .entry_timeout = 60 };

	if (parent != FUSE_ROOT_ID || strcmp(name, "f") != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	odd_stat(ODD_INO, &e.attr);
	fuse_reply_entry(req, &e);
}

static void odd_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	odd_stat(ino, &st);
	fuse_reply_attr(req, &st, 60);
}

static void odd_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->direct_io = 1;
	fuse_reply_open(req, fi);
}

/* How much of a read or write is to be done; or answer it with an error, and 0. */
static size_t odd_allowed(fuse_req_t req, size_t size, off_t off)
{
	struct odd_fs *fs = fuse_req_userdata(req);
	unsigned most = atomic_load(&fs->most), bad = atomic_load(&fs->bad_from);

	atomic_fetch_add(&fs->asked, 1);
	if (atomic_load(&fs->refusals) > 0) {
		atomic_fetch_sub(&fs->refusals, 1);
		fuse_reply_err(req, atomic_load(&fs->error));
		return 0;
	}
	if ((uint64_t)off >= bad) {
		fuse_reply_err(req, EIO);
		return 0;
	}
	if (most > 0 && size > most)
		size = most;
	return size < bad - (uint64_t)off ? size : bad - (size_t)off;
}

static void odd_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	char *bytes;

	(void)ino;
	(void)fi;
	if (off >= ODD_LEN) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (size > ODD_LEN - (size_t)off)
		size = ODD_LEN - (size_t)off;
	size = odd_allowed(req, size, off);
	if (size == 0)
		return;
	bytes = malloc(size);
	if (bytes == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)odd_byte((uint64_t)off + i);
	fuse_reply_buf(req, bytes, size);
	free(bytes);
}

static void odd_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct odd_fs *fs = fuse_req_userdata(req);

	(void)ino;
	(void)fi;
	size = odd_allowed(req, size, off);
	if (size == 0)
		return;
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)buf[i] != odd_byte((uint64_t)off + i))
			atomic_fetch_add(&fs->wrong, 1);
	fuse_reply_write(req, size);
}

static void odd_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct odd_fs *fs = fuse_req_userdata(req);
	int error = atomic_load(&fs->refusals) > 0 ? atomic_load(&fs->error) : 0;
	bool held;

	(void)ino;
	(void)fi;
	atomic_fetch_add(&fs->asked, 1);
	if (error != 0)
		atomic_fetch_sub(&fs->refusals, 1);
	pthread_mutex_lock(&fs->lock);
	held = fs->hold && fs->count < ODD_HELD;
	if (held)
		fs->held[fs->count++] = req;
	pthread_mutex_unlock(&fs->lock);
	if (!held)
		fuse_reply_err(req, error != 0 ? error : datasync ? 0 : EINVAL);
}

static const struct fuse_lowlevel_ops odd_ops = {
	.init = odd_init, .lookup = odd_lookup, .getattr = odd_getattr, .open = odd_open, .read = odd_read,
	.write = odd_write, .fsync = odd_fsync,
};

static void *odd_serve(void *arg)
{
	fuse_session_loop(arg);
	return NULL;
}

bool odd_fs_mount(struct odd_fs *fs, const char *dir, bool async)
{
	char *argv[] = { "odd_fs", NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);

	memset(fs, 0, sizeof(*fs));
	fs->async = async;
	fs->dir = dir;
	atomic_store(&fs->bad_from, ODD_LEN);
	fs->session = fuse_session_new(&args, &odd_ops, sizeof(odd_ops), fs);
	fuse_opt_free_args(&args);
	if (fs->session == NULL)
		return false;
	if (fuse_session_mount(fs->session, dir) != 0)
		goto destroy_session;
	if (pthread_mutex_init(&fs->lock, NULL) != 0)
		goto unmount;
	if (pthread_create(&fs->thread, NULL, odd_serve, fs->session) != 0)
		goto destroy_lock;
	return true;

destroy_lock:
	pthread_mutex_destroy(&fs->lock);
unmount:
	fuse_session_unmount(fs->session);
destroy_session:
	fuse_session_destroy(fs->session);
	printf("nothing can be mounted here\n");
	return false;
}

void odd_fs_unmount(struct odd_fs *fs)
{
	odd_fs_let_go(fs);
	umount2(fs->dir, MNT_DETACH);           /* which ends the thread's loop */
	pthread_join(fs->thread, NULL);
	fuse_session_unmount(fs->session);
	pthread_mutex_destroy(&fs->lock);
	fuse_session_destroy(fs->session);
}

void odd_fs_hold_syncs(struct odd_fs *fs)
{
	pthread_mutex_lock(&fs->lock);
	fs->hold = true;
	pthread_mutex_unlock(&fs->lock);
}

void odd_fs_let_go(struct odd_fs *fs)
{
	struct fuse_req *held[ODD_HELD];
	unsigned count;

	pthread_mutex_lock(&fs->lock);
	fs->hold = false;
	count = fs->count;
	memcpy(held, fs->held, count * sizeof(held[0]));
	fs->count = 0;
	pthread_mutex_unlock(&fs->lock);
	for (unsigned i = 0; i < count; i++)
		fuse_reply_err(held[i], 0);
}
