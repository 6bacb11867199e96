/* test_gguf_limits.c - the parser's caps, each met and passed by one, and the memory it takes. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/gguf.h"
#include "kernels/kern_type.h"
#include "tests/unit/gguf_cases.h"
#include "tests/unit/gguf_walk.h"

/* A sanitizer reserves address space and allocates in its own way. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct file {
	unsigned char *buf;
	size_t len;
	struct gguf *g;
	char err[512];
};

/* Finish, parse, and walk when it parsed.  Takes b. */
static int file_open(struct file *f, struct gguf_build *b)
{
	const char *why = NULL;
	int rc;

	memset(f, 0, sizeof(*f));
	assert_int_equal(gguf_build_finish(b, &f->buf, &f->len), 0);
	rc = gguf_parse(&f->g, f->buf, f->len, f->len, f->err, sizeof(f->err));
	if (rc == 0 && gguf_walk(f->g, f->buf, f->len, f->len, &why) != 0)
		fail_msg("walk: %s", why != NULL ? why : "no memory");
	return rc;
}

static void file_close(struct file *f)
{
	gguf_free(f->g);
	free(f->buf);
}

static void strings_up_to_16_mib(void **state)
{
	const size_t max = 16u << 20;
	char *text = calloc(1, max + 1);
	struct gguf_build *b = gguf_build_new(3);
	struct gguf_str s;
	struct file f;

	(void)state;
	assert_non_null(text);
	gguf_build_strn(b, "s", text, max);
	assert_int_equal(file_open(&f, b), 0);
	assert_int_equal(gguf_get_str(f.g, "s", &s), 0);
	assert_int_equal(s.len, max);
	file_close(&f);
	b = gguf_build_new(3);
	gguf_build_strn(b, "s", text, max + 1);
	assert_int_equal(file_open(&f, b), -EINVAL);
	assert_non_null(strstr(f.err, "key 's' (number 0): string of 16777217 bytes is longer"));
	file_close(&f);
	free(text);
}

static void arrays_up_to_16_mi_elements(void **state)
{
	const uint64_t max = 16u << 20;
	struct gguf_build *b = gguf_build_new(3);
	struct gguf_arr a;
	struct file f;
	uint32_t v = 1;

	(void)state;
	gguf_build_arr(b, "a", GGUF_U8, NULL, max);     /* zeros */
	assert_int_equal(file_open(&f, b), 0);
	assert_int_equal(gguf_get_arr(f.g, "a", &a), 0);
	assert_true(a.n == max);
	assert_int_equal(gguf_arr_u32(&a, max - 1, &v), 0);
	assert_int_equal(v, 0);
	file_close(&f);
	b = gguf_build_new(3);
	gguf_build_arr(b, "a", GGUF_U8, NULL, max + 1);
	assert_int_equal(file_open(&f, b), -EINVAL);
	assert_non_null(strstr(f.err, "16777217 array elements are more than the limit"));
	file_close(&f);
}

/* n keys and n tensors whose names differ late, so that sorting and finding them takes its steps. */
static void add_many(struct gguf_build *b, uint32_t n_kv, uint32_t n_tensors)
{
	static const uint64_t one[] = { 1 };
	char name[64];
	uint32_t i;

	gguf_build_align(b, 8);
	for (i = 1; i < n_kv; i++) {
		snprintf(name, sizeof(name), "a.common.prefix.of.all.of.them.%08x", (unsigned)(i * 2654435761u));
		gguf_build_u32(b, name, i);
	}
	for (i = 0; i < n_tensors; i++) {
		snprintf(name, sizeof(name), "blk.%u.weight", (unsigned)(i * 2654435761u));
		gguf_build_tensor(b, name, KERN_F32, 1, one, NULL, 4);
	}
}

static void counts_up_to_65536(void **state)
{
	struct gguf_build *b = gguf_build_new(3);
	struct file f;
	uint32_t v = 0;

	(void)state;
	add_many(b, 65536, 65536);
	assert_int_equal(file_open(&f, b), 0);
	assert_int_equal(gguf_n_kv(f.g), 65536);
	assert_int_equal(gguf_n_tensors(f.g), 65536);
	assert_int_equal(gguf_get_u32(f.g, "a.common.prefix.of.all.of.them.9e3779b1", &v), 0);
	assert_int_equal(v, 1);
	assert_ptr_equal(gguf_tensor_find(f.g, "blk.2654435761.weight"), gguf_tensor_at(f.g, 1));
	print_message("65536 keys and tensors: %zu bytes of header, %zu of index\n",
		      (size_t)gguf_data_off(f.g), gguf_index_bytes(f.g));
	file_close(&f);
	b = gguf_build_new(3);
	add_many(b, 65537, 0);
	assert_int_equal(file_open(&f, b), -EINVAL);
	assert_non_null(strstr(f.err, "65537 keys are more than the limit of 65536"));
	file_close(&f);
	b = gguf_build_new(3);
	add_many(b, 1, 65537);
	assert_int_equal(file_open(&f, b), -EINVAL);
	assert_non_null(strstr(f.err, "65537 tensors are more than the limit of 65536"));
	file_close(&f);
}

