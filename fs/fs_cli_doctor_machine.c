/* fs_cli_doctor_machine.c - hearth doctor on the machine: limits, swap, huge pages, RAID, heat of NVMe disks. */
#include "fs/fs_cli_doctor.h"
#include "fs/fs_cli.h"
#include "fs/fs_mountinfo.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FS_MACHINE_MOST 1000000000000000ll      /* what is more is no number of a machine's */
/* below the root */
#define FS_MACHINE_HUGE "sys/kernel/mm/transparent_hugepage"
#define FS_MACHINE_HUGETLB "sys/kernel/mm/hugepages"

struct fs_machine {
	const char *root;
	uint64_t largest;               /* model, in bytes; 0: not known */
	uint64_t memory;                /* in bytes; 0: not known */
	fs_doctor_say_fn say;
	void *ctx;
};

static void fs_machine_say(const struct fs_machine *m, bool ok, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void fs_machine_say(const struct fs_machine *m, bool ok, const char *what, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	m->say(m->ctx, ok, what, text);
}

/* DIR/REL in path; false when that is too long. */
static bool fs_machine_path(char path[PATH_MAX], const char *dir, const char *rel)
{
	return snprintf(path, PATH_MAX, "%s/%s", dir, rel) < PATH_MAX;
}

static FILE *fs_machine_open(const char *dir, const char *rel)
{
	char path[PATH_MAX];

	return fs_machine_path(path, dir, rel) ? fopen(path, "re") : NULL;
}

/* The first line of DIR/REL, without its end. */
static bool fs_machine_line(const char *dir, const char *rel, char *out, int cap)
{
	FILE *f = fs_machine_open(dir, rel);
	bool ok = f != NULL && fgets(out, cap, f) != NULL;

	if (f != NULL)
		fclose(f);
	if (ok)
		out[strcspn(out, "\n")] = '\0';
	return ok;
}

/* The number that DIR/REL begins with. */
static bool fs_machine_number(const char *dir, const char *rel, long long *out)
{
	char line[64], *end;
	long long n;

	if (!fs_machine_line(dir, rel, line, sizeof(line)))
		return false;
	n = strtoll(line, &end, 10);
	if (end == line || n > FS_MACHINE_MOST || n < -FS_MACHINE_MOST)
		return false;
	*out = n;
	return true;
}

/* Of /proc/meminfo: KiB, or a count. */
static uint64_t fs_machine_meminfo(const struct fs_machine *m, const char *name)
{
	FILE *f = fs_machine_open(m->root, "proc/meminfo");
	unsigned long long n = 0;
	size_t len = strlen(name);
	char line[128];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, name, len) == 0 && line[len] == ':') {
			n = strtoull(line + len + 1, NULL, 10);
			break;
		}
	if (f != NULL)
		fclose(f);
	return n <= FS_MACHINE_MOST ? n : 0;
}

static void fs_machine_maps(const struct fs_machine *m)
{
	long long maps = 0;

	if (!fs_machine_number(m->root, "proc/sys/vm/max_map_count", &maps))
		fs_machine_say(m, false, "max_map_count", "cannot be read: is /proc mounted?");
	else if (maps < 65530)
		fs_machine_say(m, false, "max_map_count", "%lld is low: sysctl vm.max_map_count=262144", maps);
	else
		fs_machine_say(m, true, "max_map_count", "%lld", maps);
}

/* ---- block devices ---- */

/* The directory in /sys of the device that a path (a mount's source, a swap device) names. */
static bool fs_machine_device_named(const struct fs_machine *m, const char *name, char dev[PATH_MAX])
{
	char path[PATH_MAX], real[PATH_MAX], rel[PATH_MAX];
	const char *base;

	if (strncmp(name, "/dev/", 5) != 0 || !fs_machine_path(path, m->root, name + 1))
		return false;
	/* /dev/mapper/NAME is a link to what the kernel calls it */
	base = strrchr(realpath(path, real) != NULL ? real : name, '/') + 1;
	return snprintf(rel, sizeof(rel), "sys/class/block/%s", base) < (int)sizeof(rel) &&
	       fs_machine_path(path, m->root, rel) && realpath(path, dev) != NULL;
}

