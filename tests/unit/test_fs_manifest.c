/* test_fs_manifest.c - names of models, digests, and manifests that are true, broken or hostile. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/fs_manifest.h"
#include "tests/unit/scratch.h"
#include "tiering/log.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789ABCDEF"
#define STORES "../shared/ollama-manifests/raw"

static void names(void **state)
{
	static const struct { const char *name, *path; } good[] = {
		{ "llama3.2", "manifests/registry.ollama.ai/library/llama3.2/latest" },
		{ "llama3.2:1b", "manifests/registry.ollama.ai/library/llama3.2/1b" },
		{ "me/mine:v1", "manifests/registry.ollama.ai/me/mine/v1" },
		{ "hf.co/some/Model-GGUF:Q4_K_M", "manifests/hf.co/some/Model-GGUF/Q4_K_M" },
		{ "localhost:5000/a/b:c", "manifests/localhost:5000/a/b/c" },
		{ "localhost:5000/a/b", "manifests/localhost:5000/a/b/latest" },
		{ "_a/b.c-d_e:0", "manifests/registry.ollama.ai/_a/b.c-d_e/0" },
	};
	static const char *const bad[] = {
		"", ":", "a:", ":a", "/", "a/", "/a", "a//b", "a/b/", "a/b//c", "a/b/c/d", "a:b:c", "a:b/c:d/e",
		"..", "../a", "a/..", "../../etc/passwd", "a:..", "a:../../x", "a/../b", "./a", ".a", "a:.b", "-a",
		"a b", "a\nb", "a\tb", "a\\b", "a%2fb", "a\001", "\303\244", "a:b c", "/etc/passwd", "~/a", "$(x)", "a;b",
		"sha256:" HEX "/x/y/z", "a:5000/b", "h/a:1/b",
	};
	char path[PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(fs_manifest_path(good[i].name, path), 0);
		assert_string_equal(path, good[i].path);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (fs_manifest_path(bad[i], path) != -EINVAL)
			fail_msg("'%s' is taken as '%s'", bad[i], path);
}

static void long_names(void **state)
{
	char name[5000], path[PATH_MAX];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[350] = '\0';
	assert_int_equal(fs_manifest_path(name, path), 0);
	name[350] = 'a';
	name[351] = '\0';
	assert_int_equal(fs_manifest_path(name, path), -EINVAL);
	name[351] = 'a';
	name[4999] = '\0';
	assert_int_equal(fs_manifest_path(name, path), -EINVAL);
	name[350] = name[701] = '/';
	name[1052] = ':';
	name[1403] = '\0';
	assert_int_equal(fs_manifest_path(name, path), 0);
	assert_int_equal(strlen(path), strlen("manifests/") + 1403);
}

static void digests(void **state)
{
	static const char *const bad[] = {
		"", "sha256:", "sha256:" HEX "0", "sha512:" HEX, "sha256_" HEX, "SHA256:" HEX, HEX,
		"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
		"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg",
		"sha256:../../../../../../../../../../../../../../../../../../etc/passw",
	};
	char file[FS_DIGEST_FILE_LEN + 1];

	(void)state;
	assert_true(fs_manifest_digest("sha256:" HEX, file));
	assert_string_equal(file, "sha256-" HEX);
	assert_true(fs_manifest_digest("sha256-" HEX, file));
	assert_string_equal(file, "sha256-" HEX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(fs_manifest_digest(bad[i], file));
}

#define LAYER(type, size) "{\"mediaType\":\"" type "\",\"digest\":\"sha256:" HEX "\",\"size\":" size "}"
#define MODEL "application/vnd.ollama.image.model"

static int read_text(const char *dir, const char *text, size_t len, struct fs_model *m, char *err, size_t errlen)
{
	scratch_file(dir, "manifests/h/n/m/t", text, len);
	return fs_manifest_read(dir, "manifests/h/n/m/t", m, err, errlen);
}

static void a_manifest(void **state)
{
	static const char text[] = "{\"config\":" LAYER("x", "7") ",\"layers\":[" LAYER(MODEL, "9000000000") "," LAYER("y", "5") "]}";
	char dir[SCRATCH_PATH], err[256] = "";
	struct fs_model m;

	(void)state;
	scratch_make(dir);
	assert_int_equal(read_text(dir, text, strlen(text), &m, err, sizeof(err)), 0);
	assert_string_equal(m.name, "h/n/m:t");
	assert_string_equal(m.path, "manifests/h/n/m/t");
	assert_int_equal(m.nblobs, 3);
	assert_int_equal(m.bytes, 9000000012ull);
	assert_true(m.blobs[0].weights && !m.blobs[1].weights && !m.blobs[2].weights);
	assert_string_equal(m.blobs[2].file, "sha256-" HEX);
	fs_model_free(&m);
	assert_int_equal(read_text(dir, "{\"layers\":[]}", 13, &m, err, sizeof(err)), 0);
	assert_int_equal(m.nblobs, 0);
	fs_model_free(&m);
	scratch_remove(dir);
}

static void malformed(void **state)
{
	static const char *const texts[] = {
		"", " ", "null", "[]", "7", "\"x\"", "{", "{}", "{\"layers\":{}}", "{\"layers\":7}", "{\"layers\":[7]}",
		"{\"layers\":[{}]}", "{\"layers\":[null]}", "{\"layers\":[[]]}", "{\"layers\":[]}x", "{\"layers\":[],\"layers\":[]}",
		"{\"layers\":[" LAYER(MODEL, "-1") "]}", "{\"layers\":[" LAYER(MODEL, "\"5\"") "]}",
		"{\"layers\":[" LAYER(MODEL, "5.5") "]}", "{\"layers\":[" LAYER(MODEL, "99999999999999999999") "]}",
		"{\"layers\":[{\"digest\":\"sha256:../../../etc/passwd\",\"size\":1}]}", "{\"layers\":[{\"digest\":5,\"size\":1}]}",
		"{\"layers\":[{\"digest\":\"sha256:" HEX "\"}]}", "{\"layers\":[],\"config\":{\"digest\":\"x\",\"size\":1}}",
		"{\"layers\":[\xff\xfe]}", "\xef\xbb\xbf{\"layers\":[]}",
	};
	char dir[SCRATCH_PATH], err[256], *deep = malloc(2000000);
	struct fs_model m = { .nblobs = 77 };

	(void)state;
	assert_non_null(deep);
	scratch_make(dir);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		err[0] = '\0';
		if (read_text(dir, texts[i], strlen(texts[i]), &m, err, sizeof(err)) != -EINVAL)
			fail_msg("accepted: %s", texts[i]);
		assert_non_null(strstr(err, "'manifests/h/n/m/t' is no manifest: "));
		assert_null(strchr(err, '\n'));
	}
	memset(deep, '[', 2000000);
	assert_int_equal(read_text(dir, deep, 2000000, &m, err, sizeof(err)), -EINVAL);
	assert_int_equal(read_text(dir, "{\"layers\":[]}\0", 14, &m, err, sizeof(err)), -EINVAL);
	assert_int_equal(m.nblobs, 77);         /* untouched on failure */
	free(deep);
	scratch_remove(dir);
}

