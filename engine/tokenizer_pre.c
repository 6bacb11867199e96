/* tokenizer_pre.c - see tokenizer_pre.h.  The rules, named after who brought them, and the rows. */
#include "engine/tokenizer_pre.h"

#include <string.h>

#include "engine/tokenizer_rule.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define L CLASS_LETTER
#define LM (CLASS_LETTER | CLASS_MARK)

/* ---- words ------------------------------------------------------------------------------------ */

static const struct tokenizer_rule gpt2 = { .match = tokenizer_word_gpt2 };
static const struct tokenizer_rule llama3 = {
	.match = tokenizer_word, .word = L, .shortened = SHORT_FOLD, .digits = 3, .rest = CLASS_NOT_SLN,
	.tail = "\r\n",
};
static const struct tokenizer_rule qwen2 = {
	.match = tokenizer_word, .word = L, .shortened = SHORT_FOLD, .digits = 1, .rest = CLASS_NOT_SLN,
	.tail = "\r\n",
};
static const struct tokenizer_rule qwen35 = {
	.match = tokenizer_word, .word = LM, .shortened = SHORT_FOLD, .digits = 1, .rest = CLASS_NOT_SLMN,
	.tail = "\r\n",
};
static const struct tokenizer_rule minicpm5 = {
	.match = tokenizer_word, .word = L, .shortened = SHORT_FOLD, .rest = CLASS_NOT_SLN, .tail = "\r\n",
};
static const struct tokenizer_rule k2_horizon = {
	.match = tokenizer_word, .word = LM, .shape = SHAPE_JOINED, .shortened = SHORT_FOLD_LONG_S, .digits = 3,
	.rest = CLASS_NOT_SLN, .tail = "\r\n",
};
static const struct tokenizer_rule kimi = {
	.match = tokenizer_word, .word = L, .shape = SHAPE_NO_HAN, .shortened = SHORT_BEHIND, .digits = 3,
	.rest = CLASS_NOT_SLN, .tail = "\r\n",
};
static const struct tokenizer_rule tekken = {
	.match = tokenizer_word, .word = L, .shape = SHAPE_CASED, .digits = 1, .rest = CLASS_NOT_SLN,
	.tail = "\r\n/",
};
static const struct tokenizer_rule gpt4o = {
	.match = tokenizer_word, .word = L, .shape = SHAPE_CASED, .shortened = SHORT_BEHIND, .digits = 3,
	.rest = CLASS_NOT_SLN, .tail = "\r\n/",
};
static const struct tokenizer_rule granite_multi = {
	.match = tokenizer_word, .word = LM, .shape = SHAPE_CASED, .shortened = SHORT_BEHIND, .digits = 3,
	.rest = CLASS_NOT_SLN, .tail = "\r\n/",
};
static const struct tokenizer_rule aya = {
	.match = tokenizer_word, .word = LM, .shortened = SHORT_BEHIND, .digits = 3, .rest = CLASS_NOT_SLN,
	.tail = "\r\n/",
};
static const struct tokenizer_rule youtu = {
	.match = tokenizer_word, .word = LM, .shortened = SHORT_BEHIND, .digits = 1, .rest = CLASS_NOT_SLN,
	.tail = "\r\n/",
};
static const struct tokenizer_rule seed_coder = {
	.match = tokenizer_word, .word = L, .shortened = SHORT_FOLD, .digits = 1, .rest = CLASS_NOT_SLN,
};
static const struct tokenizer_rule ufakzeka = {
	.match = tokenizer_word, .word = L, .digits = 1, .rest = CLASS_NOT_SLN, .tail = "\r\n",
};
static const struct tokenizer_rule exaone_moe = {
	.match = tokenizer_word, .word = L, .shape = SHAPE_SPACED, .shortened = SHORT_FOLD, .digits = 1,
	.rest = CLASS_NOT_SLN, .tail = "\r\n/", .tail_once = true,
};
static const struct tokenizer_rule deepseek3 = { .match = tokenizer_word_deepseek };
static const struct tokenizer_rule spark = { .match = tokenizer_word_spark };

