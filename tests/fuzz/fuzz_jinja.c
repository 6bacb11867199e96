/* fuzz_jinja.c - any bytes as a template: parse, render within small limits, check what the header promises.
 *
 * With clang -fsanitize=fuzzer it is a libFuzzer target.  With -DFUZZ_MAIN it is a program:
 *
 *	fuzz_jinja FILE...                      each file as it is
 *	fuzz_jinja -n N -s SEED [FILE...]       and N random templates, the same for the same seed
 *
 * which prints the number of inputs.  Random templates follow the grammar, with a few bytes changed in half
 * of them.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/jinja.h"
#include "tests/unit/random_text.h"

#define MEMORY_MAX ((size_t)1 << 20)
#define STEPS_MAX  20000u
#define TEXT_MAX   2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise stops the fuzzer, which then keeps the input. */
static void require(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_jinja: %s\n", what);
	__builtin_trap();
}

static void check_line(const char *err, size_t size)
{
	size_t i, n = strnlen(err, size);

	require(n > 0 && n < size, "an error without a line");
	for (i = 0; i < n; i++)
		require((unsigned char)err[i] >= 0x20 && err[i] != 0x7f, "a raw byte in the error line");
}

static struct jinja_value list_of(struct jinja_heap *h, struct jinja_value a, struct jinja_value b)
{
	struct jinja_value l;

	require(jinja_list_new(h, JINJA_LIST, &l) == 0 && jinja_list_add(h, l.u.list, a) == 0 &&
		jinja_list_add(h, l.u.list, b) == 0, "no memory");
	return l;
}

static struct jinja_value message(struct jinja_heap *h, const char *role, const char *content)
{
	struct jinja_value d;

	require(jinja_dict_new(h, JINJA_DICT, &d) == 0 && jinja_dict_put(h, d.u.dict, "role", jinja_text(role)) == 0 &&
		jinja_dict_put(h, d.u.dict, "content", jinja_text(content)) == 0, "no memory");
	return d;
}

/* What templates see: one value of each kind under a name of one letter, and messages. */
static struct jinja_value make_root(struct jinja_heap *h)
{
	struct jinja_value root, m = message(h, "user", "{{ a }} <b>\xff\xc3\xa9 \xf0\x9f\x8e\x89");
	struct jinja_value messages = list_of(h, message(h, "system", "S  "), m);
	const struct { const char *name; struct jinja_value v; } vars[] = {
		{ "a", jinja_int(7) }, { "b", jinja_float(-2.5) }, { "c", jinja_text("naïve, text") }, { "d", m },
		{ "e", jinja_none() }, { "f", list_of(h, jinja_int(3), jinja_text("x")) }, { "g", jinja_bool(true) },
		{ "messages", messages }
	};
	size_t i;

	require(jinja_dict_new(h, JINJA_DICT, &root) == 0, "no memory");
	for (i = 0; i < sizeof(vars) / sizeof(vars[0]); i++)
		require(jinja_dict_put(h, root.u.dict, vars[i].name, vars[i].v) == 0, "no memory");
	return root;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct tm day = { .tm_year = 126, .tm_mday = 1 };
	struct jinja_render r = { .now = &day };
	struct jinja *t = NULL;
	struct jinja_str out = { NULL, 0 };
	char err[128] = "";
	int rc = jinja_parse(&t, (const char *)data, size, err, sizeof(err));

	if (rc != 0) {
		require(rc == -EINVAL || rc == -E2BIG || rc == -ENOMEM, "an undocumented error");
		require(t == NULL, "a template in spite of an error");
		check_line(err, sizeof(err));
		return 0;
	}
	require(jinja_heap_new(&r.heap, MEMORY_MAX, STEPS_MAX, 0) == 0, "no memory");
	r.root = make_root(r.heap);
	rc = jinja_render(t, &r, &out, err, sizeof(err));
	if (rc == 0) {
		require(out.len <= MEMORY_MAX, "more text than memory");
	} else {
		require(rc == -EINVAL || rc == -E2BIG || rc == -ENOMEM || rc == -ECANCELED, "an undocumented error");
		check_line(err, sizeof(err));
	}
	require(jinja_heap_bytes(r.heap) <= MEMORY_MAX, "more memory than allowed");
	jinja_heap_free(r.heap);
	jinja_free(t);
	return 0;
}