static void what_is_no_file(void **state)
{
	char dir[SCRATCH_PATH], path[PATH_MAX], err[256];
	struct fs_model m;

	(void)state;
	scratch_make(dir);
	assert_int_equal(fs_manifest_read(dir, "manifests/a", &m, err, sizeof(err)), -ENOENT);
	scratch_file(dir, "manifests/big", "", 0);
	assert_int_equal(truncate(scratch_path(path, sizeof(path), dir, "manifests/big"), 5 << 20), 0);
	assert_int_equal(fs_manifest_read(dir, "manifests/big", &m, err, sizeof(err)), -EINVAL);
	assert_int_equal(mkdir(scratch_path(path, sizeof(path), dir, "manifests/dir"), 0755), 0);
	assert_int_equal(fs_manifest_read(dir, "manifests/dir", &m, err, sizeof(err)), -EINVAL);
	assert_int_equal(mkfifo(scratch_path(path, sizeof(path), dir, "manifests/fifo"), 0644), 0);
	assert_int_equal(fs_manifest_read(dir, "manifests/fifo", &m, err, sizeof(err)), -EINVAL);      /* does not wait */
	scratch_remove(dir);
}

static void a_list(void **state)
{
	static const char text[] = "{\"layers\":[" LAYER(MODEL, "5") "]}";
	static const char *const want[] = { "b:1", "b:latest", "hf.co/x/a:Q4", "me/a:latest" };
	char dir[SCRATCH_PATH];
	struct fs_model *models = NULL;
	size_t n = 0;

	(void)state;
	scratch_make(dir);
	assert_int_equal(fs_manifest_list(dir, &models, &n), -ENOENT);
	scratch_file(dir, "manifests/registry.ollama.ai/library/b/latest", text, strlen(text));
	scratch_file(dir, "manifests/registry.ollama.ai/library/b/1", text, strlen(text));
	scratch_file(dir, "manifests/registry.ollama.ai/me/a/latest", text, strlen(text));
	scratch_file(dir, "manifests/hf.co/x/a/Q4", text, strlen(text));
	scratch_file(dir, "manifests/registry.ollama.ai/library/broken/latest", "{", 1);
	scratch_file(dir, "manifests/registry.ollama.ai/library/b/.hidden", text, strlen(text));
	scratch_file(dir, "manifests/registry.ollama.ai/library/b/deeper/x", text, strlen(text));
	scratch_file(dir, "manifests/registry.ollama.ai/stray", text, strlen(text));
	scratch_file(dir, "manifests/README", text, strlen(text));
	log_open("test", false, 0);             /* the broken one is a line in the log */
	assert_int_equal(fs_manifest_list(dir, &models, &n), 0);
	log_open("test", false, LOG_LEVEL_INFO);
	assert_int_equal(n, 4);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(models[i].name, want[i]);
		fs_model_free(&models[i]);
	}
	free(models);
	scratch_remove(dir);
}

