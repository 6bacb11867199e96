/* fuzz_manifest.c - manifests and model names from strangers: the first byte chooses, the rest is the text.
 *
 * With clang -fsanitize=fuzzer it is a libFuzzer target.  With -DFUZZ_MAIN it is a program:
 *
 *	fuzz_manifest FILE...                   each file as it is
 *	fuzz_manifest -n N -s SEED [FILE...]    and N damaged manifests and names, the same for the same seed
 */
#include "fs/fs_manifest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise stops the fuzzer, which then keeps the input. */
static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_manifest: %s\n", what);
	__builtin_trap();
}

static void check_manifest(const char *text, size_t len)
{
	char err[256] = "", file[FS_DIGEST_FILE_LEN + 1];
	uint64_t sum = 0;
	struct fs_model m;

	if (fs_manifest_parse(text, len, "manifests/h/n/m/t", &m, err, sizeof(err)) != 0) {
		require(err[0] != '\0' && strchr(err, '\n') == NULL, "a refusal that is not one line");
		return;
	}
	for (size_t i = 0; i < m.nblobs; i++) {
		require(fs_manifest_digest(m.blobs[i].file, file), "a blob that is no digest");
		require(strchr(m.blobs[i].file, '/') == NULL, "a blob with a slash in its name");
		sum += m.blobs[i].bytes;
	}
	require(sum == m.bytes, "a sum that is none");
	fs_model_free(&m);
}

/* Whatever the name is, the path stays four levels below manifests/. */
static void check_name(const char *name)
{
	char path[PATH_MAX], *part, *save = NULL;
	int parts = 0;

	if (fs_manifest_path(name, path) != 0)
		return;
	require(strncmp(path, "manifests/", 10) == 0, "a path elsewhere");
	for (part = strtok_r(path, "/", &save); part != NULL; part = strtok_r(NULL, "/", &save), parts++)
		require(part[0] != '.' && part[0] != '\0', "a path that leads up");
	require(parts == 5, "a path of another depth");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	text = malloc(size);
	require(text != NULL, "no memory");
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] & 1)
		check_manifest(text, size - 1);
	else
		check_name(text);
	free(text);
	return 0;
}

#ifdef FUZZ_MAIN
static const char *const seeds[] = {
	"\1{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:"
	"00000000000000000000000000000000000000000000000000000000000000aa\",\"size\":42},\"layers\":["
	"{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"sha256:"
	"11111111111111111111111111111111111111111111111111111111111111bb\",\"size\":4661211808},"
	"{\"digest\":\"sha256-22222222222222222222222222222222222222222222222222222222222222cc\",\"size\":0}]}",
	"\2llama3.2:1b", "\2hf.co/org/some-repo:Q4_K_M", "\2localhost:5000/a/b:c", "\2../../etc/passwd", "\2a/../b:c",
};

static uint64_t next(uint64_t *s)               /* xorshift64 */
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* A seed with a few bytes changed, taken out or doubled. */
static size_t damage(uint64_t *s, uint8_t *buf, size_t cap)
{
	const char *seed = seeds[next(s) % (sizeof(seeds) / sizeof(seeds[0]))];
	size_t len = strlen(seed);

	memcpy(buf, seed, len);
	for (unsigned i = 0, n = next(s) % 6; i < n && len > 1; i++) {
		size_t at = 1 + next(s) % (len - 1), count = next(s) % 8;

		if (next(s) % 3 == 0) {
			buf[at] = (uint8_t)next(s);
		} else if (next(s) % 2 == 0 && at + count < len) {
			memmove(buf + at, buf + at + count, len - at - count);
			len -= count;
		} else if (len + count <= cap && at + count <= len) {
			memmove(buf + at + count, buf + at, len - at);
			len += count;
		}
	}
	return len;
}

int main(int argc, char **argv)
{
	unsigned long n = 0, files = 0;
	uint64_t seed = 1;
	uint8_t buf[8192];

	for (int i = 1; i < argc; i++) {
		FILE *f;

		if (strcmp(argv[i], "-n") == 0 && i + 1 < argc) {
			n = strtoul(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "-s") == 0 && i + 1 < argc) {
			seed = strtoull(argv[++i], NULL, 10) * 0x9e3779b97f4a7c15ull + 1;
		} else if ((f = fopen(argv[i], "rb")) != NULL) {
			LLVMFuzzerTestOneInput(buf, fread(buf, 1, sizeof(buf), f));
			fclose(f);
			files++;
		} else {
			fprintf(stderr, "fuzz_manifest: cannot open '%s'\n", argv[i]);
			return 1;
		}
	}
	for (unsigned long i = 0; i < n; i++)
		LLVMFuzzerTestOneInput(buf, damage(&seed, buf, sizeof(buf)));
	printf("fuzz_manifest: %lu files and %lu damaged manifests and names\n", files, n);
	return 0;
}
#endif