/* The same of the device that the file or directory at path lies on. */
static bool fs_machine_device_of(const struct fs_machine *m, const char *path, char dev[PATH_MAX])
{
	char rel[64], link[PATH_MAX];
	struct fs_mount mount;

	if (fs_mountinfo_disk_of(m->root, path, &mount) != 0)
		return false;
	snprintf(rel, sizeof(rel), "sys/dev/block/%u:%u", mount.major, mount.minor);
	if (fs_machine_path(link, m->root, rel) && realpath(link, dev) != NULL)
		return true;
	return fs_machine_device_named(m, mount.source, dev);   /* btrfs has a number that is no device's */
}

/* A partition stands for its disk. */
static void fs_machine_whole_disk(char dev[PATH_MAX])
{
	char line[8], *slash = strrchr(dev, '/');

	if (slash > dev && fs_machine_line(dev, "partition", line, sizeof(line)))
		*slash = '\0';
}

/* ---- swap ---- */

struct fs_machine_swap {
	uint64_t total, used;           /* bytes on disks */
	uint64_t compressed;            /* bytes of zram, which is memory */
	char slow[256];                 /* one on a spinning disk, or "" */
};

/* "FILENAME TYPE SIZE USED PRIORITY", sizes in KiB. */
static void fs_machine_swap_line(const struct fs_machine *m, char *line, struct fs_machine_swap *s)
{
	char name[PATH_MAX], dev[PATH_MAX], *save = NULL, *escaped = strtok_r(line, " \t\n", &save);
	char *type = strtok_r(NULL, " \t\n", &save);
	unsigned long long size, used;
	long long spins = 0;

	if (escaped == NULL || type == NULL || sscanf(save, "%llu %llu", &size, &used) != 2)
		return;
	fs_mountinfo_unescape(name, sizeof(name), escaped);
	if (strncmp(name, "/dev/zram", 9) == 0) {
		s->compressed += size << 10;
		return;
	}
	s->total += size << 10;
	s->used += used << 10;
	if (strcmp(type, "file") == 0 ? !fs_machine_device_of(m, name, dev) : !fs_machine_device_named(m, name, dev))
		return;
	fs_machine_whole_disk(dev);
	if (fs_machine_number(dev, "queue/rotational", &spins) && spins != 0)
		snprintf(s->slow, sizeof(s->slow), "%.255s", fs_cli_clean(name));
}

static void fs_machine_swap_read(const struct fs_machine *m, struct fs_machine_swap *s)
{
	FILE *f = fs_machine_open(m->root, "proc/swaps");
	char *line = NULL;
	size_t cap = 0;

	/* the first line is a heading: it has no numbers */
	while (f != NULL && getline(&line, &cap, f) != -1)
		fs_machine_swap_line(m, line, s);
	free(line);
	if (f != NULL)
		fclose(f);
}

/* Pages of models are dropped and read again, never swapped; what a runner computes with is swapped for them. */
static void fs_machine_swap(const struct fs_machine *m, const struct fs_machine_swap *s, const char *larger)
{
	char used[16], total[16];

	fs_cli_bytes(s->used, used);
	fs_cli_bytes(s->total, total);
	if (s->total == 0 && s->compressed == 0)
		fs_machine_say(m, true, "swap", "none, which is fine: pages of models are read again, never swapped");
	else if (s->total == 0)
		fs_machine_say(m, true, "swap", "%s in memory (zram), none on a disk",
			       fs_cli_bytes(s->compressed, total));
	else if (larger != NULL && s->slow[0] != '\0')
		fs_machine_say(m, false, "swap", "%s of %s used, '%s' is on a spinning disk, and %s: what is swapped "
			       "out for it comes back slowly; as root, swapoff '%s'",
			       used, total, s->slow, larger, s->slow);
	else if (larger != NULL && s->used > 0)
		fs_machine_say(m, false, "swap", "%s of %s used, and %s: programs wait for what was swapped out for "
			       "it; end what is not needed, then, as root, swapoff -a", used, total, larger);
	else
		fs_machine_say(m, true, "swap", "%s of %s used", used, total);
}

