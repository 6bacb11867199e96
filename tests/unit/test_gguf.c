/* test_gguf.c - the GGUF parser: named malformed fields, limits, access by key, random damage.
 *
 * `test_gguf --write-regress DIR` writes every case of gguf_cases.c as DIR/<name>.gguf instead, the
 * first inputs of the fuzzer.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/gguf.h"
#include "kernels/kern_type.h"
#include "tests/unit/gguf_cases.h"
#include "tests/unit/gguf_walk.h"

#define DAMAGED_INPUTS 100000

static void assert_one_line(const char *err)
{
	size_t i, n = strlen(err);

	assert_true(n > 0 && n < 400);
	assert_true(err[n - 1] != '.');
	for (i = 0; i < n; i++)
		assert_true(err[i] >= 0x20 && err[i] < 0x7f);
}

static void walk_all(const struct gguf *g, const void *buf, size_t len, uint64_t file_bytes)
{
	const char *why = NULL;

	if (gguf_walk(g, buf, len, file_bytes, &why) != 0)
		fail_msg("walk: %s", why != NULL ? why : "no memory");
}

static const struct gguf_case *find_case(const char *name)
{
	size_t i;

	for (i = 0; i < gguf_cases_n; i++) {
		if (strcmp(gguf_cases[i].name, name) == 0)
			return &gguf_cases[i];
	}
	fail_msg("no case %s", name);
	return NULL;
}

/* A parsed case; both are to be freed. */
static struct gguf *open_case(const char *name, unsigned char **buf, size_t *len)
{
	struct gguf *g = NULL;
	char err[512] = "";

	assert_int_equal(gguf_case_make(find_case(name), buf, len), 0);
	if (gguf_parse(&g, *buf, *len, *len, err, sizeof(err)) != 0)
		fail_msg("%s: %s", name, err);
	return g;
}

static void cases_give_their_error(void **state)
{
	size_t i, len;

	(void)state;
	for (i = 0; i < gguf_cases_n; i++) {
		const struct gguf_case *c = &gguf_cases[i];
		struct gguf *g = NULL;
		unsigned char *buf;
		char err[512] = "";
		int rc;

		assert_int_equal(gguf_case_make(c, &buf, &len), 0);
		rc = gguf_parse(&g, buf, len, len, err, sizeof(err));
		if (rc != c->rc || (c->word != NULL && strstr(err, c->word) == NULL))
			fail_msg("%s: returned %d, not %d: '%s' wants '%s'", c->name, rc, c->rc, err,
				 c->word != NULL ? c->word : "");
		if (rc == 0) {
			walk_all(g, buf, len, len);
		} else {
			assert_null(g);
			assert_one_line(err);
			assert_int_equal(gguf_parse(&g, buf, len, len, NULL, 0), rc);
			assert_int_equal(gguf_parse(&g, buf, len, len, err, 1), rc);
			assert_int_equal(err[0], 0);
		}
		gguf_free(g);
		free(buf);
	}
	print_message("%zu named cases\n", gguf_cases_n);
}

static void scalars_by_key(void **state)
{
	unsigned char *buf;
	size_t len;
	struct gguf *g = open_case("ok_all_types", &buf, &len);
	struct gguf_str s;
	uint32_t u = 0;
	uint64_t v = 0;
	float f = 0;
	bool b = false;

	(void)state;
	assert_int_equal(gguf_version(g), 3);
	assert_int_equal(gguf_n_kv(g), 22);
	assert_int_equal(gguf_get_u32(g, "t.u8", &u), 0);
	assert_int_equal(u, 200);
	assert_int_equal(gguf_get_u32(g, "t.u16", &u), 0);
	assert_int_equal(u, 65535);
	assert_int_equal(gguf_get_u32(g, "t.u32", &u), 0);
	assert_int_equal(u, 4000000000u);
	assert_int_equal(gguf_get_u32(g, "t.i32", &u), 0);
	assert_int_equal(u, 77);
	assert_int_equal(gguf_get_u64(g, "t.u64", &v), 0);
	assert_true(v == 1ull << 40);
	assert_int_equal(gguf_get_f32(g, "t.f32", &f), 0);
	assert_true(f == 1e-5f);
	assert_int_equal(gguf_get_f32(g, "t.f64", &f), 0);
	assert_true(f == 0.1f);
	assert_int_equal(gguf_get_bool(g, "t.bool", &b), 0);
	assert_true(b);
	assert_int_equal(gguf_get_str(g, "t.str", &s), 0);
	assert_int_equal(s.len, 3);
	assert_memory_equal(s.s, "a\0b", 3);
	gguf_free(g);
	free(buf);
}

