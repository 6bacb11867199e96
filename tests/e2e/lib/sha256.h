/* sha256.h - SHA-256 (FIPS 180-4), for checking file content in tests.
 * Threads: one struct is used by one thread at a time. */
#ifndef TESTS_E2E_LIB_SHA256_H
#define TESTS_E2E_LIB_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct sha256 {
	uint32_t h[8];
	uint64_t bytes;
	uint8_t block[64];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t n);
/* Writes 64 lower-case hexadecimal digits and a zero byte. */
void sha256_hex(struct sha256 *s, char hex[65]);

#endif
