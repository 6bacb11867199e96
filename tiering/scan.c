#include "tiering/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Programs that open a file in order to read all of it once.
 *
 * Not here, on purpose: a wrong name here is a reader never learned from, a missing one a touch too many.
 *  cat dd pv vmtouch   are how people warm a file by hand
 *  nfsd smbd nginx     read for other machines, which may be loading a model
 *  find du updatedb    read no contents
 *  python3 java        run anything
 * sshfs reads through sftp-server too, but copying is what it mostly does.
 */
static const char *const scan_names[] = {
	/* checksums, signatures */
	"sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "shasum", "md5sum", "b2sum", "b3sum", "cksum", "sum",
	"xxhsum", "xxh32sum", "xxh64sum", "xxh128sum", "xxh3sum", "rhash", "hashdeep", "md5deep", "sha1deep", "sha256deep",
	"par2", "openssl", "gpg", "gpg2", "age", "minisign",
	/* copies */
	"cp", "mv", "install", "rsync", "scp", "sftp", "sftp-server", "mc", "unison", "syncthing", "rclone", "curl",
	"aws", "s3cmd", "s5cmd", "gsutil", "azcopy", "hf", "huggingface-cli", "git", "git-lfs",
	/* archives; what compresses reads its input to the end */
	"tar", "bsdtar", "cpio", "pax", "dar", "zip", "7z", "7za", "7zr", "7zz", "rar", "gzip", "pigz", "bzip2", "pbzip2",
	"lbzip2", "xz", "pixz", "zstd", "pzstd", "lz4", "lzop", "lzip", "plzip", "brotli",
	/* backups */
	"restic", "rustic", "borg", "borgmatic", "kopia", "duplicity", "duplicati-cli", "duplicati-server",
	"rdiff-backup", "bup", "burp", "tarsnap", "snapraid", "bacula-fd", "bareos-fd", "amandad", "velero",
	"proxmox-backup-client", "urbackupclientbackend", "dsmc", "bpbkar", "veeamagent",
	/* comparison, search, duplicates */
	"cmp", "diff", "grep", "rg", "ag", "strings", "wc", "od", "xxd", "hexdump", "file", "fdupes", "jdupes", "rdfind",
	"rmlint", "duperemove",
	/* reads a model once to write another */
	"llama-quantize",
	/* viruses, intrusion, desktop search */
	"clamscan", "clamd", "clamdscan", "wdavdaemon", "aide", "tripwire", "samhain", "ossec-syscheckd", "wazuh-syscheckd",
	"tracker-extract", "localsearch-extractor", "baloo_file_extractor", "recollindex",
};

struct scan_seal {
	uint64_t st_ino, at_s;
	uint64_t turn;                  /* grows with each seal; 0: the place is free */
	uint64_t started;
	pid_t pid, parent;
};

struct scan_seals {
	pthread_mutex_t lock;
	uint64_t turn;                  /* protected by lock */
	struct scan_seal seal[SCAN_SEALS];      /* protected by lock */
};

const char *scan_class_name(enum scan_class c)
{
	switch (c) {
	case SCAN_NO:
		return "no";
	case SCAN_ORDER:
		return "order";
	case SCAN_NAME:
		return "name";
	case SCAN_VERIFY:
		return "verify";
	}
	return "unknown";
}

/* ---- who opens ---- */

/* The beginning of proc/id/name as a string; false where there is none. */
static bool scan_read(const char *proc, pid_t id, const char *name, char *buf, size_t cap)
{
	char path[PATH_MAX];
	size_t len = 0;
	ssize_t n;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%d/%s", proc, (int)id, name) >= (int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	do {
		n = read(fd, buf + len, cap - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 && len < cap - 1);
	close(fd);
	buf[len] = '\0';
	return n >= 0 && len > 0;       /* a process that goes while it is read gives ESRCH */
}

/* The thread group of a thread.  The name in /proc/PID/status has its line breaks escaped, so that a line is
 * what it says. */