static void wrong_types_leave_the_default(void **state)
{
	static const char *const not_u32[] = { "t.u64", "t.i8", "t.i16", "t.i64", "t.f32", "t.bool", "t.str", "t.arr.u8" };
	unsigned char *buf;
	size_t i, len;
	struct gguf *g = open_case("ok_all_types", &buf, &len);
	struct gguf_str s = { "default", 7 };
	struct gguf_arr a = { .n = 42 };
	uint32_t u = 42;
	uint64_t v = 42;
	float f = 42;
	bool b = true;

	(void)state;
	for (i = 0; i < sizeof(not_u32) / sizeof(not_u32[0]); i++)
		assert_int_equal(gguf_get_u32(g, not_u32[i], &u), -EINVAL);
	assert_int_equal(gguf_get_u32(g, "t.u3", &u), -ENOENT);
	assert_int_equal(gguf_get_u32(g, "", &u), -ENOENT);
	assert_int_equal(u, 42);
	assert_int_equal(gguf_get_u64(g, "t.i64", &v), -EINVAL);
	assert_int_equal(gguf_get_u64(g, "none", &v), -ENOENT);
	assert_true(v == 42);
	assert_int_equal(gguf_get_f32(g, "t.u32", &f), -EINVAL);
	assert_int_equal(gguf_get_f32(g, "none", &f), -ENOENT);
	assert_true(f == 42);
	assert_int_equal(gguf_get_bool(g, "t.u8", &b), -EINVAL);
	assert_int_equal(gguf_get_bool(g, "none", &b), -ENOENT);
	assert_true(b);
	assert_int_equal(gguf_get_str(g, "t.u8", &s), -EINVAL);
	assert_int_equal(gguf_get_str(g, "none", &s), -ENOENT);
	assert_int_equal(s.len, 7);
	assert_int_equal(gguf_get_arr(g, "t.str", &a), -EINVAL);
	assert_int_equal(gguf_get_arr(g, "none", &a), -ENOENT);
	assert_int_equal(a.n, 42);
	gguf_free(g);
	free(buf);
}

static void number_arrays(void **state)
{
	unsigned char *buf;
	size_t len;
	struct gguf *g = open_case("ok_all_types", &buf, &len);
	struct gguf_arr a;
	uint32_t u = 42;
	float f = 42;

	(void)state;
	assert_int_equal(gguf_get_arr(g, "t.arr.f32", &a), 0);
	assert_true(a.elem_type == GGUF_F32 && a.n == 3 && a.nbytes == 12);
	assert_int_equal(gguf_arr_f32(&a, 1, &f), 0);
	assert_true(f == -1.0f);
	assert_int_equal(gguf_arr_f32(&a, 2, &f), 0);
	assert_true(isinf(f));
	assert_int_equal(gguf_arr_f32(&a, 3, &f), -EINVAL);
	assert_int_equal(gguf_arr_u32(&a, 0, &u), -EINVAL);
	assert_int_equal(gguf_get_arr(g, "t.arr.f64", &a), 0);
	assert_int_equal(gguf_arr_f32(&a, 0, &f), 0);
	assert_true(f == 0.25f);
	assert_int_equal(gguf_arr_f32(&a, 1, &f), -EINVAL);     /* 1e300 is no float */
	assert_int_equal(gguf_get_arr(g, "t.arr.i32", &a), 0);
	assert_int_equal(gguf_arr_u32(&a, 0, &u), -EINVAL);     /* -1 */
	assert_int_equal(u, 42);
	assert_int_equal(gguf_arr_u32(&a, 1, &u), 0);
	assert_int_equal(u, 7);
	assert_int_equal(gguf_arr_u32(&a, 2, &u), -EINVAL);
	assert_int_equal(gguf_get_arr(g, "t.arr.u64", &a), 0);
	assert_int_equal(gguf_arr_u32(&a, 0, &u), 0);
	assert_int_equal(u, 1);
	assert_int_equal(gguf_arr_u32(&a, 1, &u), -EINVAL);
	assert_int_equal(gguf_get_arr(g, "t.arr.empty", &a), 0);
	assert_true(a.n == 0 && a.nbytes == 0);
	assert_int_equal(gguf_arr_u32(&a, 0, &u), -EINVAL);
	gguf_free(g);
	free(buf);
}

