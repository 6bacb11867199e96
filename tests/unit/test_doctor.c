/* test_doctor.c - what hearth doctor says of machines that are trees of files in a scratch directory. */
#include <jansson.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/fs_cli_doctor.h"
#include "tests/unit/scratch.h"

#define GB 1000000000ull
#define THP "sys/kernel/mm/transparent_hugepage"
#define POOLS "sys/kernel/mm/hugepages"
#define STATS "{\"home\": \"/srv/models\", \"tiers\": [{\"name\": \"ram\"}, " \
	      "{\"name\": \"nvme\", \"dir\": \"/cache/hearth\"}, {\"name\": \"home\", \"dir\": \"/srv/models\"}]}"

struct heard {
	char root[SCRATCH_PATH];
	int n;
	struct { bool ok; char what[64], text[512]; } line[32];
};

static void hear(void *ctx, bool ok, const char *what, const char *text)
{
	struct heard *h = ctx;

	assert_true(h->n < 32);
	assert_null(strchr(text, '\n'));
	h->line[h->n].ok = ok;
	snprintf(h->line[h->n].what, sizeof(h->line[h->n].what), "%s", what);
	snprintf(h->line[h->n].text, sizeof(h->line[h->n].text), "%s", text);
	h->n++;
}

static void put(struct heard *h, const char *rel, const char *text)
{
	scratch_file(h->root, rel, text, strlen(text));
}

static void put_link(struct heard *h, const char *rel, const char *to)
{
	char path[PATH_MAX], beside[PATH_MAX];

	/* a file beside it makes the directories on the way */
	snprintf(beside, sizeof(beside), "%s.made", rel);
	put(h, beside, "");
	assert_int_equal(unlink(scratch_path(path, sizeof(path), h->root, beside)), 0);
	assert_int_equal(symlink(to, scratch_path(path, sizeof(path), h->root, rel)), 0);
}

static void ask(struct heard *h, const char *stats_text, uint64_t largest)
{
	json_t *stats = stats_text != NULL ? json_loads(stats_text, 0, NULL) : NULL;

	assert_true(stats_text == NULL || stats != NULL);
	h->n = 0;
	fs_cli_doctor_machine(h->root, stats, largest, hear, h);
	json_decref(stats);
}

/* How many lines are about it. */
static int count(const struct heard *h, const char *what)
{
	int n = 0;

	for (int i = 0; i < h->n; i++)
		n += strcmp(h->line[i].what, what) == 0;
	return n;
}

/* A line about it is so and has this in its text. */
static void says(const struct heard *h, bool ok, const char *what, const char *part)
{
	for (int i = 0; i < h->n; i++)
		if (strcmp(h->line[i].what, what) == 0 && h->line[i].ok == ok && strstr(h->line[i].text, part) != NULL)
			return;
	for (int i = 0; i < h->n; i++)
		print_message("%s %s: %s\n", h->line[i].ok ? "ok" : "!!", h->line[i].what, h->line[i].text);
	fail_msg("no line %s %s with '%s'", ok ? "ok" : "!!", what, part);
}

/* A machine with nothing to complain of. */
static void put_plain(struct heard *h)
{
	put(h, "proc/sys/vm/max_map_count", "1048576\n");
	put(h, "proc/sys/vm/swappiness", "60\n");
	put(h, "proc/meminfo", "MemTotal:       64000000 kB\nMemFree:         1000000 kB\nHugePages_Total:       0\n"
	    "HugePages_Free:        0\nHugePages_Rsvd:        0\nHugepagesize:       2048 kB\n");
	put(h, "proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	put(h, "proc/self/mountinfo",
	    "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	    "21 20 9:0 / /cache rw - ext4 /dev/md0 rw\n"
	    "22 20 253:0 / /srv rw - ext4 /dev/mapper/store rw\n"
	    "23 22 0:50 / /srv/models rw - fuse.hearth hearth rw\n");
	put(h, THP "/enabled", "always [madvise] never\n");
	put(h, THP "/defrag", "always defer defer+madvise [madvise] never\n");
	put(h, "sys/devices/pci/sda/queue/rotational", "1\n");
	put(h, "sys/devices/pci/sda/sda1/partition", "1\n");
	put(h, "sys/devices/pci/sdb/queue/rotational", "0\n");
	put_link(h, "sys/dev/block/8:1", "../../devices/pci/sda/sda1");
	put_link(h, "sys/class/block/sda1", "../../devices/pci/sda/sda1");
	put_link(h, "sys/class/block/sdb", "../../devices/pci/sdb");
}

