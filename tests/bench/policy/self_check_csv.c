/* self_check_csv.c - the reader of recorded traces: what a good one becomes, and where a bad one is refused. */
#include "tests/bench/policy/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "seq,tick,object,size,class,tier\n"
#define FULL 40                         /* objects that a trace needs at least */

static const struct {
	const char *text, *err;
} bad[] = {
	{ "", "0 objects are asked for; 40 are needed to tell policies apart" },
	{ HEADER "1,0,5,1,read,home\n", "1 objects are asked for; 40 are needed to tell policies apart" },
	{ "seq,tick\n", "line 1: is not 'seq,tick,object,size,class,tier'" },
	{ HEADER "1,0,5,1,read,home", "line 2: does not end" },
	{ HEADER "1,0,5,1,read,home\n\n", "line 3: no number in seq" },
	{ HEADER "-1,0,5,1,read,home\n", "line 2: no number in seq" },
	{ HEADER " 1,0,5,1,read,home\n", "line 2: no number in seq" },
	{ HEADER "18446744073709551616,0,5,1,read,home\n", "line 2: no number in seq" },
	{ HEADER "1;0,5,1,read,home\n", "line 2: no number in seq" },
	{ HEADER "1,,5,1,read,home\n", "line 2: no number in tick" },
	{ HEADER "1,1e3,5,1,read,home\n", "line 2: no number in tick" },
	{ HEADER "1,0,72057594037927936,1,read,home\n", "line 2: no number below 2^56 in object" },
	{ HEADER "1,0,5,4294967296,read,home\n", "line 2: no number below 2^32 in size" },
	{ HEADER "1,0,5,1,reads,home\n", "line 2: the class is none of read, scan, fill, sample" },
	{ HEADER "1,0,5,1,read\n", "line 2: the class is none of read, scan, fill, sample" },
	{ HEADER "1,0,5,1,read,\n", "line 2: the tier is no name" },
	{ HEADER "1,0,5,1,read,home,\n", "line 2: the tier is no name" },
	{ HEADER "1,0,5,1,read,home\r\n", "line 2: the tier is no name" },
	{ HEADER "1,0,5,1,read,abcdefghijklmnopqrstuvwxyzabcdef\n", "line 2: the tier is no name" },
	{ HEADER "2,0,5,1,read,home\n2,0,6,1,read,home\n", "line 3: seq does not grow" },
	{ HEADER "2,4,5,1,read,home\n3,3,6,1,fill,home\n", "line 3: tick decreases" },
	{ HEADER "2,4,5,1,read,home\n3,4294967299,6,1,read,home\n", "line 3: tick is more than 2^32 behind the first" },
	{ HEADER "1,0,5,1,read,homehomehomehomehomehomehomehomehomehomehomehomehomehomehomehomehomehomehomehomehomehome"
	  "homehomehomehomehomehomehomehomehomehomehomehomehomehomehomehomehomehomehomehome\n", "line 2: too long" },
};

static int parse(const char *text, struct trace *t, struct trace_facts *facts, char *err, size_t errlen)
{
	FILE *f = fmemopen((void *)text, strlen(text) + (text[0] == '\0'), "r");
	int rc;

	if (f == NULL)
		return -errno;
	if (text[0] == '\0')
		getc(f);                /* an empty buffer cannot be opened */
	rc = trace_csv(t, f, facts, err, errlen);
	fclose(f);
	return rc;
}

/* Two blobs with half of the objects each; one read as a scan, twice in a tick, and once more as a read; a fill. */
static bool good_one_is_right(void)
{
	char text[4096] = HEADER, err[160];
	size_t len = strlen(text);
	struct trace_facts facts;
	struct trace t;
	bool right;

	for (unsigned i = 0; i < FULL; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%u,%u,%llu,1048576,read,home\n", i + 10, 100 + i,
					(9ull - i / (FULL / 2)) << 24 | (i % (FULL / 2) * 3));
	snprintf(text + len, sizeof(text) - len, "50,140,150994944,1,scan,nvme\n51,140,150994944,1,scan,nvme\n"
		 "52,140,134217728,1,scan,ram\n53,140,134217728,1,sample,ram\n54,140,77,1,fill,home\n60,141,150994944,5,read,ram\n");
	right = parse(text, &t, &facts, err, sizeof(err)) == 0;
	right = right && facts.accesses == FULL + 6 && facts.fills == 1 && facts.repeats == 2 && facts.lost == 5;
	right = right && t.n == FULL + 3 && t.ids == FULL && t.blobs == 2;
	for (uint32_t i = 0; right && i < FULL; i++)    /* the second half has the smaller numbers */
		right = t.id[i] == (i + FULL / 2) % FULL && t.scan[i] == 0 && t.tick[i] == i + 1 && t.blob[i] == i / (FULL / 2);
	right = right && t.id[FULL] == FULL / 2 && t.scan[FULL] == 1 && t.tick[FULL] == FULL + 1;
	right = right && t.id[FULL + 1] == 0 && t.scan[FULL + 1] == 0 && t.tick[FULL + 1] == FULL + 1;
	right = right && t.id[FULL + 2] == FULL / 2 && t.scan[FULL + 2] == 0 && t.tick[FULL + 2] == FULL + 2;
	trace_free(&t);
	return right;
}

int replay_self_check_csv(void)
{
	struct trace_facts facts;
	struct trace t = { 0 };
	char err[160] = "";
	int wrong = 0;

	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		int rc = parse(bad[k].text, &t, &facts, err, sizeof(err));

		trace_free(&t);
		if (rc == -EINVAL && strcmp(err, bad[k].err) == 0)
			continue;
		fprintf(stderr, "a recorded trace, %s: refused with '%s'\n", bad[k].err, err);
		wrong++;
	}
	if (good_one_is_right())
		return wrong;
	fprintf(stderr, "a good recorded trace is not read as it is\n");
	return wrong + 1;
}