/* ---- sets ------------------------------------------------------------------------------------- */

static const struct tokenizer_set set_letter = { .classes = CLASS_LETTER };
static const struct tokenizer_set set_number = { .classes = CLASS_NUMBER };
static const struct tokenizer_set set_punct = { .classes = CLASS_PUNCT };

/* $+<=>^|~ beside \p{P}; falcon adds a grave accent. */
static const uint32_t signs[][2] = {
	{ '$', '$' }, { '+', '+' }, { '<', '>' }, { '^', '^' }, { '|', '|' }, { '~', '~' },
};
static const uint32_t signs_grave[][2] = {
	{ '$', '$' }, { '+', '+' }, { '<', '>' }, { '^', '^' }, { '`', '`' }, { '|', '|' }, { '~', '~' },
};
static const struct tokenizer_set set_signs = { CLASS_PUNCT, signs, N(signs), false };
static const struct tokenizer_set set_signs_grave = { CLASS_PUNCT, signs_grave, N(signs_grave), false };

static const uint32_t line_ends[][2] = { { '\n', '\n' }, { '\r', '\r' } };
static const uint32_t line_feed[][2] = { { '\n', '\n' } };
static const struct tokenizer_set set_line_ends = { 0, line_ends, N(line_ends), false };
static const struct tokenizer_set set_line_feed = { 0, line_feed, N(line_feed), false };

/* Letters of scripts that have case. */
static const uint32_t deepseek_letters[][2] = {
	{ 0x41, 0x5A }, { 0x61, 0x7A }, { 0xB5, 0xB5 }, { 0xC0, 0xD6 }, { 0xD8, 0xF6 }, { 0xF8, 0x1BA },
	{ 0x1BC, 0x1BF }, { 0x1C4, 0x293 }, { 0x295, 0x2AF }, { 0x370, 0x373 }, { 0x376, 0x377 },
	{ 0x37B, 0x37D }, { 0x37F, 0x37F }, { 0x386, 0x386 }, { 0x388, 0x38A }, { 0x38C, 0x38C },
	{ 0x38E, 0x3A1 }, { 0x3A3, 0x3F5 }, { 0x3F7, 0x481 }, { 0x48A, 0x52F }, { 0x531, 0x556 },
	{ 0x10A0, 0x10C5 }, { 0x13A0, 0x13F5 }, { 0x13F8, 0x13FD }, { 0x1C90, 0x1CBA }, { 0x1CBD, 0x1CBF },
	{ 0x1D00, 0x1D2B }, { 0x1D6B, 0x1D77 }, { 0x1D79, 0x1D9A }, { 0x1E00, 0x1F15 }, { 0x1F18, 0x1F1D },
	{ 0x1F20, 0x1F45 }, { 0x1F48, 0x1F4D }, { 0x1F50, 0x1F57 }, { 0x1F59, 0x1F59 }, { 0x1F5B, 0x1F5B },
	{ 0x1F5D, 0x1F5D }, { 0x1F5F, 0x1F7D }, { 0x1F80, 0x1FB4 }, { 0x1FB6, 0x1FBC }, { 0x1FBE, 0x1FBE },
	{ 0x1FC2, 0x1FC4 }, { 0x1FC6, 0x1FCC }, { 0x1FD0, 0x1FD3 }, { 0x1FD6, 0x1FDB }, { 0x1FE0, 0x1FEC },
	{ 0x1FF2, 0x1FF4 }, { 0x1FF6, 0x1FFC }, { 0x2102, 0x2102 }, { 0x2107, 0x2107 }, { 0x210A, 0x2113 },
	{ 0x2115, 0x2115 }, { 0x2119, 0x211D }, { 0x2124, 0x2124 }, { 0x2126, 0x2126 }, { 0x2128, 0x2128 },
	{ 0x212A, 0x212D }, { 0x212F, 0x2134 }, { 0x2139, 0x2139 }, { 0x213C, 0x213F }, { 0x2145, 0x2149 },
	{ 0x214E, 0x214E }, { 0x2183, 0x2184 }, { 0x2C00, 0x2C7B }, { 0x2C7E, 0x2CE4 }, { 0x2CEB, 0x2CEE },
	{ 0x2CF2, 0x2CF3 }, { 0xA640, 0xA66D }, { 0xA680, 0xA69B }, { 0xA722, 0xA76F }, { 0xA771, 0xA787 },
	{ 0xA78B, 0xA78E }, { 0xAB70, 0xABBF }, { 0xFB00, 0xFB06 }, { 0xFB13, 0xFB17 }, { 0xFF21, 0xFF3A },
	{ 0xFF41, 0xFF5A }, { 0x10400, 0x1044F }, { 0x104B0, 0x104D3 }, { 0x104D8, 0x104FB },
	{ 0x10C80, 0x10CB2 }, { 0x10CC0, 0x10CF2 }, { 0x118A0, 0x118DF }, { 0x1E900, 0x1E943 },
};
static const struct tokenizer_set set_deepseek_letters = { 0, deepseek_letters, N(deepseek_letters), false };