/* Scores declared as bytes must not be read as floats. */
static void element_type_is_checked_at_use(void **state)
{
	unsigned char *buf;
	size_t len;
	struct gguf *g = open_case("ok_scores_i8", &buf, &len);
	struct gguf_str s = { "default", 7 };
	struct gguf_arr a;
	uint64_t cursor = 0;
	uint32_t u = 0;
	float f = 42;

	(void)state;
	assert_int_equal(gguf_get_arr(g, "tokenizer.ggml.scores", &a), 0);
	assert_int_equal(gguf_arr_f32(&a, 0, &f), -EINVAL);
	assert_int_equal(gguf_arr_str(&a, &cursor, &s), -EINVAL);
	assert_int_equal(gguf_arr_u32(&a, 2, &u), 0);
	assert_int_equal(u, 3);
	assert_true(f == 42 && cursor == 0 && s.len == 7);
	gguf_free(g);
	free(buf);
}

static void string_arrays(void **state)
{
	static const char *const want[] = { "<unk>", "", "\xe2\x96\x81the" };
	unsigned char *buf;
	size_t i, len;
	struct gguf *g = open_case("ok_all_types", &buf, &len);
	struct gguf_arr a;
	struct gguf_str s;
	uint64_t cursor = 0;
	uint32_t u;

	(void)state;
	assert_int_equal(gguf_get_arr(g, "t.arr.str", &a), 0);
	assert_int_equal(gguf_arr_u32(&a, 0, &u), -EINVAL);
	for (i = 0; i < a.n; i++) {
		assert_int_equal(gguf_arr_str(&a, &cursor, &s), 0);
		assert_int_equal(s.len, strlen(want[i]));
		assert_memory_equal(s.s, want[i], s.len);
	}
	assert_int_equal(gguf_arr_str(&a, &cursor, &s), -EINVAL);
	for (cursor = a.nbytes + 1; cursor < a.nbytes + 64; cursor++)
		assert_int_equal(gguf_arr_str(&a, &cursor, &s), -EINVAL);
	cursor = UINT64_MAX;
	assert_int_equal(gguf_arr_str(&a, &cursor, &s), -EINVAL);
	assert_int_equal(gguf_get_arr(g, "t.arr.u64", &a), 0);  /* 1 and more would pass for a length */
	cursor = 0;
	assert_int_equal(gguf_arr_str(&a, &cursor, &s), -EINVAL);
	gguf_free(g);
	free(buf);
}

/* The bytes change after the parse, as under a mapping: nothing leads outside. */
static void changed_string_length_is_refused(void **state)
{
	unsigned char *buf;
	size_t len;
	struct gguf *g = open_case("ok_all_types", &buf, &len);
	struct gguf_arr a;
	struct gguf_str s;
	uint64_t cursor = 0;

	(void)state;
	assert_int_equal(gguf_get_arr(g, "t.arr.str", &a), 0);
	gguf_build_put64(buf, (size_t)(a.data - buf), UINT64_MAX - 7);
	assert_int_equal(gguf_arr_str(&a, &cursor, &s), -EINVAL);
	gguf_build_put64(buf, (size_t)(a.data - buf), a.nbytes - 8 + 1);
	assert_int_equal(gguf_arr_str(&a, &cursor, &s), -EINVAL);
	gguf_build_put64(buf, (size_t)(a.data - buf), a.nbytes - 8);
	assert_int_equal(gguf_arr_str(&a, &cursor, &s), 0);
	gguf_free(g);
	free(buf);
}

static void keys_in_file_order(void **state)
{
	unsigned char *buf;
	size_t len;
	struct gguf *g = open_case("ok_all_types", &buf, &len);
	enum gguf_type type;
	struct gguf_str key = gguf_key(g, 0, &type);

	(void)state;
	assert_int_equal(type, GGUF_STR);
	assert_int_equal(key.len, 20);
	assert_memory_equal(key.s, "general.architecture", 20);
	key = gguf_key(g, 21, &type);
	assert_int_equal(type, GGUF_ARR);
	assert_memory_equal(key.s, "t.arr.str", key.len);
	gguf_free(g);
	free(buf);
}

