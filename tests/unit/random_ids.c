/* random_ids.c - see random_ids.h.  Hash: FNV-1a over the ids, each text closed by a number that is none. */
#include "tests/unit/random_ids.h"

#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer.h"
#include "tests/unit/random_text.h"

#define HASHES "tests/golden/tokenizer.hashes"
#define SEED 0x1d872b41
#define IDS_MAX (RANDOM_TEXT_MAX * 3 + 8)
#define HASH_START 0xcbf29ce484222325u

static uint64_t hash_id(uint64_t h, uint32_t id)
{
	int i;

	for (i = 0; i < 4; i++, id >>= 8)
		h = (h ^ (id & 0xFF)) * 0x100000001b3u;
	return h;
}

uint64_t random_ids_hash(const struct tokenizer *t)
{
	struct random_text r = { SEED };
	char text[RANDOM_TEXT_MAX];
	uint64_t h = HASH_START;
	uint32_t ids[IDS_MAX];
	int64_t n, j;
	size_t len;
	int i;

	for (i = 0; i < RANDOM_IDS_TEXTS; i++) {
		len = random_text_utf8(&r, text);
		n = tokenizer_encode(t, text, len, false, false, ids, IDS_MAX);
		if (n < 0 || n > IDS_MAX)
			return 0;
		for (j = 0; j < n; j++)
			h = hash_id(h, ids[j]);
		h = hash_id(h, UINT32_MAX);
	}
	return h;
}

uint64_t random_ids_hash_lines(FILE *lines)
{
	char *line = NULL, *at, *end;
	uint64_t h = HASH_START;
	unsigned long id;
	size_t cap = 0;
	int n = 0;

	while (getline(&line, &cap, lines) > 0) {
		for (at = line; ; at = end) {
			id = strtoul(at, &end, 10);
			if (end == at)
				break;
			h = hash_id(h, (uint32_t)id);
		}
		h = hash_id(h, UINT32_MAX);
		n++;
	}
	free(line);
	return n == RANDOM_IDS_TEXTS ? h : 0;
}

void random_ids_write(const struct tokenizer *t, FILE *inp, FILE *out)
{
	struct random_text r = { SEED };
	char text[RANDOM_TEXT_MAX];
	uint32_t ids[IDS_MAX];
	int64_t n, j;
	size_t len;
	int i;

	for (i = 0; i < RANDOM_IDS_TEXTS; i++) {
		len = random_text_utf8(&r, text);
		fwrite(text, 1, len, inp);
		fputs("\n__ggml_vocab_test__\n", inp);
		n = tokenizer_encode(t, text, len, false, false, ids, IDS_MAX);
		for (j = 0; j < n && j < IDS_MAX; j++)
			fprintf(out, " %u", ids[j]);
		fputc('\n', out);
	}
}

uint64_t random_ids_kept(const char *name)
{
	unsigned long long h, found = 0;
	char line[128], word[64];
	FILE *f = fopen(HASHES, "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%63s %llx", word, &h) == 2 && strcmp(word, name) == 0)
			found = h;
	if (f != NULL)
		fclose(f);
	return found;
}
