#include "fs/fs_mount.h"
#include "fs/fs.h"
#include "fs/fs_mountinfo.h"
#include "fs/fs_notify.h"
#include "fs/fs_tick.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FS_THREADS 16                   /* requests served at once; reads of a slow disk occupy one each */

/* One try: a file whose whole content is the text. */
static int fs_mount_write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc = 0;

	if (fd == -1)
		return -errno;
	if (write(fd, text, strlen(text)) == -1)
		rc = -errno;
	close(fd);
	return rc;
}

/* What a server that other processes' memory hangs on asks of the kernel.  Each may be refused. */
static void fs_mount_harden(void)
{
	struct rlimit files;

	umask(0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (geteuid() != 0)
		return;
	fs_mount_write_text("/proc/self/oom_score_adj", "-1000");
#ifdef PR_SET_IO_FLUSHER
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
#endif
}

/* Without root, others may look in only where the administrator allows it. */
static bool fs_mount_may_allow_other(void)
{
	char line[256];
	bool allowed = false;
	FILE *f;

	if (geteuid() == 0)
		return true;
	f = fopen("/etc/fuse.conf", "re");
	while (f != NULL && !allowed && fgets(line, sizeof(line), f) != NULL)
		allowed = strncmp(line, "user_allow_other", 16) == 0;
	if (f != NULL)
		fclose(f);
	return allowed;
}

/* Escape commas and backslashes of a path for a mount option list. */
static void fs_mount_escape(char *out, size_t cap, const char *in)
{
	size_t n = 0;

	for (; *in != '\0' && n + 2 < cap; in++) {
		if (*in == ',' || *in == '\\')
			out[n++] = '\\';
		out[n++] = *in;
	}
	out[n] = '\0';
}

static struct fuse_session *fs_mount_session(struct fs *fs, const struct fs_mount_options *o)
{
	char name[8192], opts[12288];
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;
	bool others = fs_mount_may_allow_other();

	if (!others)
		log_warn("only you can see this mount: add 'user_allow_other' to /etc/fuse.conf for others");
	fs_mount_escape(name, sizeof(name), home_path(fs->home));
	snprintf(opts, sizeof(opts), "-o%sdefault_permissions,nosuid,nodev,noatime,subtype=hearth,fsname=%s%s%s",
		 others ? "allow_other," : "", name, o->kernel != NULL ? "," : "",
		 o->kernel != NULL ? o->kernel : "");
	if (fuse_opt_add_arg(&args, "hearth") == 0 && fuse_opt_add_arg(&args, opts) == 0 &&
	    (!o->debug || fuse_opt_add_arg(&args, "-d") == 0))
		se = fuse_session_new(&args, &fs_ops, sizeof(fs_ops), fs);
	fuse_opt_free_args(&args);
	return se;
}

/* The kernel starts every FUSE mount with 128 KiB of read-ahead, and INIT can only lower it. */
void fs_mount_raise_read_ahead(struct fs *fs)
{
	char path[128], text[16];
	struct fs_mount m;
	int rc;

	rc = fs_mountinfo_at(fs->mountpoint, &m);
	if (rc != 0)
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", m.major, m.minor);
	snprintf(text, sizeof(text), "%d", FS_READ_AHEAD_KIB);
	rc = fs_mount_write_text(path, text);
	if (rc != 0)
		log_warn("cannot raise read-ahead to %d KiB in '%s': %s; sequential reads through the page cache "
			 "will be slow", FS_READ_AHEAD_KIB, path, strerror(-rc));
	else
		atomic_store(&fs->read_ahead_kib, FS_READ_AHEAD_KIB);
}

static void fs_mount_drop_pages(void *ctx, uint64_t st_ino)
{
	struct fs *fs = ctx;

	fs_notify_drop_pages(fs->notify, st_ino);
}

/* home, caches and RAM, as the options say. */
static int fs_mount_tiers(struct fs *fs, const struct fs_mount_options *o, const struct fs_places *p, const struct io *io,
			  char *err, size_t errlen)
{
	struct tier_cache_config cache[FS_OPTION_LIST_MAX] = { { .name = NULL } };
	struct tier_config cfg = { .home = p->home, .io = io, .cache = cache, .caches = o->cache.count,
				   .native_home_only = o->native != NULL && strcmp(o->native, "home") == 0,
				   .drop_pages = fs_mount_drop_pages, .ctx = fs };
	int rc;

	rc = tier_parse_ram(o->ram != NULL ? o->ram : "50%", &cfg.ram, err, errlen);
	for (unsigned i = 0; rc == 0 && i < o->cache.count; i++)
		rc = tier_parse_cache(o->cache.item[i], &cache[i], err, errlen);
	if (rc == 0)
		rc = tier_open(&fs->tier, &cfg, err, errlen);
	for (unsigned i = 0; i < o->cache.count; i++)
		tier_cache_config_free(&cache[i]);
	return rc;
}

static int fs_mount_open(struct fs *fs, const struct fs_mount_options *o, const struct fs_places *p, const struct io *io)
{
	char err[512] = "out of memory";
	struct stat st;
	int fd, rc;

	fs->started = time(NULL);
	fs->is_root = geteuid() == 0;
	snprintf(fs->mountpoint, sizeof(fs->mountpoint), "%s", p->mountpoint);
	atomic_init(&fs->native.allowed, true);
	if (o->native != NULL && strcmp(o->native, "off") == 0)
		fs_native_refuse(&fs->native, "switched off by --native=off", false);
	else if (!fs->is_root)
		fs_native_refuse(&fs->native, "not root (the kernel asks for CAP_SYS_ADMIN)", true);
	rc = fs_notify_new(&fs->notify, fs);
	if (rc == 0)
		rc = fs_mount_tiers(fs, o, p, io, err, sizeof(err));
	if (rc != 0)
		goto said;
	fs->home = tier_home(fs->tier);
	fs->io = tier_io(fs->tier);
	fd = home_openat(fs->home, "", O_PATH | O_DIRECTORY);
	rc = fd < 0 ? fd : io_fstat(fs->io, fd, &st);
	if (fd >= 0)
		io_close(fs->io, fd);
	if (rc == 0)
		rc = fs_inodes_new(&fs->inodes, fs->home, fs->io, st.st_ino);
	if (rc == 0)
		rc = fs_handles_new(&fs->handles);
	if (rc == 0)
		return 0;
	snprintf(err, sizeof(err), "cannot start: %s", strerror(-rc));
said:
	log_err("%s", err);
	return rc;
}

static void fs_mount_close(struct fs *fs)
{
	fs_handles_free(fs->handles);
	fs_inodes_free(fs->inodes);
	tier_close(fs->tier);
	fs_notify_free(fs->notify);
}

/* Serve until unmounted or told to end.  ready: the write end of the parent's pipe, or -1. */
static int fs_mount_loop(struct fs *fs, const struct fs_mount_options *o, int ready)
{
	struct fuse_loop_config *loop = NULL;
	struct fs_tick *tick = NULL;
	int rc = -EIO;

	fs->se = fs_mount_session(fs, o);
	if (fs->se == NULL) {
		log_err("cannot start the FUSE session");
		return -EIO;
	}
	if (fuse_set_signal_handlers(fs->se) != 0)
		goto destroy;
	if (fuse_session_mount(fs->se, fs->mountpoint) != 0) {
		log_err("cannot mount on '%s'%s", fs->mountpoint,
			fs->is_root ? "" : ": without root this takes the package fuse3 (fusermount3)");
		goto handlers;
	}
	loop = fuse_loop_cfg_create();
	if (loop == NULL)
		goto unmount;
	fuse_loop_cfg_set_clone_fd(loop, 1);
	fuse_loop_cfg_set_max_threads(loop, FS_THREADS);
	rc = fs_notify_start(fs->notify);
	if (rc != 0)
		goto unmount;
	rc = fs_tick_start(&tick, fs, ready);
	if (rc != 0)
		goto notify;
	rc = fuse_session_loop_mt(fs->se, loop);
	rc = rc < 0 ? rc : 0;           /* a signal that asks to end is no failure */
	fs_tick_stop(tick);
notify:
	fs_notify_stop(fs->notify);
unmount:
	fuse_loop_cfg_destroy(loop);
	fuse_session_unmount(fs->se);
handlers:
	fuse_remove_signal_handlers(fs->se);
destroy:
	fuse_session_destroy(fs->se);
	return rc;
}

static int fs_mount_daemon(const struct fs_mount_options *o, const struct fs_places *p, const struct io *io, int ready)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	int rc;

	if (fs == NULL) {
		log_err("out of memory");
		return 1;
	}
	fs_mount_harden();
	rc = fs_mount_open(fs, o, p, io);
	if (rc == 0)
		rc = fs_mount_loop(fs, o, ready);
	fs_mount_close(fs);
	free(fs);
	return rc == 0 ? 0 : 1;
}