static void fs_machine_swapping(const struct fs_machine *m)
{
	char text[96], model[16], memory[16], *larger = NULL;
	struct fs_machine_swap s = { .total = 0 };
	long long swappiness;

	if (m->memory > 0 && m->largest > m->memory) {
		snprintf(text, sizeof(text), "a model (%s) is larger than memory (%s)", fs_cli_bytes(m->largest, model),
			 fs_cli_bytes(m->memory, memory));
		larger = text;
	}
	fs_machine_swap_read(m, &s);
	fs_machine_swap(m, &s, larger);
	if (s.total == 0 || !fs_machine_number(m->root, "proc/sys/vm/swappiness", &swappiness))
		return;
	if (larger != NULL && swappiness > 10)
		fs_machine_say(m, false, "swappiness", "%lld swaps programs out for models, and %s: as root, "
			       "sysctl vm.swappiness=10", swappiness, larger);
	else
		fs_machine_say(m, true, "swappiness", "%lld", swappiness);
}

/* ---- huge pages ---- */

/* The word in brackets: "always [madvise] never". */
static bool fs_machine_chosen(const struct fs_machine *m, const char *rel, char word[32])
{
	char line[128], *open, *close;

	if (!fs_machine_line(m->root, rel, line, sizeof(line)))
		return false;
	open = strchr(line, '[');
	close = open != NULL ? strchr(open, ']') : NULL;
	if (close == NULL)
		return false;
	snprintf(word, 32, "%.*s", (int)(close - open - 1), open + 1);
	return true;
}

static void fs_machine_huge(const struct fs_machine *m)
{
	char enabled[32], defrag[32] = "";

	if (!fs_machine_chosen(m, FS_MACHINE_HUGE "/enabled", enabled))
		return;
	(void)fs_machine_chosen(m, FS_MACHINE_HUGE "/defrag", defrag);
	if (strcmp(enabled, "never") == 0)
		fs_machine_say(m, false, "huge pages", "never: programs have small pages only, also those that ask "
			       "for others; as root, echo madvise > /" FS_MACHINE_HUGE "/enabled");
	else if (strcmp(enabled, "always") == 0 && strcmp(defrag, "always") == 0)
		fs_machine_say(m, false, "huge pages", "always, defrag always: who asks for memory waits while pages "
			       "of models are moved and dropped; as root, echo madvise > /" FS_MACHINE_HUGE "/defrag");
	else
		fs_machine_say(m, true, "huge pages", "%s%s%s", enabled, defrag[0] != '\0' ? ", defrag " : "", defrag);
}

/* Reserved pages of one size. */
struct fs_machine_pages {
	uint64_t kib;                   /* each */
	long long count, unused, promised;      /* promised: of the unused, to those who mapped them */
};

/* set: the file that says how many there are. */
static void fs_machine_reserved(const struct fs_machine *m, const struct fs_machine_pages *p, const char *set)
{
	long long idle = p->unused - p->promised;
	char all[16], lost[16];

	idle = idle < p->count ? idle : p->count;
	fs_cli_bytes((uint64_t)p->count * p->kib << 10, all);
	if (idle <= 0)
		fs_machine_say(m, true, "hugetlb pages", "%s reserved, all in use", all);
	else
		fs_machine_say(m, false, "hugetlb pages", "%s reserved, %s of it used by nobody and lost to models: "
			       "as root, echo %lld > %s",
			       all, fs_cli_bytes((uint64_t)idle * p->kib << 10, lost), p->count - idle, set);
}