static pid_t scan_group_of(const char *proc, pid_t tid)
{
	char text[1024];                /* Tgid is the fourth line */
	const char *at;
	int pid;

	if (!scan_read(proc, tid, "status", text, sizeof(text)))
		return 0;
	at = strstr(text, "\nTgid:");
	return at != NULL && sscanf(at, "\nTgid:%d", &pid) == 1 && pid > 0 ? pid : 0;
}

void scan_opener_of(struct scan_opener *o, const char *proc, pid_t tid)
{
	char text[1024], *name, *end;
	uint64_t started;
	int parent;
	size_t len;

	*o = (struct scan_opener){ 0 };
	o->pid = tid > 0 ? scan_group_of(proc, tid) : 0;
	if (o->pid == 0 || !scan_read(proc, o->pid, "stat", text, sizeof(text)))
		return;
	/* PID (NAME) STATE PARENT ...: the name may hold anything, parentheses too, but behind it are only
	 * numbers.  The start is the 22nd field, the parent the 4th. */
	name = strchr(text, '(');
	end = strrchr(text, ')');
	if (name == NULL || end == NULL || end < name ||
	    sscanf(end + 1, " %*c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64, &parent,
		   &started) != 2)
		return;
	o->parent = parent;
	o->started = started;
	len = (size_t)(end - name - 1);
	memcpy(o->comm, name + 1, len < sizeof(o->comm) ? len : sizeof(o->comm) - 1);
}

/* ---- seals ---- */

int scan_seals_new(struct scan_seals **out)
{
	struct scan_seals *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return -ENOMEM;
	rc = -pthread_mutex_init(&s->lock, NULL);
	if (rc != 0) {
		free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void scan_seals_free(struct scan_seals *s)
{
	if (s == NULL)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* The file's own place, or NULL.  Called with the lock held. */
static struct scan_seal *scan_find(struct scan_seals *s, uint64_t st_ino)
{
	for (unsigned i = 0; i < SCAN_SEALS; i++)
		if (s->seal[i].turn != 0 && s->seal[i].st_ino == st_ino)
			return &s->seal[i];
	return NULL;
}

/* A free place, or the oldest.  Called with the lock held. */
static struct scan_seal *scan_oldest(struct scan_seals *s)
{
	struct scan_seal *oldest = &s->seal[0];

	for (unsigned i = 1; i < SCAN_SEALS; i++)
		if (s->seal[i].turn < oldest->turn)
			oldest = &s->seal[i];
	return oldest;
}

void scan_sealed(struct scan_seals *s, uint64_t st_ino, const struct scan_opener *who, uint64_t now_s)
{
	struct scan_seal *place;

	pthread_mutex_lock(&s->lock);
	place = scan_find(s, st_ino);
	if (place == NULL)
		place = scan_oldest(s);
	*place = (struct scan_seal){ .st_ino = st_ino, .at_s = now_s, .turn = ++s->turn, .started = who->started,
				     .pid = who->pid, .parent = who->parent };
	pthread_mutex_unlock(&s->lock);
}

/* A parent is older than its child: what is younger got the number later. */
static bool scan_verifies(const struct scan_seal *seal, const struct scan_opener *who)
{
	if (who->pid == 0)
		return false;
	if (who->pid == seal->pid)
		return who->started == seal->started;
	return who->pid == seal->parent && who->started <= seal->started;
}

static bool scan_is_named(const char *comm)
{
	for (size_t i = 0; i < sizeof(scan_names) / sizeof(scan_names[0]); i++)
		if (strncmp(comm, scan_names[i], SCAN_COMM_MAX - 1) == 0)
			return true;
	return false;
}

enum scan_class scan_class(struct scan_seals *s, uint64_t st_ino, const struct scan_opener *who, uint64_t now_s)
{
	const struct scan_seal *seal;
	bool verifies;

	if (scan_is_named(who->comm))
		return SCAN_NAME;
	pthread_mutex_lock(&s->lock);
	seal = scan_find(s, st_ino);
	verifies = seal != NULL && (now_s <= seal->at_s || now_s - seal->at_s <= SCAN_VERIFY_SECONDS) &&
		   scan_verifies(seal, who);
	pthread_mutex_unlock(&s->lock);
	return verifies ? SCAN_VERIFY : SCAN_NO;
}
