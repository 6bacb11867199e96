/* test_fs_top_stats.c - a mount's state and counters, from text: this version's, another's, anybody's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fs_top.h"

static const char whole[] =
	"{\"mountpoint\":\"/mnt\",\"version\":\"0.1.0\",\"started\":1000,\"tiers\":["
	"{\"name\":\"ram\",\"state\":\"ok\",\"used\":5,\"budget\":10,\"pinned\":2,\"locked\":3},"
	"{\"name\":\"nvme\",\"state\":\"out of service\",\"reason\":\"EIO\",\"used\":7,\"size\":70,\"new\":[1]},{\"name\":\"home\"}],"
	"\"moves\":[{\"blob\":\"blobs/x\",\"from\":\"home\",\"to\":\"nvme\",\"done\":5,\"total\":9,\"rate\":2.5},"
	"{\"blob\":\"blobs/y\",\"to\":\"nvme\",\"done\":50,\"total\":9}]}";

static struct fs_top_sample *parse(const char *text)
{
	struct fs_top_sample *s = NULL;
	char err[128];

	assert_int_equal(fs_top_parse(text, strlen(text), &s, err, sizeof(err)), 0);
	assert_non_null(s);
	return s;
}

static void all_of_it(void **state)
{
	struct fs_top_sample *s = parse(whole);

	(void)state;
	assert_string_equal(s->mount, "/mnt");
	assert_string_equal(s->version, "0.1.0");
	assert_int_equal(s->started, 1000);
	assert_int_equal(s->ntiers, 3);
	assert_string_equal(s->tier[0].name, "ram");
	assert_int_equal(s->tier[0].limit, 10);
	assert_int_equal(s->tier[0].pinned, 2);
	assert_int_equal(s->tier[0].locked, 3);
	assert_int_equal(s->tier[1].used, 7);
	assert_int_equal(s->tier[1].limit, 70);
	assert_string_equal(s->tier[1].state, "out of service");
	assert_string_equal(s->tier[1].reason, "EIO");
	assert_int_equal(s->tier[2].used, 0);
	assert_true(s->tier[2].read_rate < 0);
	assert_int_equal(s->nmoves, 2);
	assert_string_equal(s->move[0].blob, "blobs/x");
	assert_true(s->move[0].rate == 2);
	assert_string_equal(s->move[1].from, "");
	assert_int_equal(s->move[1].done, 9);           /* never more than all */
	fs_top_sample_free(s);
}

/* Members that are missing, of another type, too many, too long, or made to hurt a terminal. */
static void odd_texts(void **state)
{
	static const char *const cases[] = {
		"{}", "{\"tiers\":5,\"moves\":\"x\"}", "{\"tiers\":[1,null,[],{}],\"moves\":[1,null,{}]}",
		"{\"tiers\":[{\"name\":\"RAM\"},{\"name\":\"\"},{\"name\":5},{\"name\":\"ram home\"}]}",
		"{\"mountpoint\":null,\"started\":\"x\",\"version\":[]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fs_top_sample *s = parse(cases[i]);

		assert_int_equal(s->ntiers, 0);
		fs_top_sample_free(s);
	}
	{
		struct fs_top_sample *s = parse("{\"tiers\":[{\"name\":\"ram\",\"used\":-5,\"budget\":1e300,\"size\":3.7,"
						"\"state\":\"\\u001b[2Jxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}]}");

		assert_int_equal(s->tier[0].used, 0);
		assert_int_equal(s->tier[0].limit, 3);
		assert_int_equal(s->tier[0].state[0], '?');
		assert_int_equal(strlen(s->tier[0].state), sizeof(s->tier[0].state) - 1);
		fs_top_sample_free(s);
	}
}

static void no_state(void **state)
{
	static const char *const cases[] = { "", "[]", "5", "{", "{\"tiers\":[", "null", "\xff" };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fs_top_sample *s = NULL;
		char err[128] = "";

		assert_int_equal(fs_top_parse(cases[i], strlen(cases[i]), &s, err, sizeof(err)), -EINVAL);
		assert_null(s);
		assert_true(err[0] != '\0');
	}
}