#ifdef FUZZ_MAIN

static const char *const atoms[] = {
	"1", "0", "-1", "2.5", "1e300", "9223372036854775807", "''", "'ab'", "\"é\"", "'\\n%s{}'", "true", "none", "a", "b", "c", "d",
	"e", "f", "g", "zz", "messages", "loop", "ns", "m", "i", "[]", "{}", "()", "[1, 'x', 2.0]", "{'k': 1, 'l': [2]}", "range(5)",
	"loop.index", "ns.v", "messages[0].content", "dict(a=1)", "cycler(1, 2)", "joiner()", "strftime_now('%Y-%-d')", "caller", "varargs"
};
static const char *const operators[] = {
	"+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", " in ", " not in ", " and ", " or "
};
static const char *const postfixes[] = {
	"|upper", "|lower", "|title", "|trim", "|length", "|first", "|last", "|list", "|reverse", "|sort", "|unique|list", "|join(',')",
	"|join", "|tojson", "|tojson(indent=2)", "|int", "|float", "|string", "|abs", "|round(1)", "|default('q', true)", "|items", "|dictsort",
	"|map('upper')|list", "|map(attribute='role')|list", "|select('odd')|list", "|selectattr('role')|list", "|reject|list", "|sum", "|min",
	"|max", "|batch(2, 0)", "|slice(3)", "|groupby('role')", "|indent(3, true)", "|replace('a', 'bb')", "|truncate(3)", "|center(9)",
	"|format(1, 'x')", "|urlencode", "|e", "|wordcount", ".upper()", ".split()", ".split('a', 1)", ".rsplit(none, 1)", ".strip('a')",
	".replace('', '-')", ".find('e')", ".partition(',')", ".format(1, k=2)", ".items()", ".keys()", ".get('k', 3)", ".pop()", ".append(1)",
	".extend(f)", ".update(k=f)", ".role", ".zz", "[0]", "[-1]", "['k']", "[1:]", "[::-1]", "[:-1:2]", "(1)", "()", " is defined",
	" is not none", " is string", " is iterable", " is odd", " is divisibleby 3", " is in f", ".next()", ".splitlines(true)"
};
static const char *const openings[] = {
	"{{", "{{-", "{%", "{%-", "{%+", "{#", "}}", "-}}", "%}", "-%}", "+%}", "#}", "\n", "  ", "x", "{% raw %}", "{% endraw %}"
};

struct writer {
	struct random_text r;
	char text[TEXT_MAX + 1];
	size_t len;
};

static void put(struct writer *w, const char *s)
{
	size_t n = strlen(s);

	if (w->len + n > TEXT_MAX)
		return;
	memcpy(w->text + w->len, s, n);
	w->len += n;
}

static const char *any(struct writer *w, const char *const *from, size_t n)
{
	return from[random_below(&w->r, (uint32_t)n)];
}

#define ANY(w, from) any(w, from, sizeof(from) / sizeof((from)[0]))

static void put_expr(struct writer *w, unsigned deep)
{
	switch (deep == 0 ? 0 : random_below(&w->r, 8)) {
	case 0:
	case 1:
		put(w, ANY(w, atoms));
		break;
	case 2:
	case 3:
		put_expr(w, deep - 1);
		put(w, ANY(w, operators));
		put_expr(w, deep - 1);
		break;
	case 4:
		put(w, "(");
		put_expr(w, deep - 1);
		put(w, random_below(&w->r, 4) == 0 ? ",)" : ")");
		break;
	case 5:
		put_expr(w, deep - 1);
		put(w, " if ");
		put_expr(w, deep - 1);
		put(w, " else ");
		put_expr(w, deep - 1);
		break;
	default:
		put_expr(w, deep - 1);
		put(w, ANY(w, postfixes));
		if (random_below(&w->r, 2) == 0)
			put(w, ANY(w, postfixes));
	}
}