/* A line for each size that has pages; how many that were, or -1 when sizes cannot be listed. */
static int fs_machine_reserved_sizes(const struct fs_machine *m)
{
	char path[PATH_MAX];
	struct dirent *e;
	int lines = 0;
	DIR *dir;

	dir = fs_machine_path(path, m->root, FS_MACHINE_HUGETLB) ? opendir(path) : NULL;
	if (dir == NULL)
		return -1;
	while ((e = readdir(dir)) != NULL) {
		struct fs_machine_pages p = { .count = 0 };
		char size[PATH_MAX], set[384];

		if (sscanf(e->d_name, "hugepages-%" SCNu64 "kB", &p.kib) != 1 ||
		    !fs_machine_path(size, path, e->d_name) ||
		    !fs_machine_number(size, "nr_hugepages", &p.count) || p.count <= 0)
			continue;
		(void)fs_machine_number(size, "free_hugepages", &p.unused);
		(void)fs_machine_number(size, "resv_hugepages", &p.promised);
		snprintf(set, sizeof(set), "/" FS_MACHINE_HUGETLB "/%s/nr_hugepages", e->d_name);
		fs_machine_reserved(m, &p, set);
		lines++;
	}
	closedir(dir);
	return lines;
}

static void fs_machine_hugetlb(const struct fs_machine *m)
{
	struct fs_machine_pages p = { .kib = fs_machine_meminfo(m, "Hugepagesize") };
	int lines = fs_machine_reserved_sizes(m);

	p.count = (long long)fs_machine_meminfo(m, "HugePages_Total");
	p.unused = (long long)fs_machine_meminfo(m, "HugePages_Free");
	p.promised = (long long)fs_machine_meminfo(m, "HugePages_Rsvd");
	if (lines == -1 && p.count > 0)
		fs_machine_reserved(m, &p, "/proc/sys/vm/nr_hugepages");
	else if (lines <= 0 && m->memory > 0)
		fs_machine_say(m, true, "hugetlb pages", "none reserved");
}

/* ---- RAID ---- */

struct fs_machine_array {
	const char *what;               /* "home's RAID" */
	bool cache;
	const char *name;               /* "md0" */
	char level[32];
	long long disks, chunk, missing;        /* chunk in bytes, 0: has none */
};

/* Says which disks are missing; false when none is. */
static bool fs_machine_array_lacks(const struct fs_machine *m, const char *dev, const struct fs_machine_array *a)
{
	char state[32] = "", action[32] = "";

	(void)fs_machine_line(dev, "md/array_state", state, sizeof(state));
	(void)fs_machine_line(dev, "md/sync_action", action, sizeof(action));
	if (strcmp(state, "broken") == 0)
		fs_machine_say(m, false, a->what, "%s (%s) has lost a disk, and with it what was there: %s",
			       a->name, a->level, a->cache ? "make it again, home has all of it" :
			       "bring the disk back, or the models from a copy elsewhere");
	else if (a->missing > 0 && strcmp(action, "recover") == 0)
		fs_machine_say(m, false, a->what, "%s (%s) lacks %lld of %lld disks and is being rebuilt: it is "
			       "slower until /proc/mdstat says that this is done",
			       a->name, a->level, a->missing, a->disks);
	else if (a->missing > 0)
		fs_machine_say(m, false, a->what, "%s (%s) lacks %lld of %lld disks, is slower and near to losing "
			       "all: as root, mdadm --manage /dev/%s --add DISK",
			       a->name, a->level, a->missing, a->disks, a->name);
	else
		return false;
	return true;
}