static const uint32_t deepseek_marks[][2] = {
	{ 0x21, 0x2F }, { 0x3A, 0x7E }, { 0x2018, 0x201F }, { 0x3001, 0x3002 }, { 0xFF01, 0xFF0F },
	{ 0xFF1A, 0xFF5E },
};
static const struct tokenizer_set set_deepseek_marks = { 0, deepseek_marks, N(deepseek_marks), false };

/* Meant as CJK; it begins at U+0800 all the same. */
static const uint32_t deepseek_cjk[][2] = { { 0x800, 0x9FA5 }, { 0xAC00, 0xD7FF } };
static const struct tokenizer_set set_deepseek_cjk = { 0, deepseek_cjk, N(deepseek_cjk), false };
static const uint32_t han_kana[][2] = { { 0x3040, 0x30FF }, { 0x4E00, 0x9FA5 } };
static const struct tokenizer_set set_han_kana = { 0, han_kana, N(han_kana), false };

static const uint32_t afmoe_scripts[][2] = {
	{ 0xE40, 0xEFF }, { 0x1000, 0x109F }, { 0x1100, 0x11FF }, { 0x1780, 0x17FF }, { 0x2F00, 0x2FDF },
	{ 0x3040, 0x30FF }, { 0x3400, 0x4DBF }, { 0x4E00, 0xFAFF }, { 0xFF65, 0xFF9F },
};
static const struct tokenizer_set set_afmoe = { 0, afmoe_scripts, N(afmoe_scripts), false };

static const uint32_t youtu_hangul[][2] = { { 0x3131, 0x318E }, { 0xAC00, 0xD7A3 } };
static const uint32_t youtu_marks[][2] = {
	{ 0x2014, 0x2014 }, { 0x2018, 0x2019 }, { 0x201C, 0x201D }, { 0x2026, 0x2026 }, { 0x3001, 0x303F },
	{ 0xFE30, 0xFE4F }, { 0xFF01, 0xFF01 }, { 0xFF0C, 0xFF0C }, { 0xFF1A, 0xFF1B },
};
static const uint32_t youtu_bopomofo[][2] = { { 0x3105, 0x312F } };
static const struct tokenizer_set set_youtu[] = {
	{ 0, youtu_hangul, N(youtu_hangul), false }, { 0, youtu_marks, N(youtu_marks), false },
	{ 0, youtu_bopomofo, N(youtu_bopomofo), false }, { 0, han_kana, N(han_kana), false },
};

