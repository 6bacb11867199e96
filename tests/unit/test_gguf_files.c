/* test_gguf_files.c - the parser on real models and on the attack files of ../shared. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/gguf.h"
#include "engine/gguf_split.h"
#include "tests/unit/gguf_walk.h"

#define MODELS  "../shared/models/"
#define ATTACKS "../shared/attacks"
#define SPLIT   MODELS "split/stories260K-w256-Q8_0-00001-of-00006.gguf"

struct file {
	unsigned char *buf;
	size_t len;
	struct gguf *g;
	char err[512];
	int rc;
};

/* Read and parse a file, walk it when it parses, check the line when not.  -ENOENT when it is absent. */
static int file_open(struct file *f, const char *path)
{
	FILE *in = fopen(path, "rb");
	const char *why = NULL;
	long len;

	memset(f, 0, sizeof(*f));
	if (in == NULL)
		return -ENOENT;
	assert_int_equal(fseek(in, 0, SEEK_END), 0);
	len = ftell(in);
	assert_true(len >= 0);
	rewind(in);
	f->len = (size_t)len;
	f->buf = malloc(f->len + 1);
	assert_non_null(f->buf);
	assert_int_equal(fread(f->buf, 1, f->len, in), f->len);
	fclose(in);
	f->rc = gguf_parse(&f->g, f->buf, f->len, f->len, f->err, sizeof(f->err));
	if (f->rc == 0 && gguf_walk(f->g, f->buf, f->len, f->len, &why) != 0)
		fail_msg("%s: %s", path, why != NULL ? why : "no memory");
	if (f->rc != 0 && (f->rc != -EINVAL || f->err[0] == 0 || strchr(f->err, '\n') != NULL))
		fail_msg("%s: %d '%s'", path, f->rc, f->err);
	return 0;
}

static void file_close(struct file *f)
{
	gguf_free(f->g);
	free(f->buf);
}