/* In the parent: the daemon says one byte when it is ready; its end of the pipe closing says it failed
 * (and has said why). */
static int fs_mount_wait(int ready, pid_t child)
{
	char byte;
	ssize_t n;
	int status = 0;

	do {
		n = read(ready, &byte, 1);
	} while (n == -1 && errno == EINTR);
	close(ready);
	if (n == 1)
		return 0;
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		log_err("the daemon died of signal %d while starting", WTERMSIG(status));
	return 1;
}

int fs_mount_serve(const struct fs_mount_options *o, const struct io *io)
{
	struct fs_places p;
	char err[10000];
	int ready[2], rc;
	pid_t child;

	rc = fs_mount_check(o, &p, err, sizeof(err));
	if (rc != 0) {
		log_err("%s", err);
		return 1;
	}
	if (o->foreground || o->debug)
		return fs_mount_daemon(o, &p, io, -1);
	if (pipe2(ready, O_CLOEXEC) == -1) {
		log_err("cannot make a pipe: %s", strerror(errno));
		return 1;
	}
	child = fork();
	if (child == -1) {
		log_err("cannot start the daemon: %s", strerror(errno));
		return 1;
	}
	if (child != 0) {
		close(ready[1]);
		return fs_mount_wait(ready[0], child);
	}
	close(ready[0]);
	setsid();
	_exit(fs_mount_daemon(o, &p, io, ready[1]));
}