static void put_body(struct writer *w, unsigned deep);

/* open, an expression, middle, a body, close */
static void put_block(struct writer *w, const char *open, const char *middle, const char *close, unsigned deep)
{
	put(w, open);
	put_expr(w, 2);
	put(w, middle);
	put_body(w, deep);
	put(w, close);
}

static void put_statement(struct writer *w, unsigned deep)
{
	switch (random_below(&w->r, deep == 0 ? 4 : 14)) {
	case 0:
		put(w, ANY(w, openings));
		break;
	case 1:
	case 2:
	case 3:
		put(w, "{{ ");
		put_expr(w, 3);
		put(w, random_below(&w->r, 3) == 0 ? " -}}" : " }}");
		break;
	case 4:
		put_block(w, "{% if ", " %}", "{% endif %}", deep - 1);
		break;
	case 5:
		put_block(w, "{% for i in ", " %}", "{% if a %}{% continue %}{% endif %}{% else %}-{% endfor %}", deep - 1);
		break;
	case 6:
		put_block(w, "{% for i in f if ", " recursive %}", "{{ loop(f) }}{% endfor %}", deep - 1);
		break;
	case 7:
		put_block(w, "{% macro m(c, i=", ") %}", "{{ varargs }}{{ caller() }}{% endmacro %}", deep - 1);
		break;
	case 8:
		put_block(w, "{% set i = ", " %}{% set c %}", "{% endset %}", deep - 1);
		break;
	case 9:
		put(w, "{% set ns = namespace(v=1) %}");
		put_block(w, "{% set ns.v = ", " %}", "{% set d.k = ns.v %}", deep - 1);
		break;
	case 10:
		put_block(w, "{% with i=", " %}", "{% endwith %}", deep - 1);
		break;
	case 11:
		put_block(w, "{% call m(", ") %}", "{% endcall %}", deep - 1);
		break;
	case 12:
		put_block(w, "{% do ", " %}{% filter upper|trim %}", "{% endfilter %}", deep - 1);
		break;
	default:
		put_block(w, "{%- for i, c in ", " -%} ", "{% break %} {%- endfor -%}", deep - 1);
	}
}

static void put_body(struct writer *w, unsigned deep)
{
	uint32_t n = 1 + random_below(&w->r, 3);

	while (n-- > 0)
		put_statement(w, deep);
}

static void run_random(struct writer *w)
{
	uint32_t changes = random_below(&w->r, 2) == 0 ? random_below(&w->r, 6) : 0;
	uint8_t *copy;

	w->len = 0;
	put_body(w, 3);
	while (changes-- > 0 && w->len != 0)
		w->text[random_below(&w->r, (uint32_t)w->len)] = (char)random_below(&w->r, 256);
	copy = malloc(w->len + (w->len == 0));  /* of exactly its size, for a sanitizer */
	require(copy != NULL, "no memory");
	memcpy(copy, w->text, w->len);
	LLVMFuzzerTestOneInput(copy, w->len);
	free(copy);
}

static int run_file(const char *path)
{
	static uint8_t buf[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL) {
		fprintf(stderr, "fuzz_jinja: cannot open '%s'\n", path);
		return 1;
	}
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	LLVMFuzzerTestOneInput(buf, n);
	return 0;
}

int main(int argc, char **argv)
{
	static struct writer w = { .r = { 1 } };
	unsigned long i, n = 0, inputs = 0;
	int arg;

	for (arg = 1; arg < argc; arg++) {
		if (strcmp(argv[arg], "-n") == 0 && arg + 1 < argc) {
			n = strtoul(argv[++arg], NULL, 10);
		} else if (strcmp(argv[arg], "-s") == 0 && arg + 1 < argc) {
			w.r.state = strtoul(argv[++arg], NULL, 10) | 1;
		} else {
			if (run_file(argv[arg]) != 0)
				return 1;
			inputs++;
		}
	}
	for (i = 0; i < n; i++, inputs++)
		run_random(&w);
	printf("fuzz_jinja: %lu inputs\n", inputs);
	return 0;
}
#endif