/* Says what is odd in how it was made; false when nothing is. */
static bool fs_machine_array_odd(const struct fs_machine *m, const struct fs_machine_array *a)
{
	const char *again = a->cache ? "make it again" : "copy its files elsewhere and make it again";
	long long kib = strcmp(a->level, "raid0") == 0 ? a->chunk >> 10 : 0;
	bool parity = strncmp(a->level, "raid", 4) == 0 && a->level[4] >= '4' && a->level[4] <= '6';

	if (a->cache && parity)
		fs_machine_say(m, false, a->what, "%s (%s) writes parity at each fill, for copies that home has "
			       "anyway: make it again with mdadm --create --level=0 --chunk=512K", a->name, a->level);
	else if (kib > 0 && kib < 128)
		fs_machine_say(m, false, a->what, "%s (%s) has chunks of %lld KiB, which cut each read into many "
			       "small ones: %s with mdadm --create --chunk=512K", a->name, a->level, kib, again);
	else if (kib > 1024)
		fs_machine_say(m, false, a->what, "%s (%s) has chunks of %lld KiB, so that a read of 1 MiB asks one "
			       "disk alone: %s with mdadm --create --chunk=512K", a->name, a->level, kib, again);
	else
		return false;
	return true;
}

static void fs_machine_array(const struct fs_machine *m, const char *dev, const char *what, bool cache)
{
	struct fs_machine_array a = { .what = what, .cache = cache, .name = strrchr(dev, '/') + 1 };
	bool lacks, odd;

	if (!fs_machine_line(dev, "md/level", a.level, sizeof(a.level)))
		return;
	(void)fs_machine_number(dev, "md/raid_disks", &a.disks);
	(void)fs_machine_number(dev, "md/chunk_size", &a.chunk);
	(void)fs_machine_number(dev, "md/degraded", &a.missing);
	lacks = fs_machine_array_lacks(m, dev, &a);
	odd = fs_machine_array_odd(m, &a);
	if (lacks || odd)
		return;
	if (a.chunk > 0)
		fs_machine_say(m, true, what, "%s: %s of %lld disks, chunks of %lld KiB", a.name, a.level, a.disks,
			       a.chunk >> 10);
	else
		fs_machine_say(m, true, what, "%s: %s of %lld disks", a.name, a.level, a.disks);
}

/* Every array at or below a device: arrays carry volumes, and one another. */
static void fs_machine_arrays(const struct fs_machine *m, char dev[PATH_MAX], const char *what, bool cache, int depth)
{
	char path[PATH_MAX], below[PATH_MAX];
	struct dirent *e;
	DIR *dir;

	fs_machine_whole_disk(dev);
	fs_machine_array(m, dev, what, cache);
	dir = depth > 0 && fs_machine_path(path, dev, "slaves") ? opendir(path) : NULL;
	while (dir != NULL && (e = readdir(dir)) != NULL) {
		char link[PATH_MAX];

		if (e->d_name[0] != '.' && fs_machine_path(link, path, e->d_name) && realpath(link, below) != NULL)
			fs_machine_arrays(m, below, what, cache, depth - 1);
	}
	if (dir != NULL)
		closedir(dir);
}

static void fs_machine_raid_of(const struct fs_machine *m, const char *name, const char *dir, bool cache)
{
	char dev[PATH_MAX], what[64];

	if (name == NULL || dir == NULL || !fs_machine_device_of(m, dir, dev))
		return;
	snprintf(what, sizeof(what), "%.15s's RAID", name);
	fs_machine_arrays(m, dev, what, cache, 4);
}

/* The tiers are RAM, the caches, home. */
static void fs_machine_raid(const struct fs_machine *m, const json_t *stats)
{
	const json_t *tiers = json_object_get(stats, "tiers");
	size_t n = json_array_size(tiers);

	for (size_t i = 1; i + 1 < n; i++)
		fs_machine_raid_of(m, json_string_value(json_object_get(json_array_get(tiers, i), "name")),
				   json_string_value(json_object_get(json_array_get(tiers, i), "dir")), true);
	fs_machine_raid_of(m, "home", json_string_value(json_object_get(stats, "home")), false);
}

/* ---- heat of NVMe disks ---- */

