/* random_text.c - see random_text.h.  Generator: Marsaglia's xorshift64 (doi 10.18637/jss.v008.i14). */
#include "tests/unit/random_text.h"

#include <string.h>

#include "engine/unicode.h"

static const char *const words[] = {
	"Once", "upon", "a", "time", "the", "little", "hearth", "glows", "Don't", "WE'LL", "it's", "I'M",
	"x'ves", "naïve", "Füße", "любовь", "λόγος", "שלום", "مرحبا", "नमस्ते", "ภาษา", "한국어", "日本語のテキスト",
	"中文", "𝒜𝓑", "👩‍👩‍👧", "🏳️‍🌈", "e\xCC\x81", "½", "²³", "٣٤", "Ⅷ", "①", "_init_", "0x1F", "3.14159", "1,000,000",
	"http://x.y/z?q=1", "for(;;){}", "\\n", "'", "''", "'S", "'re", "'VE", "'lL", "'d", "\xC5\xBF", "...", "?!",
	"XMLHttp", "camelCase", "ABCdefGHI", "SHOUT", "ÉCOLE", "Ünïcödé", "Ǆǅǆ", "ʰʲ", "ΑΒγ", "ЖЗи", "ー", "…", "。，、",
	"「引用」", "／＼", "ＡＢｃ１２", "㐀𠀀", "々〆", "ㄅㄆ", "ㄱㄴ", "가각", "가", "ถ้า", "ກຂຄ", "ខ្មែរ", "မြန်မာ", "ꦄ", "‘’“”",
	"—", "،۔।", "\xE2\x80\x8C", "\xE2\x80\x8D", "\xEF\xBB\xBF", "\xC2\xAD", "İı", "//", "/\r\n", ".\n\n", "K", "f(x|y)",
	"a\xCC\x81\xCC\xA3", "\xCC\x81", "한글", "IMGIMGABCZ", "'\xC5\xBFx",
};

static const char *const spaces[] = {
	" ", " ", " ", " ", "  ", "   ", "\n", "\n", "\n\n", "\t", "\r\n", "\r", "\v", "\f", "\xC2\x85", "\xC2\xA0",
	"\xE1\x9A\x80", "\xE2\x80\x83", "\xE2\x80\xA8", "\xE2\x80\xAF", "\xE3\x80\x80", " \n ", "\n  ", "\xE2\x80\x8B",
};

/* First and last code points of blocks to draw from, of which one is everything. */
static const uint32_t blocks[][2] = {
	{ 0x21, 0x7E }, { 0xA1, 0x17F }, { 0x370, 0x3FF }, { 0x400, 0x4FF }, { 0x590, 0x6FF }, { 0x900, 0xDFF },
	{ 0xE00, 0xEFF }, { 0x1100, 0x11FF }, { 0x2000, 0x2BFF }, { 0x3000, 0x30FF }, { 0x4E00, 0x4EFF },
	{ 0xAC00, 0xACFF }, { 0xFB00, 0xFEFF }, { 0x10000, 0x11FFF }, { 0x1D400, 0x1D7FF }, { 0x1F300, 0x1FAFF },
	{ 0x20000, 0x200FF }, { 0xE0000, 0xE01EF }, { 1, 0x10FFFF }, { 0x180, 0x36F }, { 0xE80, 0x10FF },
	{ 0x1780, 0x18AF }, { 0x1C80, 0x1FFF }, { 0x2000, 0x206F }, { 0x2C00, 0x2FFF }, { 0x3100, 0x33FF },
	{ 0x9F00, 0xABFF }, { 0xD700, 0xD7FF }, { 0xFE00, 0xFFFF }, { 0x10000, 0x10FFF }, { 0x1E800, 0x1E9FF },
	/* where the sets of some expressions begin and end */
	{ 0x800, 0x9FA5 }, { 0xE40, 0xEFF }, { 0x1000, 0x109F }, { 0x1100, 0x11FF }, { 0x1780, 0x17FF }, { 0x2018, 0x201F },
	{ 0x2C00, 0x2CF3 }, { 0x2F00, 0x2FDF }, { 0x3001, 0x303F }, { 0x3040, 0x30FF }, { 0x3105, 0x312F }, { 0x3131, 0x318E },
	{ 0x3400, 0x4DBF }, { 0x4E00, 0x9FFF }, { 0xA640, 0xA78E }, { 0xAB70, 0xABBF }, { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF },
	{ 0xFB00, 0xFB17 }, { 0xFE30, 0xFE4F }, { 0xFF01, 0xFF5E }, { 0xFF21, 0xFF5A }, { 0xFF65, 0xFF9F }, { 0x10400, 0x1044F },
	{ 0x104B0, 0x104FB }, { 0x118A0, 0x118DF }, { 0x1E900, 0x1E943 }, { 0x20000, 0x2A6DF }, { 0x2A700, 0x2EBEF },
	{ 0x2F800, 0x2FA1F },
};

#define LEN(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))
#define ATOM_MAX 1000
#define LONG_RUN 700     /* spaces in a row, now and then */

static uint64_t next(struct random_text *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state;
}

uint32_t random_below(struct random_text *r, uint32_t n)
{
	return (uint32_t)(next(r) >> 16) % n;
}

static size_t put_char(struct random_text *r, char *out)
{
	const uint32_t *b;
	uint32_t cp;

	do {
		b = blocks[random_below(r, LEN(blocks))];
		cp = b[0] + random_below(r, b[1] - b[0] + 1);
		if (b[0] > 1 && random_below(r, 3) == 0)
			cp = b[random_below(r, 2)] + random_below(r, 3) - 1;
	} while (cp == '<' || cp == 0x2581 || (cp >= 0xD800 && cp <= 0xDFFF));
	return unicode_encode(cp, out);
}

static size_t put_word(const char *w, char *out)
{
	size_t n = strlen(w);

	memcpy(out, w, n);
	return n;
}

/* One ingredient of at most ATOM_MAX bytes. */
static size_t put_atom(struct random_text *r, char *out)
{
	uint32_t kind = random_below(r, 100), times;
	const char *w;
	size_t n = 0;

	if (kind < 40)
		return put_word(words[random_below(r, LEN(words))], out);
	if (kind < 70)
		return put_word(spaces[random_below(r, LEN(spaces))], out);
	if (kind < 76) {
		for (times = 1 + random_below(r, 9); times > 0; times--)
			out[n++] = (char)('0' + random_below(r, 10));
		return n;
	}
	if (kind < 80) {
		w = kind < 78 ? spaces[random_below(r, LEN(spaces))] : kind < 79 ? "a" : words[random_below(r, LEN(words))];
		times = 1 + random_below(r, kind < 79 ? 48 : 4);
		if (kind == 76 && random_below(r, 8) == 0) {
			w = " ";
			times = 1 + random_below(r, LONG_RUN);
		}
		for (; times > 0; times--)
			n += put_word(w, out + n);
		return n;
	}
	for (times = 1 + random_below(r, 6); times > 0; times--)
		n += put_char(r, out + n);
	return n;
}

size_t random_text_utf8(struct random_text *r, char buf[RANDOM_TEXT_MAX])
{
	uint32_t times = 1 + random_below(r, 24);
	size_t n = 0;

	while (times-- > 0 && n + ATOM_MAX <= RANDOM_TEXT_MAX)
		n += put_atom(r, buf + n);
	return n;
}

void random_text_bytes(struct random_text *r, char *buf, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		buf[i] = (char)random_below(r, 256);
}