static void put_array(struct heard *h, const char *name, const char *level, const char *chunk)
{
	char rel[128];

	snprintf(rel, sizeof(rel), "sys/devices/virtual/block/%s/md/level", name);
	put(h, rel, level);
	snprintf(rel, sizeof(rel), "sys/devices/virtual/block/%s/md/chunk_size", name);
	put(h, rel, chunk);
	snprintf(rel, sizeof(rel), "sys/devices/virtual/block/%s/md/raid_disks", name);
	put(h, rel, "3\n");
	snprintf(rel, sizeof(rel), "sys/devices/virtual/block/%s/md/array_state", name);
	put(h, rel, "clean\n");
}

static int set_up(void **state)
{
	struct heard *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return -1;
	scratch_make(h->root);
	put_plain(h);
	*state = h;
	return 0;
}

static int tear_down(void **state)
{
	struct heard *h = *state;

	scratch_remove(h->root);
	free(h);
	return 0;
}

static void a_plain_machine(void **state)
{
	struct heard *h = *state;

	ask(h, STATS, 4 * GB);
	assert_int_equal(h->n, 4);
	says(h, true, "max_map_count", "1048576");
	says(h, true, "swap", "none, which is fine");
	says(h, true, "huge pages", "madvise, defrag madvise");
	says(h, true, "hugetlb pages", "none reserved");
}

static void nothing_to_read(void **state)
{
	struct heard *h = *state;

	scratch_remove(h->root);
	ask(h, STATS, 4 * GB);
	assert_int_equal(h->n, 2);
	says(h, false, "max_map_count", "cannot be read");
	says(h, true, "swap", "none");
}

/* Not what the kernel writes: no line is made of it, and nothing is read beyond. */
static void texts_that_are_none(void **state)
{
	static const char *const texts[] = {
		"", "\n", "x", "[", "[\n", "]always[ \n", "-\n", "99999999999999999999999\n",
		"-9223372036854775808\n", "[]",
	};
	static const char *const files[] = {
		"proc/sys/vm/swappiness", "proc/meminfo", "proc/swaps", "proc/self/mountinfo",
		THP "/enabled", THP "/defrag",
		POOLS "/hugepages-2048kB/nr_hugepages", POOLS "/hugepages-2048kB/resv_hugepages",
		POOLS "/hugepages-kB/nr_hugepages",
		"sys/class/nvme/nvme0/hwmon1/temp1_input", "sys/class/nvme/nvme0/hwmon1/temp1_max",
		"sys/devices/virtual/block/md0/md/level", "sys/devices/virtual/block/md0/md/degraded",
	};
	struct heard *h = *state;

	put_link(h, "sys/dev/block/9:0", "../../devices/virtual/block/md0");
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
			put(h, files[i], texts[k]);
			ask(h, STATS, 400 * GB);
			says(h, true, "max_map_count", "1048576");
			says(h, true, "swap", "none");
		}
}

static void map_count(void **state)
{
	struct heard *h = *state;

	put(h, "proc/sys/vm/max_map_count", "65529\n");
	ask(h, NULL, 0);
	says(h, false, "max_map_count", "65529 is low: sysctl vm.max_map_count=");
	put(h, "proc/sys/vm/max_map_count", "65530\n");
	ask(h, NULL, 0);
	says(h, true, "max_map_count", "65530");
}

static void swap_of_kinds(void **state)
{
	struct heard *h = *state;

	/* a model that fits: nothing is said against it */
	put(h, "proc/swaps", "Filename Type Size Used Priority\n/dev/sda1  partition\t8000000\t500000\t-2\n");
	ask(h, STATS, 65 * GB);
	says(h, true, "swap", "512 MB of 8.2 GB used");
	says(h, true, "swappiness", "60");
	/* one that does not */
	ask(h, STATS, 66 * GB);
	says(h, false, "swap", "'/dev/sda1' is on a spinning disk, and a model (66.0 GB) is larger than memory");
	says(h, false, "swap", "memory (65.5 GB)");
	says(h, false, "swap", "swapoff '/dev/sda1'");
	says(h, false, "swappiness", "sysctl vm.swappiness=10");
	put(h, "proc/sys/vm/swappiness", "10\n");
	ask(h, STATS, 66 * GB);
	says(h, true, "swappiness", "10");
	/* a fast disk: in use, and not */
	put(h, "proc/swaps", "Filename Type Size Used Priority\n/dev/sdb  partition\t8000000\t500000\t-2\n");
	ask(h, STATS, 66 * GB);
	says(h, false, "swap", "512 MB of 8.2 GB used, and a model");
	put(h, "proc/swaps", "Filename Type Size Used Priority\n/dev/sdb  partition\t8000000\t0\t-2\n");
	ask(h, STATS, 66 * GB);
	says(h, true, "swap", "0 B of 8.2 GB used");
	/* zram is memory */
	put(h, "proc/swaps", "Filename Type Size Used Priority\n/dev/zram0  partition\t8000000\t500000\t100\n");
	ask(h, STATS, 66 * GB);
	says(h, true, "swap", "8.2 GB in memory (zram)");
	assert_int_equal(count(h, "swappiness"), 0);
}