/* The last of many equal names is found, whatever lies between. */
static void duplicates_among_many(void **state)
{
	static const uint64_t one[] = { 1 };
	struct gguf_build *b = gguf_build_new(3);
	struct file f;

	(void)state;
	add_many(b, 30000, 30000);
	gguf_build_tensor(b, "blk.2654435761.weight", KERN_F32, 1, one, NULL, 4);
	assert_int_equal(file_open(&f, b), -EINVAL);
	assert_non_null(strstr(f.err, "'blk.2654435761.weight' (number 30000): duplicate of tensor number 1"));
	file_close(&f);
	b = gguf_build_new(3);
	add_many(b, 30000, 1);
	gguf_build_u32(b, "a.common.prefix.of.all.of.them.9e3779b1", 7);
	assert_int_equal(file_open(&f, b), -EINVAL);
	assert_non_null(strstr(f.err, "(number 30000): duplicate of key number 1"));
	file_close(&f);
}

/* A vocabulary of 150 000 tokens with 400 000 merges costs no memory: nothing is copied. */
static void large_vocabulary(void **state)
{
	static const char text[] = "\xc4\xa0th e";
	const uint64_t n = 400000;
	const char **merges = malloc(n * sizeof(*merges));
	struct gguf_build *b = gguf_build_new(3);
	struct gguf_arr a;
	struct file f;
	uint64_t i;

	(void)state;
	assert_non_null(merges);
	for (i = 0; i < n; i++)
		merges[i] = text + i % 6;
	gguf_build_arr_str(b, "tokenizer.ggml.merges", merges, n);
	gguf_build_arr_str(b, "tokenizer.ggml.tokens", merges, 150000);
	assert_int_equal(file_open(&f, b), 0);
	assert_int_equal(gguf_get_arr(f.g, "tokenizer.ggml.merges", &a), 0);
	assert_true(a.n == n);
	assert_true(gguf_index_bytes(f.g) < 512);
	file_close(&f);
	free(merges);
}

/* Bytes of address space in use. */
static size_t address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Parse with only `more` bytes of address space beyond what is in use. */
static int parse_within(size_t more, const unsigned char *buf, size_t len, char *err, size_t errlen)
{
	struct rlimit old, tight;
	struct gguf *g = NULL;
	int rc;

	malloc_trim(0);
	assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
	tight = old;
	tight.rlim_cur = address_space() + more;
	assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
	rc = gguf_parse(&g, buf, len, len, err, errlen);
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
	gguf_free(g);
	return rc;
}

/* No case needs more than half a mebibyte, whatever it claims to hold. */
static void bad_files_allocate_little(void **state)
{
	unsigned char *buf;
	char err[512];
	size_t i, len;

	(void)state;
	if (SANITIZED) {
		print_message("the sanitizer does not let the address space be limited\n");
		skip();
	}
	for (i = 0; i < gguf_cases_n; i++) {
		assert_int_equal(gguf_case_make(&gguf_cases[i], &buf, &len), 0);
		if (parse_within(512u << 10, buf, len, err, sizeof(err)) != gguf_cases[i].rc)
			fail_msg("%s: %s", gguf_cases[i].name, err);
		free(buf);
	}
}

static void no_memory_is_an_error(void **state)
{
	struct gguf_build *b;
	unsigned char *buf;
	char err[512] = "";
	size_t len;

	(void)state;
	if (SANITIZED) {
		print_message("the sanitizer does not let the address space be limited\n");
		skip();
	}
	b = gguf_build_new(3);
	add_many(b, 65536, 65536);
	assert_int_equal(gguf_build_finish(b, &buf, &len), 0);
	assert_int_equal(parse_within(256u << 10, buf, len, err, sizeof(err)), -ENOMEM);
	assert_non_null(strstr(err, "no memory"));
	free(buf);
}

int main(void)
{
	const struct CMUnitTest gguf_limits_tests[] = {
		cmocka_unit_test(strings_up_to_16_mib),
		cmocka_unit_test(arrays_up_to_16_mi_elements),
		cmocka_unit_test(counts_up_to_65536),
		cmocka_unit_test(duplicates_among_many),
		cmocka_unit_test(large_vocabulary),
		cmocka_unit_test(bad_files_allocate_little),
		cmocka_unit_test(no_memory_is_an_error),
	};

	/* large blocks straight from the kernel, so that the limits on address space mean what they say */
	mallopt(M_MMAP_THRESHOLD, 64 << 10);
	return cmocka_run_group_tests(gguf_limits_tests, NULL, NULL);
}
