/* gguf_cases.c - GGUF files with one malformed field each, named after it, and good ones. */
#include "tests/unit/gguf_cases.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"
#include "kernels/kern_type.h"

#define BYTES(literal) .value = (literal), .value_len = sizeof(literal) - 1
#define U64_FF "\xff\xff\xff\xff\xff\xff\xff\xff"

static const uint64_t row32[] = { 32 };

/* ---- builders of single cases ------------------------------------------------------------------ */

static void no_more(struct gguf_build *b)
{
	(void)b;
}

static void all_types(struct gguf_build *b)
{
	static const float f32s[] = { 0.5f, -1.0f, INFINITY };
	static const double f64s[] = { 0.25, 1e300 };
	static const uint8_t u8s[] = { 0, 1, 255 };
	static const int8_t i8s[] = { -128, 0, 127 };
	static const int32_t i32s[] = { -1, 7 };
	static const uint64_t u64s[] = { 1, UINT64_MAX };
	static const char *const strs[] = { "<unk>", "", "\xe2\x96\x81the" };

	gguf_build_u8(b, "t.u8", 200);
	gguf_build_i8(b, "t.i8", -5);
	gguf_build_u16(b, "t.u16", 65535);
	gguf_build_i16(b, "t.i16", -300);
	gguf_build_u32(b, "t.u32", 4000000000u);
	gguf_build_i32(b, "t.i32", 77);
	gguf_build_u64(b, "t.u64", 1ull << 40);
	gguf_build_i64(b, "t.i64", -(1ll << 40));
	gguf_build_f32(b, "t.f32", 1e-5f);
	gguf_build_f64(b, "t.f64", 0.1);
	gguf_build_bool(b, "t.bool", true);
	gguf_build_strn(b, "t.str", "a\0b", 3);
	gguf_build_arr(b, "t.arr.f32", GGUF_F32, f32s, 3);
	gguf_build_arr(b, "t.arr.f64", GGUF_F64, f64s, 2);
	gguf_build_arr(b, "t.arr.u8", GGUF_U8, u8s, 3);
	gguf_build_arr(b, "t.arr.i8", GGUF_I8, i8s, 3);
	gguf_build_arr(b, "t.arr.i32", GGUF_I32, i32s, 2);
	gguf_build_arr(b, "t.arr.u64", GGUF_U64, u64s, 2);
	gguf_build_arr(b, "t.arr.bool", GGUF_BOOL, "\0\1\1", 3);
	gguf_build_arr(b, "t.arr.empty", GGUF_U32, NULL, 0);
	gguf_build_arr_str(b, "t.arr.str", strs, 3);
}

static void many_tensors(struct gguf_build *b)
{
	static const struct { const char *name; uint32_t type, ndims; uint64_t ne[4]; size_t nbytes; } t[] = {
		{ "token_embd.weight", KERN_Q8_0, 2, { 64, 5 }, 340 },
		{ "blk.0.ffn_up.weight", KERN_Q4_K, 2, { 256, 3 }, 432 },
		{ "blk.0.ffn_up_exps.weight", KERN_F16, 3, { 8, 4, 2 }, 128 },
		{ "output_norm.weight", KERN_F32, 1, { 1 }, 4 },
		{ "direction.99999999999", KERN_I64, 4, { 1, 2, 1, 2 }, 32 },
		{ "q6", KERN_Q6_K, 1, { 512 }, 420 },
	};
	size_t i;

	gguf_build_align(b, 64);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		gguf_build_tensor(b, t[i].name, t[i].type, t[i].ndims, t[i].ne, NULL, t[i].nbytes);
}

/* Offsets in the other order than the infos, and a gap between the data. */
static void backwards_and_gap(struct gguf_build *b)
{
	const struct gguf_build_info second = {
		.name = "b", .name_len = 1, .type = KERN_F32, .ndims = 1, .ne = { 32 }, .off = 512, .nbytes = 512 };
	const struct gguf_build_info first = {
		.name = "c", .name_len = 1, .type = KERN_F32, .ndims = 1, .ne = { 32 }, .off = 256, .nbytes = 256 };

	gguf_build_info(b, &second);
	gguf_build_info(b, &first);
}

static void scores_i8(struct gguf_build *b)
{
	gguf_build_arr(b, "tokenizer.ggml.scores", GGUF_I8, "\1\2\3", 3);
}

static void block_count_zero(struct gguf_build *b)
{
	gguf_build_u32(b, "llama.block_count", 0);
}