static void too_many(void **state)
{
	struct fs_top_sample *s;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	assert_non_null(f);
	fprintf(f, "{\"tiers\":[");
	for (int i = 0; i < 100; i++)
		fprintf(f, "%s{\"name\":\"t%d\"}", i > 0 ? "," : "", i);
	fprintf(f, "],\"moves\":[");
	for (int i = 0; i < FS_TOP_MOVES_MAX + 44; i++)
		fprintf(f, "%s{\"blob\":\"b\"}", i > 0 ? "," : "");
	fprintf(f, "]}");
	fclose(f);
	s = parse(text);
	assert_int_equal(s->ntiers, FS_TIERS_MAX);
	assert_int_equal(s->nmoves, FS_TOP_MOVES_MAX);
	assert_int_equal(s->moves_more, 44);
	fs_top_sample_free(s);
	free(text);
}

static void metrics(void **state)
{
	struct fs_top_sample *s = parse(whole);

	(void)state;
	fs_top_take_metrics(s, "# TYPE hearth_read_bytes counter\n"
			       "hearth_read_bytes_total{tier=\"home\",class=\"read\"} 100\n"
			       "hearth_read_bytes_total{class=\"scan\",tier=\"home\"} 11\n"
			       "hearth_read_bytes_total{tier=\"nvme\"} 7\n"
			       "hearth_read_bytes_total{subtier=\"nvme\"} 1000\n"
			       "hearth_read_bytes_total{tier=\"nvmex\"} 1000\n"
			       "hearth_read_bytes_total{tier=\"nv\"} 1000\n"
			       "hearth_read_bytes_total{} 1000\n"
			       "hearth_read_bytes_total{tier=\n"
			       "hearth_read_bytes_total{tier=\"ram\n"
			       "hearth_write_bytes_total{tier=\"nvme\"} 1000\n# EOF\n");
	assert_false(s->tier[0].counted);
	assert_true(s->tier[1].counted);
	assert_int_equal(s->tier[1].read, 7);
	assert_int_equal(s->tier[2].read, 111);
	fs_top_take_metrics(s, "");
	fs_top_take_metrics(s, "hearth_read_bytes_total{tier=\"ram\"");
	fs_top_take_metrics(s, "hearth_read_bytes_total{tier=\"ram\"}");
	fs_top_take_metrics(s, "hearth_read_bytes_total{tier=\"ram\"} ");
	assert_int_equal(s->tier[0].read, 0);
	fs_top_sample_free(s);
}

static void rates(void **state)
{
	struct fs_top_sample *a = parse(whole), *b = parse(whole);

	(void)state;
	a->at_ns = 5000000000ull;
	b->at_ns = 7000000000ull;
	fs_top_take_metrics(a, "hearth_read_bytes_total{tier=\"nvme\"} 100\nhearth_read_bytes_total{tier=\"home\"} 50\n");
	fs_top_take_metrics(b, "hearth_read_bytes_total{tier=\"nvme\"} 300\nhearth_read_bytes_total{tier=\"home\"} 20\n");
	b->move[1].done = 9;
	a->move[1].done = 3;
	fs_top_rates(b, a);
	assert_true(b->tier[0].read_rate < 0);          /* nobody counts it */
	assert_true(b->tier[1].read_rate == 100);
	assert_true(b->tier[2].read_rate < 0);          /* gone back */
	assert_true(b->move[0].rate == 2);              /* as told */
	assert_true(b->move[1].rate == 3);              /* by its bytes */
	fs_top_rates(b, NULL);
	assert_true(b->tier[1].read_rate < 0);
	fs_top_rates(a, b);                             /* time gone back */
	assert_true(a->tier[1].read_rate < 0);
	fs_top_sample_free(a);
	fs_top_sample_free(b);
	fs_top_sample_free(NULL);
}

int main(void)
{
	const struct CMUnitTest fs_top_stats_tests[] = {
		cmocka_unit_test(all_of_it),
		cmocka_unit_test(odd_texts),
		cmocka_unit_test(no_state),
		cmocka_unit_test(too_many),
		cmocka_unit_test(metrics),
		cmocka_unit_test(rates),
	};

	return cmocka_run_group_tests(fs_top_stats_tests, NULL, NULL);
}