static void real_models(void **state)
{
	/* keys, tensors and data offsets as an independent reader counts them */
	static const struct { const char *name; unsigned version, n_kv, n_tensors, data_off; } want[] = {
		{ "gguf-v2-vocab-falcon.gguf", 2, 17, 0, 2547782 },
		{ "llama-2-tiny-random.gguf", 3, 18, 12, 724416 },
		{ "stories260K-f32.gguf", 3, 23, 47, 14240 },
		{ "stories260K-BF16.gguf", 3, 24, 47, 14304 },
		{ "stories260K-Q4_0.gguf", 3, 24, 47, 14304 },
		{ "stories260K-w256-Q4_K_M.gguf", 3, 24, 48, 14368 },
		{ "stories260K-w256-IQ4_XS.gguf", 3, 24, 48, 14368 },
		{ "stories260K-w512-Q4_K_M.gguf", 3, 24, 48, 14368 },
		{ "superpoint.gguf", 3, 1, 24, 1664 },
		{ "split/stories260K-w256-Q8_0-00001-of-00006.gguf", 3, 27, 11, 12256 },
		{ "split/stories260K-w256-Q8_0-00002-of-00006.gguf", 3, 3, 9, 640 },
		{ "split/stories260K-w256-Q8_0-00006-of-00006.gguf", 3, 3, 1, 192 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		char path[256];
		struct file f;

		snprintf(path, sizeof(path), "%s%s", MODELS, want[i].name);
		if (file_open(&f, path) != 0) {
			print_message("%s is missing\n", path);
			skip();
		}
		if (f.rc != 0)
			fail_msg("%s: %s", path, f.err);
		assert_int_equal(gguf_version(f.g), want[i].version);
		assert_int_equal(gguf_n_kv(f.g), want[i].n_kv);
		assert_int_equal(gguf_n_tensors(f.g), want[i].n_tensors);
		assert_int_equal(gguf_data_off(f.g), want[i].data_off);
		file_close(&f);
	}
}

static void values_of_a_real_model(void **state)
{
	const struct gguf_tensor *t;
	struct gguf_arr a;
	struct gguf_str s;
	struct file f;
	uint64_t i, cursor = 0;
	uint32_t v;

	(void)state;
	if (file_open(&f, MODELS "stories260K-f32.gguf") != 0) {
		print_message(MODELS "stories260K-f32.gguf is missing\n");
		skip();
	}
	assert_int_equal(f.rc, 0);
	assert_int_equal(gguf_get_str(f.g, "general.architecture", &s), 0);
	assert_true(s.len == 5 && memcmp(s.s, "llama", 5) == 0);
	assert_int_equal(gguf_get_u32(f.g, "llama.block_count", &v), 0);
	assert_int_equal(v, 5);
	assert_int_equal(gguf_get_arr(f.g, "tokenizer.ggml.tokens", &a), 0);
	assert_int_equal(a.n, 512);
	for (i = 0; i < 2; i++)
		assert_int_equal(gguf_arr_str(&a, &cursor, &s), 0);
	assert_true(s.len == 3 && memcmp(s.s, "<s>", 3) == 0);
	t = gguf_tensor_find(f.g, "token_embd.weight");
	assert_non_null(t);
	assert_true(t->ne[0] == 64 && t->ne[1] == 512 && t->nbytes == 64 * 512 * 4);
	file_close(&f);
}

static void refused_models(void **state)
{
	static const struct { const char *name, *word; } want[] = {
		{ "gguf-v1-example.gguf", "version 1" },
		{ "stories260K-f32.be.gguf", "big-endian" },
		{ "gguf-v3-test_writer.gguf", "value type 13 is unknown" },
		{ "las7-tiny.gguf", "'test.weight.0' (number 0): offset 0x0 + 32768 bytes ends past the file (122 bytes" },
		{ "threatflux-test_model.gguf", "overlaps" },   /* all three offsets are 0 */
		{ "for-tests-ggml-tiny.bin", "'lmgg'" },
		{ "minicpm3-tiny.safetensors", "no GGUF file" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		char path[256];
		struct file f;

		snprintf(path, sizeof(path), "%s%s", MODELS, want[i].name);
		if (file_open(&f, path) != 0) {
			print_message("%s is missing\n", path);
			skip();
		}
		assert_int_equal(f.rc, -EINVAL);
		if (strstr(f.err, want[i].word) == NULL)
			fail_msg("%s: '%s' wants '%s'", path, f.err, want[i].word);
		file_close(&f);
	}
}

static void a_split_model(void **state)
{
	struct gguf_split s = { .count = 0 };
	uint64_t found = 0;
	struct file first;
	char err[256] = "", path[256];
	uint32_t i;

	(void)state;
	if (file_open(&first, SPLIT) != 0) {
		print_message(SPLIT " is missing\n");
		skip();
	}
	assert_int_equal(gguf_split_read(first.g, &s, err, sizeof(err)), 0);
	assert_true(s.no == 0 && s.count == 6 && s.n_tensors == 48);
	for (i = 0; i < s.count; i++) {
		struct file part;

		assert_int_equal(gguf_split_path(&s, SPLIT, i, path, sizeof(path), err, sizeof(err)), 0);
		assert_int_equal(file_open(&part, path), 0);
		assert_int_equal(part.rc, 0);
		assert_int_equal(gguf_split_check(&s, part.g, i, err, sizeof(err)), 0);
		assert_int_equal(gguf_split_check(&s, part.g, i + 1, err, sizeof(err)), -EINVAL);
		found += gguf_n_tensors(part.g);
		file_close(&part);
	}
	assert_int_equal(gguf_split_check_total(&s, found, err, sizeof(err)), 0);
	file_close(&first);
}

/* Which attacks are good GGUF, whose fault is for others to find: gaps and trailing bytes are allowed, and
 * those named m_ are wrong as models. */
static int attack_parses(const char *name)
{
	static const char *const good[] = { "h_both_zero.gguf", "t_gap.gguf", "t_trailing.gguf" };
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (strcmp(name, good[i]) == 0)
			return 1;
	}
	return strncmp(name, "m_", 2) == 0 && strcmp(name, "m_truncated_data.gguf") != 0;
}

static void attacks(void **state)
{
	DIR *dir = opendir(ATTACKS);
	unsigned parsed = 0, refused = 0;
	struct dirent *e;

	(void)state;
	if (dir == NULL) {
		print_message(ATTACKS " is missing\n");
		skip();
	}
	while ((e = readdir(dir)) != NULL) {
		char path[512];
		struct file f;

		if (strstr(e->d_name, ".gguf") == NULL)
			continue;
		snprintf(path, sizeof(path), "%s/%s", ATTACKS, e->d_name);
		assert_int_equal(file_open(&f, path), 0);
		if ((f.rc == 0) != attack_parses(e->d_name))
			fail_msg("%s: %d '%s'", path, f.rc, f.err);
		if (f.rc == 0)
			parsed++;
		else
			refused++;
		file_close(&f);
	}
	closedir(dir);
	print_message("%u attack files refused with a line, %u parsed\n", refused, parsed);
	assert_true(refused > 0);
}

int main(void)
{
	const struct CMUnitTest gguf_files_tests[] = {
		cmocka_unit_test(real_models),
		cmocka_unit_test(values_of_a_real_model),
		cmocka_unit_test(refused_models),
		cmocka_unit_test(a_split_model),
		cmocka_unit_test(attacks),
	};

	return cmocka_run_group_tests(gguf_files_tests, NULL, NULL);
}