static void tensor_fields(void **state)
{
	unsigned char *buf;
	size_t len;
	struct gguf *g = open_case("ok_tensors", &buf, &len);
	const struct gguf_tensor *t;

	(void)state;
	assert_int_equal(gguf_n_tensors(g), 7);
	assert_int_equal(gguf_data_off(g) % 64, 0);
	t = gguf_tensor_find(g, "token_embd.weight");
	assert_ptr_equal(t, gguf_tensor_at(g, 1));
	assert_true(t->type == KERN_Q8_0 && t->ndims == 2 && t->nbytes == 340);
	assert_true(t->ne[0] == 64 && t->ne[1] == 5 && t->ne[2] == 1 && t->ne[3] == 1);
	assert_true(t->off == gguf_data_off(g) + 128);
	t = gguf_tensor_find(g, "blk.0.ffn_up_exps.weight");
	assert_true(t->ndims == 3 && t->ne[2] == 2 && t->nbytes == 128);
	t = gguf_tensor_find(g, "q6");
	assert_true(t->nbytes == 420 && t->off % 64 == 0);
	assert_null(gguf_tensor_find(g, "q"));
	assert_null(gguf_tensor_find(g, ""));
	assert_null(gguf_tensor_find(g, "token_embd.weighs"));
	gguf_free(g);
	free(buf);
	g = open_case("ok_backwards_and_gap", &buf, &len);
	assert_true(gguf_tensor_find(g, "b")->off == gguf_data_off(g) + 512);
	assert_true(gguf_tensor_find(g, "c")->off == gguf_data_off(g) + 256);
	gguf_free(g);
	free(buf);
}

/* Parse the first n bytes of a file of file_bytes in a block of their own, so that ASan sees the end. */
static int parse_cut(const unsigned char *buf, size_t n, uint64_t file_bytes, uint64_t *data_off)
{
	unsigned char *copy = malloc(n + (n == 0));
	struct gguf *g = NULL;
	char err[512] = "";
	int rc;

	assert_non_null(copy);
	memcpy(copy, buf, n);
	rc = gguf_parse(&g, copy, n, file_bytes, err, sizeof(err));
	if (rc == 0) {
		*data_off = gguf_data_off(g);
		walk_all(g, copy, n, file_bytes);
	} else {
		assert_one_line(err);
	}
	gguf_free(g);
	free(copy);
	return rc;
}

/* A file cut anywhere in the header is refused; a whole file of which only a part was read says so, up
 * to the byte where the header ends, and parses from there on. */
static void every_cut_of_a_good_file(void **state)
{
	size_t i, len, cut, cuts = 0;

	(void)state;
	for (i = 0; i < gguf_cases_n && strncmp(gguf_cases[i].name, "ok_", 3) == 0; i++) {
		size_t header_end = SIZE_MAX;
		uint64_t data_off = 0;
		unsigned char *buf;

		assert_int_equal(gguf_case_make(&gguf_cases[i], &buf, &len), 0);
		for (cut = 0; cut < len; cut++, cuts++) {
			int rc = parse_cut(buf, cut, len, &data_off);

			if (rc == 0 && header_end == SIZE_MAX)
				header_end = cut;
			assert_int_equal(rc, header_end == SIZE_MAX ? -EMSGSIZE : 0);
			/* the last tensor's data ends the file, padding apart */
			if (header_end == SIZE_MAX || cut < data_off + 128)
				assert_int_equal(parse_cut(buf, cut, cut, &data_off), -EINVAL);
			/* cuts inside a long name are all alike */
			if (cut == 200 && len > 65536)
				cut = 65400;
		}
		assert_true(header_end <= data_off && data_off - header_end < 64);
		assert_int_equal(parse_cut(buf, len, len, &data_off), 0);
		free(buf);
	}
	print_message("%zu cuts\n", cuts);
}