/* [^(\s|.,!?...)], where the brackets and the bar are characters like any other. */
static const uint32_t bloom_stops[][2] = {
	{ '!', '!' }, { '(', ')' }, { ',', ',' }, { '.', '.' }, { '?', '?' }, { '|', '|' }, { 0x60C, 0x60C },
	{ 0x6D4, 0x6D4 }, { 0x964, 0x964 }, { 0x2026, 0x2026 }, { 0x3001, 0x3002 }, { 0xFF0C, 0xFF0C },
};
static const struct tokenizer_set set_bloom = { CLASS_SPACE, bloom_stops, N(bloom_stops), true };

/* ---- runs ------------------------------------------------------------------------------------- */

static const struct tokenizer_rule sign_runs = { .match = tokenizer_run, .set = &set_signs };
static const struct tokenizer_rule sign_grave_runs = { .match = tokenizer_run, .set = &set_signs_grave };
static const struct tokenizer_rule number_runs = { .match = tokenizer_run, .set = &set_number };
static const struct tokenizer_rule number_each = { .match = tokenizer_run, .set = &set_number, .most = 1 };
static const struct tokenizer_rule number_threes = { .match = tokenizer_run, .set = &set_number, .most = 3 };
static const struct tokenizer_rule line_end_each = { .match = tokenizer_run, .set = &set_line_ends, .most = 1 };
static const struct tokenizer_rule lines = { .match = tokenizer_run, .set = &set_line_feed };
static const struct tokenizer_rule space_letters = { .match = tokenizer_run, .set = &set_letter, .lead = "\\s" };
static const struct tokenizer_rule space_puncts = { .match = tokenizer_run, .set = &set_punct, .lead = "\\s" };
static const struct tokenizer_rule deepseek_words = {
	.match = tokenizer_run, .set = &set_deepseek_letters, .lead = "\\s",
};
static const struct tokenizer_rule deepseek_signs = {
	.match = tokenizer_run, .set = &set_deepseek_marks, .lead = "\\s",
};
static const struct tokenizer_rule deepseek_cjks = { .match = tokenizer_run, .set = &set_deepseek_cjk };
static const struct tokenizer_rule han_kana_runs = { .match = tokenizer_run, .set = &set_han_kana };
static const struct tokenizer_rule afmoe_runs = { .match = tokenizer_run, .set = &set_afmoe };
static const struct tokenizer_rule youtu_runs = { .match = tokenizer_run, .set = set_youtu, .nsets = N(set_youtu) };
static const struct tokenizer_rule bloom_words = { .match = tokenizer_run, .set = &set_bloom, .lead = " " };
static const struct tokenizer_rule last_space = { .match = tokenizer_run_last_space };
static const struct tokenizer_rule space_steps = { .match = tokenizer_run_space_steps };
static const struct tokenizer_rule three_digits = { .match = tokenizer_digits_three };
static const struct tokenizer_rule digits_head = { .match = tokenizer_digits_head };
static const struct tokenizer_rule digits_body = { .match = tokenizer_digits_body };
static const struct tokenizer_rule digits_mark = { .match = tokenizer_digits_mark };
static const struct tokenizer_rule digits_marks = { .match = tokenizer_digits_marks };