/* A swap file lies on the disk of its mount, by its name without octal digits. */
static void a_swap_file(void **state)
{
	struct heard *h = *state;

	put(h, "proc/self/mountinfo", "20 1 8:16 / / rw - ext4 /dev/sdb rw\n"
	    "21 20 8:1 / /my\\040disk rw - ext4 /dev/sda1 rw\n");
	put_link(h, "sys/dev/block/8:16", "../../devices/pci/sdb");
	put(h, "proc/swaps", "Filename Type Size Used Priority\n/my\\040disk/swap  file\t8000000\t0\t-2\n");
	ask(h, STATS, 66 * GB);
	says(h, false, "swap", "'/my disk/swap' is on a spinning disk");
	put(h, "proc/swaps", "Filename Type Size Used Priority\n/swap  file\t8000000\t0\t-2\n");
	ask(h, STATS, 66 * GB);
	says(h, true, "swap", "0 B of 8.2 GB used");
}

static void huge_pages(void **state)
{
	static const struct { const char *enabled, *defrag; bool ok; const char *part; } cases[] = {
		{ "[always] madvise never", "always defer [madvise] never", true, "always, defrag madvise" },
		{ "[always] madvise never", "[always] defer defer+madvise madvise never", false, "> /" THP "/defrag" },
		{ "always [madvise] never", "[always] defer madvise never", true, "madvise, defrag always" },
		{ "always madvise [never]", "always defer defer+madvise [madvise] never", false, "> /" THP "/enabled" },
	};
	struct heard *h = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put(h, THP "/enabled", cases[i].enabled);
		put(h, THP "/defrag", cases[i].defrag);
		ask(h, NULL, 0);
		says(h, cases[i].ok, "huge pages", cases[i].part);
		assert_int_equal(count(h, "huge pages"), 1);
	}
}

static void reserved_by_meminfo(void **state)
{
	struct heard *h = *state;

	put(h, "proc/meminfo", "MemTotal: 64000000 kB\nHugePages_Total:    1000\nHugePages_Free:      600\n"
	    "HugePages_Rsvd:      100\nHugepagesize:       2048 kB\n");
	ask(h, NULL, 0);
	says(h, false, "hugetlb pages", "2.1 GB reserved, 1.0 GB of it used by nobody");
	says(h, false, "hugetlb pages", "echo 500 > /proc/sys/vm/nr_hugepages");
	put(h, "proc/meminfo", "MemTotal: 64000000 kB\nHugePages_Total:    1000\nHugePages_Free:      600\n"
	    "HugePages_Rsvd:      600\nHugepagesize:       2048 kB\n");
	ask(h, NULL, 0);
	says(h, true, "hugetlb pages", "2.1 GB reserved, all in use");
}

/* Sizes other than the usual one are in /sys only. */
static void reserved_by_size(void **state)
{
	struct heard *h = *state;

	put(h, POOLS "/hugepages-2048kB/nr_hugepages", "0\n");
	put(h, POOLS "/hugepages-1048576kB/nr_hugepages", "4\n");
	put(h, POOLS "/hugepages-1048576kB/free_hugepages", "4\n");
	put(h, POOLS "/hugepages-1048576kB/resv_hugepages", "0\n");
	ask(h, NULL, 0);
	assert_int_equal(count(h, "hugetlb pages"), 1);
	says(h, false, "hugetlb pages", "4.3 GB reserved, 4.3 GB of it used by nobody");
	says(h, false, "hugetlb pages", "echo 0 > /" POOLS "/hugepages-1048576kB/nr_hugepages");
	/* a number that no machine has is none */
	put(h, POOLS "/hugepages-1048576kB/resv_hugepages", "-9223372036854775808\n");
	ask(h, NULL, 0);
	says(h, false, "hugetlb pages", "4.3 GB reserved, 4.3 GB of it used by nobody");
	put(h, POOLS "/hugepages-1048576kB/nr_hugepages", "0\n");
	ask(h, NULL, 0);
	says(h, true, "hugetlb pages", "none reserved");
}

