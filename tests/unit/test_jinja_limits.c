/* test_jinja_limits.c - faulty and hostile templates: one line that says where and what, within bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/jinja.h"
#include "tests/unit/jinja_root.h"

struct fault {
	const char *template;
	int rc;
	const char *line;               /* what the error begins with */
};

/* Parse and render with limits; err holds the line. */
static int render(const char *text, size_t len, size_t memory, uint64_t steps, char *err, size_t errlen)
{
	struct jinja_render r = { 0 };
	struct jinja *t = NULL;
	struct jinja_str out;
	int rc = jinja_parse(&t, text, len, err, errlen);

	if (rc != 0) {
		assert_null(t);
		return rc;
	}
	assert_int_equal(jinja_heap_new(&r.heap, memory, steps, JINJA_BLOCK), 0);
	assert_int_equal(jinja_root(r.heap, "{\"x\": 5, \"s\": \"Hello\", \"l\": [3, 1, 2], \"d\": {}}", &r.root), 0);
	rc = jinja_render(t, &r, &out, err, errlen);
	assert_true(jinja_heap_bytes(r.heap) <= memory);
	jinja_heap_free(r.heap);
	jinja_free(t);
	return rc;
}

static void expect(const struct fault *f, size_t n)
{
	char err[256];
	size_t i;
	int rc, wrong = 0;

	for (i = 0; i < n; i++) {
		err[0] = '\0';
		rc = render(f[i].template, strlen(f[i].template), JINJA_MEMORY_MAX, JINJA_STEPS_MAX, err, sizeof(err));
		if (rc == f[i].rc && strncmp(err, f[i].line, strlen(f[i].line)) == 0)
			continue;
		print_error("%s\n  expected %d %s\n  got      %d %s\n", f[i].template, f[i].rc, f[i].line, rc, err);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void test_faults_of_the_text(void **state)
{
	static const struct fault faults[] = {
		{ "{{ x", -EINVAL, "line 1: a tag without its end '}}'" },
		{ "a\n{% if x", -EINVAL, "line 2: a tag without its end '%}'" },
		{ "a\n\n{# c", -EINVAL, "line 3: a comment without its end '#}'" },
		{ "{% raw %}a", -EINVAL, "line 1: raw without endraw" },
		{ "{{ 'abc }}", -EINVAL, "line 1: a string without its end '" },
		{ "{{ }}", -EINVAL, "line 1: expected an expression, found '}}'" },
		{ "{% %}", -EINVAL, "line 1: expected a statement, found '%}'" },
		{ "{% foo %}", -EINVAL, "line 1: expected a statement, found 'foo'" },
		{ "{% include 'a' %}", -EINVAL, "line 1: expected a statement, found 'include'" },
		{ "{% if x %}\n", -EINVAL, "line 1: expected 'endif', found the end of the template" },
		{ "{% if x %}\n\n{% endfor %}", -EINVAL, "line 3: expected a statement, found 'endfor'" },
		{ "{% endif %}", -EINVAL, "line 1: expected a statement, found 'endif'" },
		{ "{% for 1 in l %}{% endfor %}", -EINVAL, "line 1: expected a name, found a number" },
		{ "{% for i on l %}{% endfor %}", -EINVAL, "line 1: expected 'in', found 'on'" },
		{ "{% set true = 1 %}", -EINVAL, "line 1: a constant cannot be set" },
		{ "{{ (1, 2 }}", -EINVAL, "line 1: expected ')', found '}'" },
		{ "{{ [1) }}", -EINVAL, "line 1: expected ']', found ')'" },
		{ "{{ 1) }}", -EINVAL, "line 1: ')' that closes nothing" },
		{ "{{ a b }}", -EINVAL, "line 1: expected '}}', found 'b'" },
		{ "{{ x | }}", -EINVAL, "line 1: expected the name of a filter, found '}}'" },
		{ "{{ x is }}", -EINVAL, "line 1: expected the name of a test, found '}}'" },
		{ "{{ f(a=1, 2) }}", -EINVAL, "line 1: an argument without a name behind one with a name" },
		{ "{{ x $ 1 }}", -EINVAL, "line 1: '$' where an expression goes on" },
		{ "{{ x \x01 }}", -EINVAL, "line 1: a byte 0x01 where an expression goes on" },
		{ "{{ 99999999999999999999 }}", -EINVAL, "line 1: a number past 64 bits" },
		{ "{% break %}", -EINVAL, "line 1: 'break' outside of a loop" },
		{ "{% for i in l %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}", -EINVAL,
		  "line 1: 'continue' outside of a loop" },
	};

	(void)state;
	expect(faults, sizeof(faults) / sizeof(faults[0]));
}

static void test_faults_of_values(void **state)
{
	static const struct fault faults[] = {
		{ "\n\n{{ zz.foo }}", -EINVAL, "line 3: 'zz' is undefined" },
		{ "{{ zz() }}", -EINVAL, "line 1: 'zz' is undefined" },
		{ "{{ zz + 'a' }}", -EINVAL, "line 1: 'zz' is undefined" },
		{ "{{ x.y.z }}", -EINVAL, "line 1: 'y' is undefined" },
		{ "{{ 'a' + 1 }}", -EINVAL, "line 1: no '+' between str and int" },
		{ "{{ 1 < 'a' }}", -EINVAL, "line 1: no '<' between int and str" },
		{ "{{ -s }}", -EINVAL, "line 1: no '-' between str and str" },
		{ "{{ 1 // 0 }}", -EINVAL, "line 1: division by zero" },
		{ "{{ 1.5 % 0 }}", -EINVAL, "line 1: division by zero" },
		{ "{{ 9223372036854775807 + 1 }}", -EINVAL, "line 1: an integer past 64 bits" },
		{ "{{ 10 ** 30 }}", -EINVAL, "line 1: an integer past 64 bits" },
		{ "{{ -9223372036854775807 - 2 }}", -EINVAL, "line 1: an integer past 64 bits" },
		{ "{{ (-9223372036854775807 - 1) // -1 }}", -EINVAL, "line 1: an integer past 64 bits" },
		{ "{% for i in 5 %}{% endfor %}", -EINVAL, "line 1: a int is nothing to go through" },
		{ "{% for a, b in [[1]] %}{% endfor %}", -EINVAL, "line 1: too few values to unpack: 1" },
		{ "{% set a, b = l %}", -EINVAL, "line 1: too many values to unpack: 3" },
		{ "{% set x.y = 1 %}", -EINVAL, "line 1: only attributes of a namespace or dict can be set" },
		{ "{{ {[1]: 2} }}", -EINVAL, "line 1: a list cannot be a key" },
		{ "{{ x | nosuch }}", -EINVAL, "line 1: no filter named 'nosuch'" },
		{ "{{ x is nosuch }}", -EINVAL, "line 1: no test named 'nosuch'" },
		{ "{{ s.upper(1) }}", -EINVAL, "line 1: upper takes 0 arguments, not 1" },
		{ "{{ s.replace('a') }}", -EINVAL, "line 1: replace needs 2 arguments" },
		{ "{{ l | sort(foo=1) }}", -EINVAL, "line 1: sort has no argument 'foo'" },
		{ "{{ zz | tojson }}", -EINVAL, "line 1: tojson: a value that is undefined" },
		{ "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", -EINVAL, "line 1: a macro is given 2 arguments" },
		{ "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", -EINVAL, "line 1: a macro has no argument 'b'" },
		{ "{{ x() }}", -EINVAL, "line 1: a int cannot be called" },
		{ "{{ l[::0] }}", -EINVAL, "line 1: the step of a slice is 0" },
		{ "{{ strftime_now('%Y') }}", -EINVAL, "line 1: 'strftime_now' is undefined" },
		{ "a\n{{ raise_exception('no: ' ~ x) }}", -ECANCELED, "no: 5" },
	};

	(void)state;
	expect(faults, sizeof(faults) / sizeof(faults[0]));
}

/* text n times between two others. */
static char *nested(const char *open, const char *middle, const char *close, size_t n, size_t *len)
{
	size_t i, a = strlen(open), b = strlen(close), m = strlen(middle);
	char *s = malloc(n * (a + b) + m + 1);

	assert_non_null(s);
	for (i = 0; i < n; i++)
		memcpy(s + i * a, open, a);
	memcpy(s + n * a, middle, m);
	for (i = 0; i < n; i++)
		memcpy(s + n * a + m + i * b, close, b);
	*len = n * (a + b) + m;
	s[*len] = '\0';
	return s;
}

/* Deep nesting of any kind is refused, not followed. */
static void test_deep_text(void **state)
{
	static const char *const parts[][3] = {
		{ "{% if x %}", "a", "{% endif %}" }, { "{% for i in l %}", "a", "{% endfor %}" },
	};
	static const char *const inside[][3] = {
		{ "(", "1", ")" }, { "[", "1", "]" }, { "{1: ", "1", "}" }, { "not ", "1", "" }, { "- ", "1", "" },
		{ "x[", "0", "]" }, { "x(", "0", ")" }, { "1 if 1 else ", "1", "" }, { "1 ** ", "1", "" }, { "x|d(", "1", ")" },
	};
	char err[256], *s, *t;
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		s = nested(parts[i][0], parts[i][1], parts[i][2], 5000, &len);
		assert_int_equal(render(s, len, JINJA_MEMORY_MAX, JINJA_STEPS_MAX, err, sizeof(err)), -E2BIG);
		free(s);
	}
	for (i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
		s = nested(inside[i][0], inside[i][1], inside[i][2], 20000, &len);
		t = malloc(len + 8);
		assert_non_null(t);
		snprintf(t, len + 8, "{{ %s }}", s);
		assert_int_equal(render(t, len + 6, JINJA_MEMORY_MAX, JINJA_STEPS_MAX, err, sizeof(err)), -E2BIG);
		free(s);
		free(t);
	}
}

static void test_deep_values(void **state)
{
	static const struct fault faults[] = {
		{ "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}", -E2BIG, "line 1: more than 1000 calls" },
		{ "{% set ns = namespace(v=[]) %}{% for i in range(5000) %}{% set ns.v = [ns.v] %}{% endfor %}{{ ns.v }}", -E2BIG,
		  "line 1: more than 1000 calls" },
		{ "{% set a = [] %}{% do a.append(a) %}{{ a }}", -E2BIG, "line 1: more than 1000 calls" },
		{ "{% set a = [] %}{% do a.append(a) %}{{ a | tojson }}", -E2BIG, "line 1: more than 1000 calls" },
		{ "{% set a = [] %}{% do a.append(a) %}{% set b = [] %}{% do b.append(b) %}{{ a == b }}", 0, "" },
		{ "{% set a = [] %}{% do a.append(a) %}{% set b = [] %}{% do b.append(b) %}{{ a < b }}", -E2BIG,
		  "line 1: more than 1000 calls" },
		{ "{% set a = [] %}{% set t = (a,) %}{% do a.append(t) %}{{ {t: 1} }}", -EINVAL, "line 1: a list cannot be a key" },
		{ "{% for i in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}", -E2BIG, "line 1: more than 1000 calls" },
		{ "{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m() %}{{ n() }}{% endcall %}{% endmacro %}{{ n() }}",
		  -E2BIG, "line 1: more than 1000 calls" },
	};

	(void)state;
	expect(faults, sizeof(faults) / sizeof(faults[0]));
}

/* Whatever a template multiplies, it stops at a limit soon. */
static void test_growth(void **state)
{
	static const char *const texts[] = {
		"{{ 'a' * 1000000000000 }}", "{{ [0] * 1000000000000 }}", "{{ range(1000000000) }}",
		"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
		"{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}",
		"{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
		"{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s.replace('a', ns.s) %}{% endfor %}",
		"{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s | replace('', ns.s) %}{% endfor %}",
		"{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
		"{% set l = [1] %}{% for i in range(99) %}{% do l.extend(l) %}{% endfor %}",
		"{{ 'x' | indent(100000000000) }}", "{{ 'x' | center(100000000000) }}", "{{ [1] | batch(1000000000000, 0) | list }}",
		"{{ [1] | slice(1000000000000) | list }}", "{{ '%100000000d' % 1 }}", "{{ '%.100000000f' % 1 }}",
		"{{ range(99999) | map('string') | unique | list | unique | list }}",
		"{% set s = 'a' * 4000000 %}{{ s.rfind(('b' ~ 'a' * 2000000)) }}",
		"{% set s = 'a' * 4000000 %}{{ s.rsplit('b' ~ 'a' * 2000000) }}",
		"{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
		"{% set ns = namespace(t=1) %}{% for i in range(60) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.t | tojson }}",
		"{% set ns = namespace(t=1, u=1) %}{% for i in range(60) %}{% set ns.t = [ns.t, ns.t] %}"
		"{% set ns.u = [ns.u, ns.u] %}{% endfor %}{{ ns.t == ns.u }}",
		"{% set d = {} %}{% for i in range(99999) %}{% do d.update({i ~ '': 1}) %}{% endfor %}",
	};
	char err[256];
	size_t i;
	int rc;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		err[0] = '\0';
		rc = render(texts[i], strlen(texts[i]), (size_t)32 << 20, 2000000, err, sizeof(err));
		if (rc == 0 || err[0] == '\0')
			print_error("%s: %d %s\n", texts[i], rc, err);
		assert_true(rc == -E2BIG || rc == -ENOMEM || rc == -EINVAL);
		assert_true(err[0] != '\0');
	}
}