static void key_long(struct gguf_build *b, size_t n)
{
	char *key = malloc(n);

	if (key == NULL)
		return;
	memset(key, 'k', n);
	gguf_build_raw(b, key, n, GGUF_U8, "\7", 1);
	free(key);
}

static void key_65535(struct gguf_build *b)
{
	key_long(b, 65535);
}

static void key_65536(struct gguf_build *b)
{
	key_long(b, 65536);
}

static void key_empty(struct gguf_build *b)
{
	gguf_build_u32(b, "", 1);
}

static void key_duplicate(struct gguf_build *b)
{
	gguf_build_u32(b, "a.b", 1);
	gguf_build_u32(b, "a.c", 1);
	gguf_build_f32(b, "a.b", 2);
}

static void key_hostile_name(struct gguf_build *b)
{
	static const char key[] = "\x1b[2J\n'\\%s%n\xff" "0123456789012345678901234567890123456789012345678901234567";

	gguf_build_raw(b, key, sizeof(key) - 1, 99, "\0", 1);
}

/* Lengths that point behind the key section: no tensors follow. */
static void key_len_2e63(struct gguf_build *b)
{
	gguf_build_bytes(b, "\0\0\0\0\0\0\0\x80key\0\0\0\0\0\0", 17, 1);
}

static void align_value(struct gguf_build *b, uint32_t v)
{
	gguf_build_u32(b, "general.alignment", v);
}

static void align_0(struct gguf_build *b) { align_value(b, 0); }
static void align_1(struct gguf_build *b) { align_value(b, 1); }
static void align_4(struct gguf_build *b) { align_value(b, 4); }
static void align_48(struct gguf_build *b) { align_value(b, 48); }
static void align_131072(struct gguf_build *b) { align_value(b, 131072); }
static void align_2e31(struct gguf_build *b) { align_value(b, 1u << 31); }
static void align_u64(struct gguf_build *b) { gguf_build_u64(b, "general.alignment", 32); }
static void align_i32(struct gguf_build *b) { gguf_build_i32(b, "general.alignment", 32); }
static void align_str(struct gguf_build *b) { gguf_build_str(b, "general.alignment", "32"); }

static void align_arr(struct gguf_build *b)
{
	static const uint32_t v[] = { 32 };

	gguf_build_arr(b, "general.alignment", GGUF_U32, v, 1);
}

static void tensor_duplicate(struct gguf_build *b)
{
	gguf_build_tensor(b, "b", KERN_F32, 1, row32, NULL, 128);
	gguf_build_tensor(b, "a", KERN_F32, 1, row32, NULL, 128);
}

static void tensor_overlap(struct gguf_build *b)
{
	const struct gguf_build_info over = {
		.name = "b", .name_len = 1, .type = KERN_F32, .ndims = 1, .ne = { 32 }, .off = 96, .nbytes = 256 };

	gguf_build_info(b, &over);
}

/* The sizes of both fit 64 bits, their sum does not. */
static void tensor_sizes_wrap(struct gguf_build *b)
{
	struct gguf_build_info huge = {
		.name = "b", .name_len = 1, .type = KERN_F32, .ndims = 1, .ne = { 1ull << 61 }, .off = 128 };

	gguf_build_info(b, &huge);
	huge.name = "c";
	huge.off = 128 + (1ull << 63);
	gguf_build_info(b, &huge);
}

/* ---- the table --------------------------------------------------------------------------------- */

#define INFO(...) .info = { .name = "w", .name_len = 1, .type = KERN_F32, .ndims = 1, .ne = { 32, 1, 1, 1 }, \
			    .nbytes = 128, __VA_ARGS__ }
#define PATCH32(off, v) .patch_bytes = 4, .patch_off = (off), .patch = (v)
#define PATCH64(off, v) .patch_bytes = 8, .patch_off = (off), .patch = (v)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"        /* INFO's defaults are meant to be replaced */
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#endif

