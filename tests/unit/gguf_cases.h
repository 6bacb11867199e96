/* gguf_cases.h - GGUF files with one malformed field each, named after it, and good ones.
 *
 * The bad ones cover the fields behind the published faults of GGUF readers (CVE-2024-21802,
 * CVE-2024-21825, CVE-2024-21836, CVE-2024-23496, CVE-2024-23605, CVE-2024-32878, CVE-2024-41130,
 * CVE-2025-49847, CVE-2025-53630, CVE-2026-27940, CVE-2026-33298, and of Ollama CVE-2024-8063,
 * CVE-2024-12055, CVE-2024-39720, CVE-2025-0312, CVE-2025-0315, CVE-2025-0317, CVE-2025-66959,
 * CVE-2025-66960, CVE-2026-7482).  test_gguf runs them and writes them as files for the fuzzer.
 */
#ifndef TESTS_UNIT_GGUF_CASES_H
#define TESTS_UNIT_GGUF_CASES_H

#include <stddef.h>

#include "tests/unit/gguf_build.h"

struct gguf_case {
	const char *name;               /* the field and what is wrong with it */
	int rc;                         /* what gguf_parse returns */
	const char *word;               /* what the error line holds; NULL where rc is 0 */

	/* How the file is made: the base (one key; one tensor unless an info is given), and then */
	void (*build)(struct gguf_build *b);    /* keys and tensors of this case */
	struct gguf_build_info info;            /* or this tensor alone, where it has a name */
	const char *value;                      /* or a key "x.y" of value_type with these bytes */
	size_t value_len;
	unsigned value_type;
	unsigned patch_bytes;                   /* 4 or 8: put patch at patch_off of the file */
	size_t patch_off;
	unsigned long long patch;
	size_t cut;                             /* keep this many bytes, plus one: 1 keeps none */
};

extern const struct gguf_case gguf_cases[];
extern const size_t gguf_cases_n;

/* Returns 0 and the owned bytes of the case, or -ENOMEM. */
int gguf_case_make(const struct gguf_case *c, unsigned char **out, size_t *len)
	__attribute__((warn_unused_result));

#endif