static void arrays_as_caches(void **state)
{
	static const struct { const char *level, *chunk; bool ok; const char *part; } cases[] = {
		{ "raid0\n", "524288\n", true, "md0: raid0 of 3 disks, chunks of 512 KiB" },
		{ "raid0\n", "131072\n", true, "chunks of 128 KiB" },
		{ "raid0\n", "65536\n", false, "chunks of 64 KiB, which cut each read into many small ones: make" },
		{ "raid0\n", "1048576\n", true, "chunks of 1024 KiB" },
		{ "raid0\n", "2097152\n", false, "chunks of 2048 KiB, so that a read of 1 MiB asks one disk alone" },
		{ "raid4\n", "524288\n", false, "md0 (raid4) writes parity" },
		{ "raid5\n", "524288\n", false, "md0 (raid5) writes parity at each fill" },
		{ "raid6\n", "65536\n", false, "mdadm --create --level=0" },
		{ "raid10\n", "65536\n", true, "md0: raid10 of 3 disks" },
		{ "raid1\n", "0\n", true, "md0: raid1 of 3 disks" },
	};
	struct heard *h = *state;

	put_link(h, "sys/dev/block/9:0", "../../devices/virtual/block/md0");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_array(h, "md0", cases[i].level, cases[i].chunk);
		ask(h, STATS, 4 * GB);
		says(h, cases[i].ok, "nvme's RAID", cases[i].part);
		assert_int_equal(count(h, "nvme's RAID"), 1);
		assert_int_equal(count(h, "home's RAID"), 0);
	}
}

/* Home lies on a volume on a partition of an array; hearth is mounted over it. */
static void an_array_below_home(void **state)
{
	struct heard *h = *state;

	put_array(h, "md7", "raid5\n", "65536\n");
	put(h, "sys/devices/virtual/block/md7/md/degraded", "0\n");
	put(h, "sys/devices/virtual/block/md7/md7p1/partition", "1\n");
	put_link(h, "sys/devices/virtual/block/dm-0/slaves/md7p1", "../../md7/md7p1");
	put_link(h, "sys/dev/block/253:0", "../../devices/virtual/block/dm-0");
	ask(h, STATS, 4 * GB);
	says(h, true, "home's RAID", "md7: raid5 of 3 disks, chunks of 64 KiB");
	assert_int_equal(count(h, "nvme's RAID"), 0);
	put_array(h, "md7", "raid0\n", "65536\n");
	ask(h, STATS, 4 * GB);
	says(h, false, "home's RAID", "copy its files elsewhere and make it again");
	assert_int_equal(count(h, "home's RAID"), 1);
}

/* The number of a btrfs mount is no device's; its source is, by a name or a link to it. */
static void an_array_by_its_name(void **state)
{
	struct heard *h = *state;

	put_array(h, "md0", "raid0\n", "524288\n");
	put_link(h, "sys/class/block/md0", "../../devices/virtual/block/md0");
	put(h, "proc/self/mountinfo", "20 1 0:30 /sub / rw - btrfs /dev/md0 rw\n");
	ask(h, STATS, 4 * GB);
	says(h, true, "nvme's RAID", "md0: raid0");
	says(h, true, "home's RAID", "md0: raid0");
	put(h, "dev/md0", "");
	put_link(h, "dev/md/fast", "../md0");
	put(h, "proc/self/mountinfo", "20 1 0:30 /sub / rw - btrfs /dev/md/fast rw\n");
	ask(h, STATS, 4 * GB);
	says(h, true, "nvme's RAID", "md0: raid0");
	put(h, "proc/self/mountinfo", "20 1 0:30 / / rw - nfs4 server:/srv rw\n");
	ask(h, STATS, 4 * GB);
	assert_int_equal(count(h, "nvme's RAID"), 0);
}