/* Every real manifest: its path gives a name, the name gives the path again. */
static void real_manifests_round_trip(void **state)
{
	struct fs_model *models = NULL;
	char path[PATH_MAX];
	size_t n = 0, weights = 0;

	(void)state;
	if (access(STORES, R_OK) != 0) {
		print_message("needs %s\n", STORES);
		skip();
	}
	assert_int_equal(fs_manifest_list(STORES, &models, &n), 0);
	assert_true(n >= 145);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(fs_manifest_path(models[i].name, path), 0);
		assert_string_equal(path, models[i].path);
		for (size_t b = 0; b < models[i].nblobs; b++)
			weights += models[i].blobs[b].weights;
		fs_model_free(&models[i]);
	}
	assert_true(weights >= 100);
	print_message("%zu manifests, %zu with weights\n", n, weights);
	free(models);
}

static void a_real_store(void **state)
{
	static const char store[] = "../shared/ollama-store";
	struct fs_model *models = NULL;
	size_t n = 0;

	(void)state;
	if (access(store, R_OK) != 0) {
		print_message("needs %s\n", store);
		skip();
	}
	assert_int_equal(fs_manifest_list(store, &models, &n), 0);
	assert_true(n >= 4);
	for (size_t i = 0; i < n; i++) {
		for (size_t b = 0; b < models[i].nblobs; b++) {
			char path[PATH_MAX];
			struct stat st;

			snprintf(path, sizeof(path), "%s/blobs/%s", store, models[i].blobs[b].file);
			assert_int_equal(stat(path, &st), 0);
			assert_int_equal(st.st_size, models[i].blobs[b].bytes);
		}
		fs_model_free(&models[i]);
	}
	free(models);
}

int main(void)
{
	const struct CMUnitTest fs_manifest_tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(long_names),
		cmocka_unit_test(digests),
		cmocka_unit_test(a_manifest),
		cmocka_unit_test(malformed),
		cmocka_unit_test(what_is_no_file),
		cmocka_unit_test(a_list),
		cmocka_unit_test(real_manifests_round_trip),
		cmocka_unit_test(a_real_store),
	};

	return cmocka_run_group_tests(fs_manifest_tests, NULL, NULL);
}
