/* ram_use.c - whether a mapping that misses nothing is used.
 *
 * Hits are invisible, so a file that is resident as a whole and read all the time looks like one that nobody
 * reads.  Of such files the processes that opened them are asked: /proc/PID/smaps says how much of a mapping
 * was referenced since somebody wrote 3 (pages of files) to /proc/PID/clear_refs (proc(5)).  Done only where
 * it matters: the tier is full, so that their units might be displaced.
 */
#include "tiering/ram_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVERY_MS 10000
#define CALM_MS 2000                    /* without a change */

/* A mapping's first line is "FROM-TO PERMS OFFSET DEV INODE PATH"; through the mount the inode is home's, and
 * the path ends in what the file is called there. */
static bool is_mapping_of(const char *line, uint64_t ino, const char *label)
{
	unsigned long long inode;
	size_t len, tail = strlen(label);
	int at = 0;

	if (sscanf(line, "%*x-%*x %*s %*x %*x:%*x %llu %n", &inode, &at) != 1 || at == 0)
		return false;
	len = strcspn(line + at, "\n");
	return inode == ino || (tail > 0 && len > tail && line[at + (int)(len - tail) - 1] == '/' &&
				strncmp(line + at + (len - tail), label, tail) == 0);
}

static bool is_mapping(const char *line)
{
	return strcspn(line, "-") < strcspn(line, " :");
}

/* Bytes of it that the process referenced since the last time. */
static uint64_t referenced(const struct ram *r, pid_t pid, uint64_t ino, const char *label)
{
	char path[RAM_PATH + 32], line[512];
	unsigned long long kib;
	uint64_t sum = 0;
	bool here = false;
	FILE *in;
	int fd;

	snprintf(path, sizeof(path), "%s/%d/smaps", r->proc, (int)pid);
	in = fopen(path, "re");
	if (in == NULL)
		return 0;
	while (fgets(line, sizeof(line), in) != NULL) {
		if (is_mapping(line))
			here = is_mapping_of(line, ino, label);
		else if (here && sscanf(line, "Referenced: %llu kB", &kib) == 1)
			sum += kib << 10;
	}
	fclose(in);
	snprintf(path, sizeof(path), "%s/%d/clear_refs", r->proc, (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd != -1) {
		(void)!write(fd, "3", 1);
		close(fd);
	}
	return sum;
}

/* Our own touches of kept units count as references too, so while those go on nothing is learned. */
static bool worth_asking(const struct ram_file *f, uint64_t now_ms)
{
	return f->refs > 0 && f->opens > f->scans && now_ms - f->changed_ms >= CALM_MS && f->kept + f->locked > 0 &&
	       !(f->r->level.scarce && f->kept > 0) && now_ms - f->referenced_ms >= EVERY_MS;
}

void ram_use(struct ram *r, uint64_t now_ms)
{
	if (r->set.used < r->rules.budget)
		return;
	for (uint32_t n = 0; n < r->files; n++) {
		struct ram_file *f = r->file[n];
		struct ram_user user[RAM_USERS];
		uint64_t bytes = 0, size;

		if (f == NULL || !worth_asking(f, now_ms))
			continue;
		memcpy(user, f->user, sizeof(user));
		size = f->size;
		f->referenced_ms = now_ms;
		pthread_mutex_unlock(&r->lock);
		for (unsigned k = 0; k < RAM_USERS; k++) {
			if (user[k].pid > 0 && user[k].opens > user[k].scans)
				bytes += referenced(r, user[k].pid, f->ino, f->label);
		}
		pthread_mutex_lock(&r->lock);
		if (bytes > 0)
			policy_group_use(&r->set.group[f->index], &r->clock,
					 bytes < size ? (double)bytes / (double)size : 1.0);
	}
}