/* A buffer longer than the file: the rest of it is not the file's. */
static void bytes_past_the_file_are_not_read(void **state)
{
	unsigned char *buf;
	size_t len;
	struct gguf *g = open_case("ok_minimal", &buf, &len);
	char err[512] = "";

	(void)state;
	gguf_free(g);
	g = NULL;
	assert_int_equal(gguf_parse(&g, buf, len, 20, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "(20 bytes)"));
	assert_int_equal(gguf_parse(&g, buf, len, len - 1, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "past the file"));
	assert_null(g);
	free(buf);
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void damage(unsigned char *buf, size_t len, uint64_t *seed)
{
	static const uint64_t special[] = { 0, 1, 2, 3, 8, 9, 13, 0x7f, 0xff, 0xffff, 1u << 31, UINT32_MAX, 1ull << 32,
					    1ull << 60, 1ull << 62, 1ull << 63, UINT64_MAX, UINT64_MAX - 31 };
	unsigned n = 1 + (unsigned)(next_random(seed) % 4);

	while (n-- > 0) {
		size_t at = next_random(seed) % len;
		uint64_t v = special[next_random(seed) % (sizeof(special) / sizeof(special[0]))];

		switch (next_random(seed) % 4) {
		case 0:
			buf[at] ^= (unsigned char)(1u << next_random(seed) % 8);
			break;
		case 1:
			buf[at] = (unsigned char)next_random(seed);
			break;
		case 2:
			if (len - at >= 4)
				gguf_build_put32(buf, at, (uint32_t)v);
			break;
		default:
			if (len - at >= 8)
				gguf_build_put64(buf, at, v);
		}
	}
}

/* A good file to damage: only its header, since the data has no rules. */
struct sample {
	unsigned char *buf, *copy;
	size_t len, header;
};

static void sample_open(struct sample *s, const char *name)
{
	struct gguf *g = open_case(name, &s->buf, &s->len);

	s->header = (size_t)gguf_data_off(g);
	gguf_free(g);
	s->copy = malloc(s->len);
	assert_non_null(s->copy);
}

static void damaged_files(void **state)
{
	static const char *const names[] = { "ok_minimal", "ok_all_types", "ok_tensors", "ok_backwards_and_gap" };
	struct sample samples[4];
	unsigned i, accepted = 0;
	uint64_t seed = 20240229;

	(void)state;
	for (i = 0; i < 4; i++)
		sample_open(&samples[i], names[i]);
	for (i = 0; i < DAMAGED_INPUTS; i++) {
		const struct sample *s = &samples[i % 4];
		uint64_t file_bytes = s->len + (i % 8 < 4 ? 0 : next_random(&seed) % (1u << 20));
		struct gguf *g = NULL;
		char err[512] = "";
		int rc;

		memcpy(s->copy, s->buf, s->len);
		damage(s->copy, s->header, &seed);
		rc = gguf_parse(&g, s->copy, s->len, file_bytes, err, sizeof(err));
		assert_true(rc == 0 || rc == -EINVAL || (rc == -EMSGSIZE && file_bytes > s->len));
		if (rc == 0)
			walk_all(g, s->copy, s->len, file_bytes);
		else
			assert_one_line(err);
		accepted += rc == 0;
		gguf_free(g);
	}
	print_message("%u damaged inputs, %u of them accepted\n", i, accepted);
	assert_true(accepted > i / 100 && accepted < i - i / 100);
	for (i = 0; i < 4; i++) {
		free(samples[i].copy);
		free(samples[i].buf);
	}
}

static int write_case(const char *dir, const struct gguf_case *c)
{
	unsigned char *buf;
	char path[4096];
	size_t len;
	FILE *f;
	int rc = gguf_case_make(c, &buf, &len);

	if (rc != 0)
		return rc;
	snprintf(path, sizeof(path), "%s/%s.gguf", dir, c->name);
	f = fopen(path, "wb");
	if (f == NULL) {
		rc = -errno;
		goto free_buf;
	}
	rc = fwrite(buf, 1, len, f) == len ? 0 : -EIO;
	if (fclose(f) != 0 && rc == 0)
		rc = -EIO;
free_buf:
	free(buf);
	if (rc != 0)
		fprintf(stderr, "cannot write '%s': %s\n", path, strerror(-rc));
	return rc;
}

static int write_regress(const char *dir)
{
	size_t i;

	for (i = 0; i < gguf_cases_n; i++) {
		if (write_case(dir, &gguf_cases[i]) != 0)
			return 1;
	}
	printf("%zu files in %s\n", gguf_cases_n, dir);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest gguf_tests[] = {
		cmocka_unit_test(cases_give_their_error),
		cmocka_unit_test(scalars_by_key),
		cmocka_unit_test(wrong_types_leave_the_default),
		cmocka_unit_test(number_arrays),
		cmocka_unit_test(element_type_is_checked_at_use),
		cmocka_unit_test(string_arrays),
		cmocka_unit_test(changed_string_length_is_refused),
		cmocka_unit_test(keys_in_file_order),
		cmocka_unit_test(tensor_fields),
		cmocka_unit_test(every_cut_of_a_good_file),
		cmocka_unit_test(bytes_past_the_file_are_not_read),
		cmocka_unit_test(damaged_files),
	};

	if (argc == 3 && strcmp(argv[1], "--write-regress") == 0)
		return write_regress(argv[2]);
	return cmocka_run_group_tests(gguf_tests, NULL, NULL);
}