const struct gguf_case gguf_cases[] = {
	{ "ok_minimal", 0, NULL, .build = no_more },
	{ "ok_all_types", 0, NULL, .build = all_types },
	{ "ok_tensors", 0, NULL, .build = many_tensors },
	{ "ok_backwards_and_gap", 0, NULL, .build = backwards_and_gap },
	{ "ok_version_2", 0, NULL, PATCH32(GGUF_BUILD_VERSION, 2) },
	{ "ok_key_65535", 0, NULL, .build = key_65535 },
	{ "ok_scores_i8", 0, NULL, .build = scores_i8 },
	{ "ok_block_count_zero", 0, NULL, .build = block_count_zero },

	{ "file_empty", -EINVAL, "magic", .cut = 1 + 0 },
	{ "file_magic_only", -EINVAL, "version", .cut = 1 + 4 },
	{ "file_cut_in_n_tensors", -EINVAL, "number of tensors", .cut = 1 + 12 },
	{ "file_cut_in_n_kv", -EINVAL, "number of keys", .cut = 1 + 23 },
	{ "file_cut_in_keys", -EINVAL, "header", .cut = 1 + 68 },
	{ "file_cut_in_infos", -EINVAL, "tensor 'a' (number 0): offset", .cut = 1 + 101 },
	{ "magic_other", -EINVAL, "no GGUF file", PATCH32(GGUF_BUILD_MAGIC, 0x67676d6cu) },
	{ "magic_swapped", -EINVAL, "big-endian", PATCH32(GGUF_BUILD_MAGIC, 0x47475546u) },
	{ "version_0", -EINVAL, "version 0", PATCH32(GGUF_BUILD_VERSION, 0) },
	{ "version_1", -EINVAL, "version 1", PATCH32(GGUF_BUILD_VERSION, 1) },
	{ "version_4", -EINVAL, "version 4", PATCH32(GGUF_BUILD_VERSION, 4) },
	{ "version_big_endian", -EINVAL, "big-endian", PATCH32(GGUF_BUILD_VERSION, 3u << 24) },
	{ "version_text", -EINVAL, "version", PATCH32(GGUF_BUILD_VERSION, 0x20736920u) },
	{ "version_max", -EINVAL, "4294967295", PATCH32(GGUF_BUILD_VERSION, UINT32_MAX) },

	{ "n_tensors_2e32", -EINVAL, "tensors", PATCH64(GGUF_BUILD_N_TENSORS, 1ull << 32) },
	{ "n_tensors_2e61", -EINVAL, "tensors", PATCH64(GGUF_BUILD_N_TENSORS, 1ull << 61) },
	{ "n_tensors_max", -EINVAL, "tensors", PATCH64(GGUF_BUILD_N_TENSORS, UINT64_MAX) },
	{ "n_tensors_65537", -EINVAL, "limit of 65536", PATCH64(GGUF_BUILD_N_TENSORS, 65537) },
	{ "n_tensors_65536", -EINVAL, "cannot be in", PATCH64(GGUF_BUILD_N_TENSORS, 65536) },
	{ "n_tensors_plus_1", -EINVAL, "tensor number 1", PATCH64(GGUF_BUILD_N_TENSORS, 2) },
	{ "n_kv_1e9", -EINVAL, "keys", PATCH64(GGUF_BUILD_N_KV, 1000000000) },
	{ "n_kv_2e60", -EINVAL, "keys", PATCH64(GGUF_BUILD_N_KV, 1ull << 60) },
	{ "n_kv_2e63", -EINVAL, "keys", PATCH64(GGUF_BUILD_N_KV, 1ull << 63) },
	{ "n_kv_65537", -EINVAL, "limit of 65536", PATCH64(GGUF_BUILD_N_KV, 65537) },
	{ "n_kv_65536", -EINVAL, "cannot be in", PATCH64(GGUF_BUILD_N_KV, 65536) },
	{ "n_kv_plus_1", -EINVAL, "tensor number 0", PATCH64(GGUF_BUILD_N_KV, 2) },
	{ "n_kv_and_n_tensors", -EINVAL, "header", PATCH64(GGUF_BUILD_N_KV, 16) },

	{ "key_len_rest_plus_1", -EINVAL, "key number 0", PATCH64(24, 225) },
	{ "key_len_2e63", -EINVAL, "key", .build = key_len_2e63 },
	{ "key_65536", -EINVAL, "limit", .build = key_65536 },
	{ "key_empty", -EINVAL, "empty", .build = key_empty },
	{ "key_duplicate", -EINVAL, "'a.b' (number 3): duplicate of key number 1", .build = key_duplicate },
	{ "key_hostile_name", -EINVAL, "\\x1b[2J\\x0a\\x27\\x5c%s%n\\xff0", .build = key_hostile_name },

	{ "value_type_13", -EINVAL, "type 13", .value_type = 13, BYTES("\0\0\0\0") },
	{ "value_type_2e31m1", -EINVAL, "type 2147483647", .value_type = 0x7fffffff, BYTES("\0\0\0\0") },
	{ "value_type_max", -EINVAL, "type 4294967295", .value_type = UINT32_MAX, BYTES("\0\0\0\0") },
	{ "value_bool_2", -EINVAL, "bool", .value_type = GGUF_BOOL, BYTES("\2") },
	{ "value_cut", -EINVAL, "value", .value_type = GGUF_F64, BYTES("\0\0\0"), .cut = 1 + 89 },
	{ "string_len_rest_plus_1", -EINVAL, "string", .value_type = GGUF_STR, BYTES("\5\0\0\0\0\0\0\0abcd"),
	  .cut = 1 + 96 },
	{ "string_len_1GiB", -EINVAL, "string", .value_type = GGUF_STR, BYTES("\0\0\0\x40\0\0\0\0abcd") },
	{ "string_len_2e32", -EINVAL, "string", .value_type = GGUF_STR, BYTES("\4\0\0\0\1\0\0\0abcd") },
	{ "string_len_2e63", -EINVAL, "string", .value_type = GGUF_STR, BYTES("\0\0\0\0\0\0\0\x80" "abcd") },
	{ "string_len_max", -EINVAL, "string", .value_type = GGUF_STR, BYTES(U64_FF "abcd") },

	{ "array_nested", -EINVAL, "array of arrays", .value_type = GGUF_ARR,
	  BYTES("\x09\0\0\0\1\0\0\0\0\0\0\0\x09\0\0\0\1\0\0\0\0\0\0\0\4\0\0\0\0\0\0\0\0\0\0\0") },
	{ "array_elem_type_13", -EINVAL, "element type 13", .value_type = GGUF_ARR,
	  BYTES("\x0d\0\0\0\1\0\0\0\0\0\0\0\0") },
	{ "array_elem_type_max", -EINVAL, "element type 4294967295", .value_type = GGUF_ARR,
	  BYTES("\xff\xff\xff\xff\1\0\0\0\0\0\0\0\0") },
	{ "array_u8_2e63", -EINVAL, "limit of 16777216", .value_type = GGUF_ARR,
	  BYTES("\0\0\0\0\0\0\0\0\0\0\0\x80") },
	{ "array_f32_2e62", -EINVAL, "limit of 16777216", .value_type = GGUF_ARR,
	  BYTES("\6\0\0\0\0\0\0\0\0\0\0\x40") },
	{ "array_str_2e60", -EINVAL, "limit of 16777216", .value_type = GGUF_ARR,
	  BYTES("\x08\0\0\0\0\0\0\0\0\0\0\x10") },
	{ "array_str_2e32", -EINVAL, "limit of 16777216", .value_type = GGUF_ARR,
	  BYTES("\x08\0\0\0\0\0\0\0\1\0\0\0") },
	{ "array_u8_16Mi_plus_1", -EINVAL, "limit of 16777216", .value_type = GGUF_ARR,
	  BYTES("\0\0\0\0\1\0\0\1\0\0\0\0") },
	{ "array_f64_16Mi", -EINVAL, "cannot be in", .value_type = GGUF_ARR,
	  BYTES("\x0c\0\0\0\0\0\0\1\0\0\0\0") },
	{ "array_str_inner_len", -EINVAL, "array element", .value_type = GGUF_ARR,
	  BYTES("\x08\0\0\0\2\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0a" U64_FF) },
	{ "array_bool_2", -EINVAL, "bool", .value_type = GGUF_ARR, BYTES("\7\0\0\0\3\0\0\0\0\0\0\0\1\0\2") },

	{ "align_0", -EINVAL, "alignment 0", .build = align_0 },
	{ "align_1", -EINVAL, "alignment 1", .build = align_1 },
	{ "align_4", -EINVAL, "alignment 4", .build = align_4 },
	{ "align_48", -EINVAL, "alignment 48", .build = align_48 },
	{ "align_131072", -EINVAL, "alignment 131072", .build = align_131072 },
	{ "align_2e31", -EINVAL, "alignment 2147483648", .build = align_2e31 },
	{ "align_type_u64", -EINVAL, "type 10", .build = align_u64 },
	{ "align_type_i32", -EINVAL, "type 5", .build = align_i32 },
	{ "align_type_str", -EINVAL, "type 8", .build = align_str },
	{ "align_type_arr", -EINVAL, "type 9", .build = align_arr },

	{ "tensor_name_empty", -EINVAL, "empty", INFO(.name = "", .name_len = 0) },
	{ "tensor_name_duplicate", -EINVAL, "'a' (number 2): duplicate of tensor number 0",
	  .build = tensor_duplicate },
	{ "tensor_name_len_2e63", -EINVAL, "tensor number 0", INFO(.type = KERN_F32),
	  PATCH64(69, 1ull << 63) },
	{ "tensor_ndims_0", -EINVAL, "0 dimensions", INFO(.ndims = 0) },
	{ "tensor_ndims_5", -EINVAL, "5 dimensions", INFO(.ndims = 5, .ne = { 1, 1, 1, 1, 1 }) },
	{ "tensor_ndims_max", -EINVAL, "4294967295 dimensions", INFO(.ndims = UINT32_MAX) },
	{ "tensor_ne_0", -EINVAL, "dimension 0 is 0", INFO(.ne = { 0 }) },
	{ "tensor_ne3_0", -EINVAL, "dimension 3 is 0", INFO(.ndims = 4, .ne = { 32, 1, 1, 0 }) },
	{ "tensor_ne_negative", -EINVAL, "too large", INFO(.ne = { UINT64_MAX }) },
	{ "tensor_ne_2e63", -EINVAL, "too large", INFO(.type = KERN_I8, .ne = { 1ull << 63 }) },
	{ "tensor_bytes_wrap_f32", -EINVAL, "4611686018427387904 elements of type F32", INFO(.ne = { 1ull << 62 }) },
	{ "tensor_ne_2e32_x_2e32", -EINVAL, "too large", INFO(.ndims = 2, .ne = { 1ull << 32, 1ull << 32 }) },
	{ "tensor_ne_wraps_4", -EINVAL, "too large",
	  INFO(.ndims = 4, .ne = { 1 << 16, 1 << 16, 1 << 16, 1 << 16 }) },
	{ "tensor_ne_pads_to_0", -EINVAL, "past the file", INFO(.ne = { (1ull << 62) - 1 }) },
	{ "tensor_bytes_over_2e63_q8_0", -EINVAL, "past the file",
	  INFO(.type = KERN_Q8_0, .ndims = 2, .ne = { 1ull << 31, (1ull << 32) - 1 }) },
	{ "tensor_block_q4_0_33", -EINVAL, "Q4_0 blocks", INFO(.type = KERN_Q4_0, .ne = { 33 }) },
	{ "tensor_block_q8_0_16x2", -EINVAL, "Q8_0 blocks",
	  INFO(.type = KERN_Q8_0, .ndims = 2, .ne = { 16, 2 }) },
	{ "tensor_type_4", -EINVAL, "type 4 ", INFO(.type = 4) },
	{ "tensor_type_31", -EINVAL, "type 31 ", INFO(.type = 31) },
	{ "tensor_type_43", -EINVAL, "type 43 ", INFO(.type = 43) },
	{ "tensor_type_2e31m1", -EINVAL, "type 2147483647", INFO(.type = 0x7fffffff) },
	{ "tensor_type_max", -EINVAL, "type 4294967295", INFO(.type = UINT32_MAX) },
	{ "tensor_off_unaligned", -EINVAL, "alignment", INFO(.off = 16, .nbytes = 256) },
	{ "tensor_off_2e48", -EINVAL, "past the file", INFO(.off = 1ull << 48) },
	{ "tensor_off_wraps", -EINVAL, "past the file", INFO(.off = UINT64_MAX - 31) },
	{ "tensor_size_plus_1", -EINVAL, "129 bytes", INFO(.type = KERN_I8, .ne = { 129 }, .nbytes = 128) },
	{ "tensor_no_data", -EINVAL, "past the file", INFO(.nbytes = 0) },
	{ "tensor_overlap", -EINVAL, "overlaps", .build = tensor_overlap },
	{ "tensor_sizes_wrap", -EINVAL, "past the file", .build = tensor_sizes_wrap },
};

#pragma GCC diagnostic pop

const size_t gguf_cases_n = sizeof(gguf_cases) / sizeof(gguf_cases[0]);

int gguf_case_make(const struct gguf_case *c, unsigned char **out, size_t *len)
{
	struct gguf_build *b = gguf_build_new(3);
	int rc;

	gguf_build_str(b, "general.architecture", "llama");
	if (c->value != NULL)
		gguf_build_raw(b, "x.y", 3, c->value_type, c->value, c->value_len);
	if (c->info.name != NULL)
		gguf_build_info(b, &c->info);
	else
		gguf_build_tensor(b, "a", KERN_F32, 1, row32, NULL, 128);
	if (c->build != NULL)
		c->build(b);
	rc = gguf_build_finish(b, out, len);
	if (rc != 0)
		return rc;
	if (c->patch_bytes == 4)
		gguf_build_put32(*out, c->patch_off, (uint32_t)c->patch);
	if (c->patch_bytes == 8)
		gguf_build_put64(*out, c->patch_off, c->patch);
	if (c->cut != 0 && c->cut - 1 < *len)
		*len = c->cut - 1;
	return 0;
}