static void arrays_that_lack_disks(void **state)
{
	struct heard *h = *state;

	put_link(h, "sys/dev/block/9:0", "../../devices/virtual/block/md0");
	put_link(h, "sys/dev/block/253:0", "../../devices/virtual/block/md1");
	put_array(h, "md0", "raid5\n", "524288\n");
	put(h, "sys/devices/virtual/block/md0/md/degraded", "1\n");
	put(h, "sys/devices/virtual/block/md0/md/sync_action", "idle\n");
	put_array(h, "md1", "raid6\n", "524288\n");
	put(h, "sys/devices/virtual/block/md1/md/degraded", "2\n");
	put(h, "sys/devices/virtual/block/md1/md/sync_action", "recover\n");
	ask(h, STATS, 4 * GB);
	says(h, false, "nvme's RAID", "md0 (raid5) lacks 1 of 3 disks");
	says(h, false, "nvme's RAID", "mdadm --manage /dev/md0 --add");
	says(h, false, "nvme's RAID", "parity");
	says(h, false, "home's RAID", "md1 (raid6) lacks 2 of 3 disks and is being rebuilt");
	assert_int_equal(count(h, "home's RAID"), 1);
	/* RAID 0 has no count of missing disks, and is lost without one */
	put_array(h, "md1", "raid0\n", "524288\n");
	put(h, "sys/devices/virtual/block/md1/md/degraded", "");
	put(h, "sys/devices/virtual/block/md1/md/array_state", "broken\n");
	ask(h, STATS, 4 * GB);
	says(h, false, "home's RAID", "md1 (raid0) has lost a disk");
	assert_int_equal(count(h, "home's RAID"), 1);
}

/* Links that lead in a circle end. */
static void volumes_in_a_circle(void **state)
{
	struct heard *h = *state;

	put_array(h, "md0", "raid0\n", "524288\n");
	put_link(h, "sys/devices/virtual/block/md0/slaves/md0", "../../md0");
	put_link(h, "sys/dev/block/9:0", "../../devices/virtual/block/md0");
	ask(h, STATS, 4 * GB);
	assert_true(count(h, "nvme's RAID") <= 8);
	says(h, true, "nvme's RAID", "md0: raid0");
}

static void disks_and_their_heat(void **state)
{
	static const struct { const char *input, *max, *crit; bool ok; const char *part; } cases[] = {
		{ "39850\n", "81850\n", "84850\n", true, "39.9 C of 81.8 C" },
		{ "76849\n", "81850\n", "84850\n", true, "76.8 C of 81.8 C" },
		{ "76850\n", "81850\n", "84850\n", false, "76.8 C is warm" },
		{ "81850\n", "81850\n", "84850\n", false, "81.8 C is warm" },
		{ "82850\n", "81850\n", "84850\n", false, "82.8 C is above its limit of 81.8 C, the disk" },
		{ "83850\n", "65261850\n", "84850\n", false, "83.8 C is warm, the disk throttles itself above 84.8 C" },
		{ "90850\n", "65261850\n", "", true, "90.8 C, of no known limit" },
		{ "-5150\n", "81850\n", "84850\n", true, "-5.2 C of 81.8 C" },
	};
	static const char *const places[] = { "hwmon3", "hwmon/hwmon3", "device/hwmon/hwmon3" };
	char rel[128], what[64];
	struct heard *h = *state;

	for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
		snprintf(what, sizeof(what), "nvme%zu temperature", p);
		for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			snprintf(rel, sizeof(rel), "sys/class/nvme/nvme%zu/%s/temp1_input", p, places[p]);
			put(h, rel, cases[i].input);
			snprintf(rel, sizeof(rel), "sys/class/nvme/nvme%zu/%s/temp1_max", p, places[p]);
			put(h, rel, cases[i].max);
			snprintf(rel, sizeof(rel), "sys/class/nvme/nvme%zu/%s/temp1_crit", p, places[p]);
			put(h, rel, cases[i].crit);
			ask(h, NULL, 0);
			says(h, cases[i].ok, what, cases[i].part);
			assert_int_equal(count(h, what), 1);
		}
	}
	assert_int_equal(h->n, 4 + 3);
}

int main(void)
{
	const struct CMUnitTest doctor_tests[] = {
		cmocka_unit_test_setup_teardown(a_plain_machine, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_to_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(texts_that_are_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(map_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(swap_of_kinds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_swap_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(huge_pages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reserved_by_meminfo, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reserved_by_size, set_up, tear_down),
		cmocka_unit_test_setup_teardown(arrays_as_caches, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_array_below_home, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_array_by_its_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(arrays_that_lack_disks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(volumes_in_a_circle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(disks_and_their_heat, set_up, tear_down),
	};

	return cmocka_run_group_tests(doctor_tests, NULL, NULL);
}