static void test_long_text(void **state)
{
	char err[256];
	size_t len, i;
	char *s = nested("a", "", "", JINJA_TEXT_MAX + 1, &len);
	static const char *const parts[] = { "{{", "{%", "{#", "{{1}}", "{{ a.b.c|d is e }}", "{%if 1%}", "{%set a=1%}", "(" };

	(void)state;
	assert_int_equal(render(s, len, JINJA_MEMORY_MAX, JINJA_STEPS_MAX, err, sizeof(err)), -E2BIG);
	assert_int_equal(render(s, JINJA_TEXT_MAX, JINJA_MEMORY_MAX, JINJA_STEPS_MAX, err, sizeof(err)), 0);
	free(s);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int rc;

		s = nested(parts[i], "", "", JINJA_TEXT_MAX / strlen(parts[i]), &len);
		rc = render(s, len, JINJA_MEMORY_MAX, JINJA_STEPS_MAX, err, sizeof(err));
		assert_true(rc <= 0);
		free(s);
	}
}

/* Every prefix of a template is parsed or refused with a line. */
static void test_prefixes(void **state)
{
	static const char text[] =
		"{%- set ns = namespace(a=1, b='x\\n') -%}{% macro m(a, b=2, *, c) %}{% endmacro %}"
		"{% for k, v in d.items() if v is not none recursive %}{{ loop.index ~ k[1:-1:2] }}{% else %}{# c #}{% endfor %}"
		"{% call(x) m(1, *l, **d) %}{{ x | join(', ') }}{% endcall %}{% raw %}{{ {% endraw %}{{ {'a': [1, (2,)]}['a'] }}"
		"{% if not x in [1.5e3, 0x1f] and 'a' ~ 'b' == \"c\\u00e9\" %}{% elif x %}{% endif %}{% filter upper %}a{% endfilter %}";
	char err[256];
	size_t len;

	(void)state;
	for (len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len + (len == 0));
		int rc;

		assert_non_null(copy);
		memcpy(copy, text, len);
		err[0] = '\0';
		rc = render(copy, len, JINJA_MEMORY_MAX, JINJA_STEPS_MAX, err, sizeof(err));
		assert_true(rc <= 0 && (rc == 0) == (err[0] == '\0'));
		free(copy);
	}
}