static int fs_machine_is_hwmon(const struct dirent *e)
{
	return strncmp(e->d_name, "hwmon", 5) == 0 && e->d_name[5] != '\0';
}

static int fs_machine_is_nvme(const struct dirent *e)
{
	return strncmp(e->d_name, "nvme", 4) == 0 && e->d_name[4 + strspn(e->d_name + 4, "0123456789")] == '\0';
}

static void fs_machine_free_list(struct dirent **list, int n)
{
	for (int i = 0; i < n; i++)
		free(list[i]);
	if (n >= 0)
		free(list);
}

/* The sensors of the disk whose directory is disk: older kernels have them with the PCI device. */
static bool fs_machine_sensors(const char *disk, char out[PATH_MAX])
{
	static const char *const places[] = { "", "/hwmon", "/device/hwmon" };
	struct dirent **list;
	bool found = false;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !found; i++) {
		char place[PATH_MAX];
		int n;

		if (snprintf(place, sizeof(place), "%s%s", disk, places[i]) >= (int)sizeof(place))
			return false;
		n = scandir(place, &list, fs_machine_is_hwmon, alphasort);
		found = n > 0 && fs_machine_path(out, place, list[0]->d_name);
		fs_machine_free_list(list, n);
	}
	return found;
}

/* A disk without a threshold answers with the highest number there is, far above what any bears. */
static bool fs_machine_threshold(const char *sensors, const char *name, long long *out)
{
	long long t;

	if (!fs_machine_number(sensors, name, &t) || t <= 0 || t > 200000)
		return false;
	*out = t;
	return true;
}

static void fs_machine_heat(const struct fs_machine *m, const char *name, const char *sensors)
{
	static const char cooler[] = "add a heat sink, and fill it more slowly (fewer 'hearth warm' at a time)";
	long long now, most;
	char what[64];

	if (!fs_machine_number(sensors, "temp1_input", &now))
		return;
	snprintf(what, sizeof(what), "%.20s temperature", name);
	if (!fs_machine_threshold(sensors, "temp1_max", &most) && !fs_machine_threshold(sensors, "temp1_crit", &most))
		fs_machine_say(m, true, what, "%.1f C, of no known limit", (double)now / 1000);
	else if (now > most)
		fs_machine_say(m, false, what, "%.1f C is above its limit of %.1f C, the disk throttles itself: %s",
			       (double)now / 1000, (double)most / 1000, cooler);
	else if (now >= most - 5000)
		fs_machine_say(m, false, what, "%.1f C is warm, the disk throttles itself above %.1f C: %s",
			       (double)now / 1000, (double)most / 1000, cooler);
	else
		fs_machine_say(m, true, what, "%.1f C of %.1f C", (double)now / 1000, (double)most / 1000);
}

static void fs_machine_nvme(const struct fs_machine *m)
{
	char path[PATH_MAX], disk[PATH_MAX], sensors[PATH_MAX];
	struct dirent **list;
	int n;

	if (!fs_machine_path(path, m->root, "sys/class/nvme"))
		return;
	n = scandir(path, &list, fs_machine_is_nvme, versionsort);
	for (int i = 0; i < n; i++)
		if (fs_machine_path(disk, path, list[i]->d_name) && fs_machine_sensors(disk, sensors))
			fs_machine_heat(m, list[i]->d_name, sensors);
	fs_machine_free_list(list, n);
}

void fs_cli_doctor_machine(const char *root, const json_t *stats, uint64_t largest, fs_doctor_say_fn say, void *ctx)
{
	struct fs_machine m = { .root = root, .largest = largest, .say = say, .ctx = ctx };

	m.memory = fs_machine_meminfo(&m, "MemTotal") << 10;
	fs_machine_maps(&m);
	fs_machine_swapping(&m);
	fs_machine_huge(&m);
	fs_machine_hugetlb(&m);
	fs_machine_raid(&m, stats);
	fs_machine_nvme(&m);
}