static const struct tokenizer_pre table[] = {
	{ { "default" }, .stage = { &sign_runs, &gpt2, &number_runs, &three_digits } },
	{ { "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum",
	    "modern-bert" }, .stage = { &gpt2 } },
	{ { "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4", "jina-v1-en", "jina-v2-code",
	    "roberta-bpe" }, .stage = { &gpt2 } },
	{ { "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2" },
	  .stage = { &number_each, &gpt2 } },
	{ { "falcon" }, .stage = { &sign_grave_runs, &gpt2, &three_digits } },
	{ { "llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
	    "jina-v5-nano" }, .ignore_merges = true, .add_bos = true, .stage = { &llama3 } },
	{ { "dbrx", "smaug-bpe", "chatglm-bpe" }, .stage = { &llama3 } },
	{ { "glm4", "glm5" }, .ignore_merges = true, .stage = { &llama3 } },
	{ { "jais-2" }, .stage = { &llama3, &space_steps } },
	{ { "minicpm5" }, .ignore_merges = true, .stage = { &number_threes, &minicpm5 } },
	{ { "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2" },
	  .stage = { &qwen2 } },
	{ { "bailingmoe", "bailingmoe2", "llada-moe" }, .stage = { &qwen2 } },
	{ { "qwen35" }, .stage = { &qwen35 } },
	{ { "laguna" }, .stage = { &lines, &qwen2 } },
	{ { "seed-coder" }, .stage = { &seed_coder } },
	{ { "ufakzeka" }, .stage = { &ufakzeka } },
	{ { "exaone-moe" }, .stage = { &exaone_moe } },
	{ { "tekken" }, .ignore_merges = true, .add_bos = true, .stage = { &tekken } },
	{ { "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2" }, .stage = { &gpt4o } },
	{ { "granite-embed-multi-97m" }, .ignore_merges = true, .stage = { &granite_multi } },
	{ { "tiny_aya", "cohere2moe" }, .stage = { &digits_head, &digits_body, &aya } },
	{ { "youtu" }, .ignore_merges = true, .stage = { &youtu_runs, &youtu } },
	{ { "kimi-k2" }, .no_merges = true, .stage = { &kimi } },
	{ { "k2-horizon" }, .stage = { &k2_horizon } },
	{ { "deepseek-llm" },
	  .stage = { &line_end_each, &deepseek_words, &deepseek_signs, &last_space, &deepseek_cjks, &number_runs } },
	{ { "deepseek-coder" },
	  .stage = { &line_end_each, &space_letters, &space_puncts, &deepseek_cjks, &number_each } },
	{ { "deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4" },
	  .stage = { &number_threes, &han_kana_runs, &deepseek3 } },
	{ { "spark2_5" }, .stage = { &number_threes, &han_kana_runs, &spark, &number_each } },
	{ { "afmoe" }, .stage = { &digits_head, &digits_body, &afmoe_runs, &deepseek3 } },
	{ { "superbpe" }, .stage = { &number_runs, &digits_mark, &digits_marks } },
	{ { "bloom", "poro-chat", "gpt3-finnish" }, .stage = { &bloom_words } },
	{ { "viking" }, .stage = { &bloom_words, &number_each } },
	{ { "gemma4", "granite-embed-multi-311m" }, .escaped = true, .always_bos = true, .whole_lines = true,
	  .stage = { &lines } },
	{ { "sarvam-moe" }, .escaped = true, .stage = { &lines } },
};

const struct tokenizer_pre *tokenizer_pre_row(size_t i)
{
	return i < N(table) ? &table[i] : NULL;
}

const struct tokenizer_pre *tokenizer_pre_find(const char *name, size_t len)
{
	const char *row;
	size_t i, j;

	if (len == 0)
		return &table[0];
	for (i = 0; i < N(table); i++) {
		for (j = 0; j < TOKENIZER_PRE_NAMES && table[i].name[j] != NULL; j++) {
			row = table[i].name[j];
			if (strlen(row) == len && memcmp(row, name, len) == 0)
				return &table[i];
		}
	}
	return NULL;
}

size_t tokenizer_pre_next(const struct tokenizer_pre *p, struct tokenizer_pre_ends *ends,
			  const char *s, size_t len)
{
	size_t piece = len;
	unsigned int i, j;

	for (i = 0; i < TOKENIZER_PRE_STAGES && p->stage[i] != NULL; i++) {
		if (ends->left[i] == 0)
			ends->left[i] = p->stage[i]->match(p->stage[i], s, piece);
		piece = ends->left[i];
	}
	for (j = 0; j < i; j++)
		ends->left[j] -= piece;
	return piece;
}