/* Messages are one printable line, however long and whatever is in them. */
static void test_error_lines(void **state)
{
	static const char text[] = "{{ raise_exception('a\\nb\\x1b[31m\\x9bé' ~ 'x' * 1000) }}";
	char err[64], tiny[4], none[1] = { 'q' };
	size_t i;

	(void)state;
	assert_int_equal(render(text, strlen(text), JINJA_MEMORY_MAX, JINJA_STEPS_MAX, err, sizeof(err)), -ECANCELED);
	assert_int_equal(strlen(err), sizeof(err) - 1);
	assert_memory_equal(err, "a b?[31m?é", 11);
	for (i = 0; err[i] != '\0'; i++)
		assert_true((unsigned char)err[i] >= 0x20);
	assert_int_equal(render(text, strlen(text), JINJA_MEMORY_MAX, JINJA_STEPS_MAX, tiny, sizeof(tiny)), -ECANCELED);
	assert_string_equal(tiny, "a b");
	assert_int_equal(render(text, strlen(text), JINJA_MEMORY_MAX, JINJA_STEPS_MAX, none, 0), -ECANCELED);
	assert_int_equal(none[0], 'q');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults_of_the_text), cmocka_unit_test(test_faults_of_values),
		cmocka_unit_test(test_deep_text), cmocka_unit_test(test_deep_values), cmocka_unit_test(test_growth),
		cmocka_unit_test(test_long_text), cmocka_unit_test(test_prefixes), cmocka_unit_test(test_error_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
