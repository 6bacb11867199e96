/* test_fs_cli.c - sizes as people read them, tiers as the mount prints them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fs_cli.h"
#include "tiering/tier.h"

static void bytes(void **state)
{
	static const struct { uint64_t n; const char *text; } cases[] = {
		{ 0, "0 B" }, { 1, "1 B" }, { 999, "999 B" }, { 1000, "1.0 kB" }, { 1049, "1.0 kB" }, { 1051, "1.1 kB" },
		{ 99949, "99.9 kB" }, { 99950, "100 kB" }, { 99951, "100 kB" }, { 999499, "999 kB" }, { 999500, "1.0 MB" },
		{ 4661211808ull, "4.7 GB" }, { 404000000000ull, "404 GB" }, { 1000000000000ull, "1.0 TB" },
		{ 999500000000000ull, "1.0 PB" }, { UINT64_MAX, "18447 PB" },
	};
	char buf[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(fs_cli_bytes(cases[i].n, buf), cases[i].text);
}

static void tiers(void **state)
{
	static const struct { const char *text; uint64_t ram, home; } cases[] = {
		{ "", 7, 8 }, { "ram=1 home=2", 1, 2 }, { "home=2 ram=1", 1, 2 }, { "ram=1", 1, 8 }, { "home=5", 7, 5 },
		{ "nvme=3 ram=1 home=2", 1, 2 }, { "ram=18446744073709551615 home=0", UINT64_MAX, 0 },
		{ "vram=3 home=2", 7, 2 }, { "ramp=3", 7, 8 }, { " ram=4", 4, 8 }, { "ram", 7, 8 }, { "ram=x", 0, 8 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t got[TIER_COUNT] = { 7, 8 };

		fs_cli_parse_tiers(cases[i].text, got);
		assert_int_equal(got[TIER_RAM], cases[i].ram);
		assert_int_equal(got[TIER_HOME], cases[i].home);
	}
}

/* What tiering prints, the commands read. */
static void what_is_printed_is_read(void **state)
{
	struct tier_usage u = { .bytes = { [TIER_RAM] = 123456789012ull, [TIER_HOME] = 5 } };
	uint64_t got[TIER_COUNT] = { 0 };
	char text[256];

	(void)state;
	tier_usage_print(&u, text, sizeof(text));
	fs_cli_parse_tiers(text, got);
	assert_memory_equal(got, u.bytes, sizeof(got));
}

int main(void)
{
	const struct CMUnitTest fs_cli_tests[] = {
		cmocka_unit_test(bytes),
		cmocka_unit_test(tiers),
		cmocka_unit_test(what_is_printed_is_read),
	};

	return cmocka_run_group_tests(fs_cli_tests, NULL, NULL);
}
