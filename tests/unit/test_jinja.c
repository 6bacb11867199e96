/* test_jinja.c - the template language, feature by feature, against what Jinja 3.1 prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/jinja.h"
#include "tests/unit/jinja_root.h"

struct example {
	const char *template, *output;
};

/* What the templates see. */
static const char root_json[] =
	"{\"x\": 5, \"s\": \"Hello World\", \"u\": \"naïve Ω 日本 🎉\", \"l\": [3, 1, 2], \"ls\": [\"b\", \"A\", \"c\"],"
	" \"d\": {\"b\": 1, \"a\": {\"k\": [1, 2]}}, \"n\": null, \"f\": 1.5, \"e\": \"\","
	" \"msgs\": [{\"role\": \"user\", \"content\": \"hi\"}, {\"role\": \"assistant\", \"content\": \"yo\"},"
	" {\"role\": \"user\", \"content\": \"x\"}], \"html\": \"<a href=\\\"x\\\">'&</a>\","
	" \"ml\": \"line1\\nline2\\n\\nline4\\n\", \"tree\": [{\"v\": 1, \"c\": [{\"v\": 2, \"c\": []},"
	" {\"v\": 3, \"c\": [{\"v\": 4, \"c\": []}]}]}, {\"v\": 5, \"c\": []}]}";

static const struct example arithmetic[] = {
	{ "{{ 1+2*3 }}", "7" },
	{ "{{ 7//2 }}", "3" },
	{ "{{ -7//2 }}", "-4" },
	{ "{{ -7%3 }}", "2" },
	{ "{{ 7%-3 }}", "-2" },
	{ "{{ 2**10 }}", "1024" },
	{ "{{ 2**-1 }}", "0.5" },
	{ "{{ 2**3**2 }}", "64" },
	{ "{{ -2**2 }}", "4" },
	{ "{{ 7/2 }}", "3.5" },
	{ "{{ 0.1+0.2 }}", "0.30000000000000004" },
	{ "{{ 1e16 }}", "1e+16" },
	{ "{{ 1e15 }}", "1000000000000000.0" },
	{ "{{ 1e-5 }}", "1e-05" },
	{ "{{ 0.0001 }}", "0.0001" },
	{ "{{ 1e22 }}", "1e+22" },
	{ "{{ 5e-324 }}", "5e-324" },
	{ "{{ 1.7976931348623157e308 }}", "1.7976931348623157e+308" },
	{ "{{ 100.0 }}", "100.0" },
	{ "{{ -0.0 }}", "-0.0" },
	{ "{{ 1/3 }}", "0.3333333333333333" },
	{ "{{ -3.5//2 }}", "-2.0" },
	{ "{{ 3.5%-2 }}", "-0.5" },
	{ "{{ 0x1F + 0b11 + 0o17 }}", "49" },
	{ "{{ 1_000 }}", "1000" },
	{ "{{ 'ab'*3 }}", "ababab" },
	{ "{{ [1]*2 }}", "[1, 1]" },
	{ "{{ (1,)+(2,) }}", "(1, 2)" },
	{ "{{ true+true }}", "2" },
	{ "{{ -x|abs }}", "5" },
	{ "{{ +x }}", "5" },
	{ "{{ 1.5e300*1e10 }}", "inf" },
	{ NULL, NULL }
};

static const struct example logic[] = {
	{ "{{ x==5 }}", "True" },
	{ "{{ 1<x<10 }}", "True" },
	{ "{{ 1<x>10 }}", "False" },
	{ "{{ 1==1.0 }}", "True" },
	{ "{{ true==1 }}", "True" },
	{ "{{ '1'==1 }}", "False" },
	{ "{{ [1,2]==[1,2] }}", "True" },
	{ "{{ (1,2)==[1,2] }}", "False" },
	{ "{{ {'a':1}=={'a':1} }}", "True" },
	{ "{{ [1,2]<[1,3] }}", "True" },
	{ "{{ 'a'<'B' }}", "False" },
	{ "{{ 'é'>'z' }}", "True" },
	{ "{{ x in l }}", "False" },
	{ "{{ 3 in l }}", "True" },
	{ "{{ 'W' in s }}", "True" },
	{ "{{ 'a' in d }}", "True" },
	{ "{{ 'z' not in s }}", "True" },
	{ "{{ not x }}", "False" },
	{ "{{ e or s }}", "Hello World" },
	{ "{{ n or 'd' }}", "d" },
	{ "{{ e and 1 }}", "" },
	{ "{{ x and s }}", "Hello World" },
	{ "{{ not 1 in [2] }}", "True" },
	{ "{{ 1 if x else 2 }}", "1" },
	{ "{{ 1 if e }}", "" },
	{ "{{ 2 if e else 3 }}", "3" },
	{ "{{ 1 if e else 2 if s else 3 }}", "2" },
	{ "{{ none==zz }}", "False" },
	{ "{{ s ~ n ~ 1.0 ~ true }}", "Hello WorldNone1.0True" },
	{ NULL, NULL }
};

static const struct example access[] = {
	{ "{{ d.a.k[1] }}", "2" },
	{ "{{ d['a']['k'] }}", "[1, 2]" },
	{ "{{ d.a.k.1 }}", "2" },
	{ "{{ d.zz }}", "" },
	{ "{{ l[-1] }}", "2" },
	{ "{{ l[5] }}", "" },
	{ "{{ l[1:] }}", "[1, 2]" },
	{ "{{ l[::-1] }}", "[2, 1, 3]" },
	{ "{{ s[1:3] }}", "el" },
	{ "{{ s[-3:] }}", "rld" },
	{ "{{ s[10:2:-2] }}", "drWo" },
	{ "{{ u[6] }}", "Ω" },
	{ "{{ u[::-1] }}", "🎉 本日 Ω evïan" },
	{ "{{ u[:7] }}", "naïve Ω" },
	{ "{{ 'abcdef'[-2:-5:-1] }}", "edc" },
	{ "{{ 'abc'[:100] }}", "abc" },
	{ "{{ l[3:1] }}", "[]" },
	{ "{{ n.foo }}", "" },
	{ "{{ s['upper']() }}", "HELLO WORLD" },
	{ "{{ d.b }}", "1" },
	{ "{{ {'items':1}['items'] }}", "1" },
	{ "{{ {1:'x'}[true] }}", "x" },
	{ "{{ {(1,2):3}[(1,2)] }}", "3" },
	{ "{{ [1,2][true] }}", "2" },
	{ "{{ d['nope'] is defined }}", "False" },
	{ "{{ msgs[-1].content }}", "x" },
	{ NULL, NULL }
};

static const struct example printing[] = {
	{ "{{ l }}", "[3, 1, 2]" },
	{ "{{ d }}", "{'b': 1, 'a': {'k': [1, 2]}}" },
	{ "{{ n }}", "None" },
	{ "{{ (1,) }}", "(1,)" },
	{ "{{ () }}", "()" },
	{ "{{ {} }}", "{}" },
	{ "{{ [true,false,none,1.0,'a'] }}", "[True, False, None, 1.0, 'a']" },
	{ "{{ [html] }}", "['<a href=\"x\">\\'&</a>']" },
	{ "{{ ['\\'\\\"'] }}", "['\\'\"']" },
	{ "{{ ['a\\nb\\\\'] }}", "['a\\nb\\\\']" },
	{ "{{ ['\\u00e9\\x01\\u200b'] }}", "['é\\x01\\u200b']" },
	{ "{{ '\\x41\\u00e9\\101\\q' }}", "AéA\\q" },
	{ "{{ 'a' 'b' }}", "ab" },
	{ "{{ 1,2 }}", "(1, 2)" },
	{ "{{ {'a':{'b':{}}} }}", "{'a': {'b': {}}}" },
	{ "{{ '%}' }}", "%}" },
	{ "{{ {'a':'}}'} }}", "{'a': '}}'}" },
	{ "{{ zz }}", "" },
	{ "{{ [u] }}", "['naïve Ω 日本 🎉']" },
	{ NULL, NULL }
};

static const struct example methods[] = {
	{ "{{ s.upper() }}", "HELLO WORLD" },
	{ "{{ s.title() }}", "Hello World" },
	{ "{{ 'aBC'.capitalize() }}", "Abc" },
	{ "{{ 'aB'.swapcase() }}", "Ab" },
	{ "{{ '  x '.strip() }}", "x" },
	{ "{{ 'xyaxy'.lstrip('xy') }}", "axy" },
	{ "{{ 'xyaxy'.rstrip('yx') }}", "xya" },
	{ "{{ s.split() }}", "['Hello', 'World']" },
	{ "{{ s.split('o',1) }}", "['Hell', ' World']" },
	{ "{{ s.rsplit('o',1) }}", "['Hello W', 'rld']" },
	{ "{{ 'a,b,,c'.split(',') }}", "['a', 'b', '', 'c']" },
	{ "{{ ' a b c '.split(none,1) }}", "['a', 'b c ']" },
	{ "{{ ' a b c '.rsplit(none,1) }}", "[' a b', 'c']" },
	{ "{{ ''.split() }}", "[]" },
	{ "{{ ''.split(',') }}", "['']" },
	{ "{{ ml.splitlines() }}", "['line1', 'line2', '', 'line4']" },
	{ "{{ ml.splitlines(true) }}", "['line1\\n', 'line2\\n', '\\n', 'line4\\n']" },
	{ "{{ s.startswith('He') }}", "True" },
	{ "{{ s.startswith(('a','H')) }}", "True" },
	{ "{{ s.endswith('x') }}", "False" },
	{ "{{ s.replace('o','0',1) }}", "Hell0 World" },
	{ "{{ 'abc'.replace('','-',2) }}", "-a-bc" },
	{ "{{ s.find('o') }}", "4" },
	{ "{{ s.rfind('o') }}", "7" },
	{ "{{ u.find('日') }}", "8" },
	{ "{{ s.count('o') }}", "2" },
	{ "{{ s.index('W') }}", "6" },
	{ "{{ '-'.join(ls) }}", "b-A-c" },
	{ "{{ s.partition(' ') }}", "('Hello', ' ', 'World')" },
	{ "{{ s.rpartition('zz') }}", "('', '', 'Hello World')" },
	{ "{{ 'abc'.removeprefix('a') }}", "bc" },
	{ "{{ 'abc'.removesuffix('c') }}", "ab" },
	{ "{{ 'a1'.isalnum() }}", "True" },
	{ "{{ '12'.isdigit() }}", "True" },
	{ "{{ 'A1'.isupper() }}", "True" },
	{ "{{ ''.isalpha() }}", "False" },
	{ "{{ ' '.isspace() }}", "True" },
	{ "{{ '{} {1} {a} {{}}'.format(1,2,a=3) if false }}", "" },
	{ "{{ '{1}{0}{a}{{}}'.format(1,2,a=3) }}", "213{}" },
	{ "{{ d.get('q',9) }}", "9" },
	{ "{{ d.get('q') }}", "None" },
	{ "{{ d.keys()|list }}", "['b', 'a']" },
	{ "{{ d.items()|list }}", "[('b', 1), ('a', {'k': [1, 2]})]" },
	{ "{{ d.values()|list|length }}", "2" },
	{ "{{ l.index(1) }}", "1" },
	{ "{{ l.count(3) }}", "1" },
	{ "{{ 'ÀÉ ПРИВЕТ Ω'.lower() }}", "àé привет ω" },
	{ "{{ 'àé привет ω ÿ'.upper() }}", "ÀÉ ПРИВЕТ Ω Ÿ" },
	{ NULL, NULL }
};

static const struct example filters_of_text[] = {
	{ "{{ s|upper }}", "HELLO WORLD" },
	{ "{{ 'foo-bar (baz)'|title }}", "Foo-Bar (Baz)" },
	{ "{{ '  a '|trim }}", "a" },
	{ "{{ 'xxaxx'|trim('x') }}", "a" },
	{ "{{ s|replace('o','0') }}", "Hell0 W0rld" },
	{ "{{ 5|replace(5,6) }}", "6" },
	{ "{{ html|e }}", "&lt;a href=&#34;x&#34;&gt;&#39;&amp;&lt;/a&gt;" },
	{ "{{ html|safe }}", "<a href=\"x\">'&</a>" },
	{ "{{ ml|indent }}", "line1\n    line2\n\n    line4\n" },
	{ "{{ ml|indent(2,true) }}", "  line1\n  line2\n\n  line4\n" },
	{ "{{ ml|indent(2,true,true) }}", "  line1\n  line2\n  \n  line4\n  " },
	{ "{{ ml|indent('>') }}", "line1\n>line2\n\n>line4\n" },
	{ "{{ s|center(20) }}", "    Hello World     " },
	{ "{{ 'foo bar baz qux'|truncate(9) }}", "foo..." },
	{ "{{ s|truncate(8,true) }}", "Hello World" },
	{ "{{ s|wordcount }}", "2" },
	{ "{{ 'a b&c/é'|urlencode }}", "a%20b%26c/%C3%A9" },
	{ "{{ '%s=%05.1f|%-4d|%x|%r'|format('a',2.345,7,255,'q') }}", "a=002.3|7   |ff|'q'" },
	{ "{{ '%s-%s' % (1,'b') }}", "1-b" },
	{ "{{ '%(k)s' % {'k':2} }}", "2" },
	{ "{{ x|string }}", "5" },
	{ "{{ s|length }}", "11" },
	{ "{{ u|length }}", "12" },
	{ "{{ zz|length }}", "0" },
	{ "{{ '42'|int }}", "42" },
	{ "{{ 'abc'|int(5) }}", "5" },
	{ "{{ '0x1f'|int(0,16) }}", "31" },
	{ "{{ '4.7'|int }}", "4" },
	{ "{{ -3.99|int }}", "-3" },
	{ "{{ none|int }}", "0" },
	{ "{{ '1.5'|float }}", "1.5" },
	{ "{{ 2.5|round }}", "2.0" },
	{ "{{ 3.5|round }}", "4.0" },
	{ "{{ 2.567|round(2) }}", "2.57" },
	{ "{{ 2.1|round(0,'ceil') }}", "3.0" },
	{ "{{ 42|round }}", "42" },
	{ "{{ -7|abs }}", "7" },
	{ "{{ zz|default('q') }}", "q" },
	{ "{{ e|default('q') }}", "" },
	{ "{{ e|d('q',true) }}", "q" },
	{ NULL, NULL }
};

static const struct example filters_of_sequences[] = {
	{ "{{ l|sort }}", "[1, 2, 3]" },
	{ "{{ ls|sort }}", "['A', 'b', 'c']" },
	{ "{{ ls|sort(case_sensitive=true) }}", "['A', 'b', 'c']" },
	{ "{{ l|sort(reverse=true) }}", "[3, 2, 1]" },
	{ "{{ msgs|sort(attribute='role,content')|map(attribute='content')|list }}", "['yo', 'hi', 'x']" },
	{ "{{ msgs|map(attribute='role')|unique|join('/') }}", "user/assistant" },
	{ "{{ msgs|map(attribute='zz',default='q')|list }}", "['q', 'q', 'q']" },
	{ "{{ ls|map('upper')|list }}", "['B', 'A', 'C']" },
	{ "{{ msgs|selectattr('role','equalto','user')|map(attribute='content')|join(',') }}", "hi,x" },
	{ "{{ msgs|rejectattr('role','==','user')|list }}", "[{'role': 'assistant', 'content': 'yo'}]" },
	{ "{{ l|select('odd')|list }}", "[3, 1]" },
	{ "{{ l|reject('gt',1)|list }}", "[1]" },
	{ "{{ [0,1,'']|select|list }}", "[1]" },
	{ "{{ ['a','A','b']|unique|list }}", "['a', 'b']" },
	{ "{{ l|min }}", "1" },
	{ "{{ l|max }}", "3" },
	{ "{{ []|max }}", "" },
	{ "{{ l|sum }}", "6" },
	{ "{{ [{'v':1},{'v':2}]|sum('v') }}", "3" },
	{ "{{ l|first }}", "3" },
	{ "{{ l|last }}", "2" },
	{ "{{ []|first }}", "" },
	{ "{{ s|first }}", "H" },
	{ "{{ s|reverse }}", "dlroW olleH" },
	{ "{{ l|reverse|list }}", "[2, 1, 3]" },
	{ "{{ s|list|length }}", "11" },
	{ "{{ l|join('-') }}", "3-1-2" },
	{ "{{ d|items|list }}", "[('b', 1), ('a', {'k': [1, 2]})]" },
	{ "{{ {'b':2,'A':1}|dictsort }}", "[('A', 1), ('b', 2)]" },
	{ "{{ {'b':2,'A':1}|dictsort(true) }}", "[('A', 1), ('b', 2)]" },
	{ "{{ {'b':2,'A':1}|dictsort(by='value',reverse=true) }}", "[('b', 2), ('A', 1)]" },
	{ "{{ l|batch(2,'x')|list }}", "[[3, 1], [2, 'x']]" },
	{ "{{ [1,2,3,4,5]|slice(3,'z')|list }}", "[[1, 2], [3, 4], [5, 'z']]" },
	{ "{{ [{'k':1,'v':2},{'k':1,'v':3}]|groupby('k')|list }}", "[(1, [{'k': 1, 'v': 2}, {'k': 1, 'v': 3}])]" },
	{ "{{ [{'a':{'b':1}}]|map(attribute='a.b')|list }}", "[1]" },
	{ "{{ [[5,6]]|map(attribute=1)|list }}", "[6]" },
	{ NULL, NULL }
};

static const struct example tojson[] = {
	{ "{{ d|tojson }}", "{\"b\": 1, \"a\": {\"k\": [1, 2]}}" },
	{ "{{ d|tojson(indent=2) }}", "{\n  \"b\": 1,\n  \"a\": {\n    \"k\": [\n      1,\n      2\n    ]\n  }\n}" },
	{ "{{ []|tojson }}", "[]" },
	{ "{{ [1,[],{}]|tojson(indent=4) }}", "[\n    1,\n    [],\n    {}\n]" },
	{ "{{ u|tojson }}", "\"naïve Ω 日本 🎉\"" },
	{ "{{ u|tojson(ensure_ascii=true) }}", "\"na\\u00efve \\u03a9 \\u65e5\\u672c \\ud83c\\udf89\"" },
	{ "{{ html|tojson }}", "\"<a href=\\\"x\\\">'&</a>\"" },
	{ "{{ 'a\\nb\\t\\\\\\x01'|tojson }}", "\"a\\nb\\t\\\\\\u0001\"" },
	{ "{{ [1.0,true,none]|tojson }}", "[1.0, true, null]" },
	{ "{{ d|tojson(separators=(',',':')) }}", "{\"b\":1,\"a\":{\"k\":[1,2]}}" },
	{ "{{ {'b':1,'a':2}|tojson(sort_keys=true) }}", "{\"a\": 2, \"b\": 1}" },
	{ "{{ {1:2,none:3,true:4}|tojson }}", "{\"1\": 4, \"null\": 3}" },
	{ NULL, NULL }
};

static const struct example is_tests[] = {
	{ "{{ x is defined }}", "True" },
	{ "{{ zz is not defined }}", "True" },
	{ "{{ zz is undefined }}", "True" },
	{ "{{ n is none }}", "True" },
	{ "{{ x is number }}", "True" },
	{ "{{ true is number }}", "True" },
	{ "{{ true is integer }}", "False" },
	{ "{{ true is boolean }}", "True" },
	{ "{{ f is float }}", "True" },
	{ "{{ s is string }}", "True" },
	{ "{{ l is iterable }}", "True" },
	{ "{{ zz is iterable }}", "True" },
	{ "{{ x is iterable }}", "False" },
	{ "{{ d is mapping }}", "True" },
	{ "{{ l is mapping }}", "False" },
	{ "{{ d is sequence }}", "True" },
	{ "{{ x is odd }}", "True" },
	{ "{{ x is divisibleby 5 }}", "True" },
	{ "{{ x is divisibleby(3) }}", "False" },
	{ "{{ x is eq 5 }}", "True" },
	{ "{{ x is gt(4) }}", "True" },
	{ "{{ 3 is in l }}", "True" },
	{ "{{ 'abc' is lower }}", "True" },
	{ "{{ 'ABC' is upper }}", "True" },
	{ "{{ n is sameas none }}", "True" },
	{ "{{ 1 is true }}", "False" },
	{ "{{ range is callable }}", "True" },
	{ "{{ s is callable }}", "False" },
	{ "{{ 'upper' is filter }}", "True" },
	{ "{{ 'zz' is test }}", "False" },
	{ "{{ not x is defined }}", "False" },
	{ "{{ x is defined and x is not none }}", "True" },
	{ NULL, NULL }
};

static const struct example functions[] = {
	{ "{{ range(3)|list }}", "[0, 1, 2]" },
	{ "{{ range(1,5)|list }}", "[1, 2, 3, 4]" },
	{ "{{ range(5,0,-2)|list }}", "[5, 3, 1]" },
	{ "{{ dict(a=1,b=2) }}", "{'a': 1, 'b': 2}" },
	{ "{{ dict([('a',1)],b=2) }}", "{'a': 1, 'b': 2}" },
	{ "{{ namespace(a=1).a }}", "1" },
	{ "{{ strftime_now('%Y-%m-%d %d %b %Y %H:%M %B %A %%') }}",
	  "2026-11-18 18 Nov 2026 11:06 November Wednesday %" },
	{ "{{ range(*[1,3])|list }}", "[1, 2]" },
	{ "{{ dict(**{'a':1}) }}", "{'a': 1}" },
	{ NULL, NULL }
};

static const struct example statements[] = {
	{ "{% if e %}a{% elif x > 3 %}b{% else %}c{% endif %}", "b" },
	{ "{% for i in [] %}a{% else %}b{% endfor %}", "b" },
	{ "{% for k, v in d.items() %}{{k}};{% endfor %}", "b;a;" },
	{ "{% for i in l if i > 1 %}{{ loop.index }}/{{ loop.length }}:{{ i }} {% else %}no{% endfor %}",
	  "1/2:3 2/2:2 " },
	{ "{% for i in l %}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{{loop.previtem}}{{loop.nextitem}}{{ loop.cycle('a','b') }}{{loop.depth}} {% endfor %}",
	  "0TrueFalse31a1 1FalseFalse232b1 2FalseTrue11a1 " },
	{ "{% for n in tree recursive %}{{ n.v }}{{loop.depth}}{% if n.c %}({{ loop(n.c) }}){% endif %}{% endfor %}",
	  "11(2232(43))51" },
	{ "{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "32" },
	{ "{% for i in l %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}", "3" },
	{ "{% for i in [1,1,2] %}{{ loop.changed(i) }} {% endfor %}", "True False True " },
	{ "{% for c in 'añb' %}[{{ c }}]{% endfor %}", "[a][ñ][b]" },
	{ "{% for a, (b, c) in [[1,[2,3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}", "123" },
	{ "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "12" },
	{ "{% set y | upper %}block {{ x }}{% endset %}[{{ y }}]", "[BLOCK 5]" },
	{ "{% set y = 1 %}{% for i in l %}{% set y = y + 1 %}{{ y }}{% endfor %}{{ y }}", "2221" },
	{ "{% set ns = namespace(y=1) %}{% for i in l %}{% set ns.y = ns.y + i %}{% endfor %}{{ ns.y }}", "7" },
	{ "{% for i in l %}{{ q is defined }}{% set q = 1 %}{% endfor %}", "FalseFalseFalse" },
	{ "{% macro m(a, b=2, c=a) %}<{{ a }}{{ b }}{{ c }}>{% endmacro %}{{ m(1) }}{{ m(1,3) }}{{ m(b=5,a=4) }}{{ m() }}",
	  "<121><131><454><2>" },
	{ "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1,2,k=3) }}", "(1, 2){'k': 3}" },
	{ "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(5) }}", "54321" },
	{ "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "B" },
	{ "{% set i = 'o' %}{% macro m() %}{{ i }}{% endmacro %}{% for i in l %}{{ m() }}{{ i }}{% endfor %}", "o3o1o2" },
	{ "{% macro m() %}[{{ caller(1,2) }}]{% endmacro %}{% call(a,b) m() %}{{ a }}-{{ b }}{% endcall %}", "[1-2]" },
	{ "{% filter upper|replace('A','b') %}abc {{ s }}{% endfilter %}", "bBC HELLO WORLD" },
	{ "{% with a=1, b=x %}{{ a }}{{ b }}{% endwith %}{{ a }}", "15" },
	{ "{% set z = [] %}{% set _ = z.append(1) %}{% do z.extend([2,3]) %}{{ z }}{{ z.pop() }}{{ z.pop(0) }}{{ z }}",
	  "[1, 2, 3]31[2]" },
	{ "{% set z = {'a':1} %}{% set _ = z.update({'b':2}, c=3) %}{{ z }}{{ z.pop('a') }}{{ z.pop('q', 5) }}{{ z.setdefault('c', 4) }}{{ z }}",
	  "{'a': 1, 'b': 2, 'c': 3}153{'b': 2, 'c': 3}" },
	{ "{% generation %}a{{ x }}{% endgeneration %}b", "a5b" },
	{ "{% set c = cycler('a','b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}", "aba" },
	{ "{% set j = joiner(', ') %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}", "3, 1, 2" },
	{ "{% raw %}{{ x }}{% if %}{% endraw %}", "{{ x }}{% if %}" },
	{ "{{ x }}{# {{ y }} #}{# c\nd #}z", "5z" },
	{ "{% set a = 'x' %}{% set b %}{{ a }}{% set a = 'y' %}{{ a }}{% endset %}{{ b }}{{ a }}", "xyx" },
	{ NULL, NULL }
};

static const struct example whitespace[] = {
	{ "  {% if x %}\n  a\n  {% endif %}\nb", "  a\nb" },
	{ "  {{ x }}\n  {{ x }}", "  5\n  5" },
	{ "a\n  {%- if x %}\n b\n {%- endif %}\n c", "a b c" },
	{ "a  {%- if x -%}  b  {%- endif -%}  c", "abc" },
	{ "a\n\n{% if x %}\n\nb\n\n{% endif %}\n\nc", "a\n\n\nb\n\n\nc" },
	{ "  {%+ if x %}a{% endif %}", "  a" },
	{ "{% if x +%}\na{% endif %}", "\na" },
	{ "x {% if x %}a{% endif %} \n y", "x a \n y" },
	{ "\t {% set y=1 %}\t\n{{ y }}\n", "\t\n1" },
	{ "{{ x -}}  \n a", "5a" },
	{ "a \n {{- x }}", "a5" },
	{ "{% for i in l -%}\n {{ i }}\n{%- endfor %}", "312" },
	{ "{% for i in l %}\n{{ i }}\n{% endfor %}", "3\n1\n2\n" },
	{ "a{% set y=1 %}\n  {% set z=1 %}\n\n  b", "a\n  b" },
	{ "{% if x %}{# c #}\n  {% endif %}z", "z" },
	{ "\n\n{{ x }}\n\n", "\n\n5\n" },
	{ "a\r\nb\r{{ x }}\r\n", "a\nb\n5" },
	{ "{{ '\\n' }}\n", "\n" },
	{ "a {#- c -#} b", "ab" },
	{ "  {# c #}\nb", "b" },
	{ "{#-#}a", "a" },
	{ "{#+ c +#}\nd", "\nd" },
	{ "a {% raw %}\n {{ x }}\n{% endraw %}\n b", "a \n {{ x }}\n b" },
	{ "{%- raw -%} x {%- endraw -%} y", "xy" },
	{ "{{-5}}{{- x -}} z", "55z" },
	{ "{ {x} } {{'{{'}} }}", "{ {x} } {{ }}" },
	{ NULL, NULL }
};

/* Render every example and compare. */
static void run(void **state)
{
	const struct example *e = *state;
	time_t day = 1795000000;        /* 2026-11-18 UTC */
	struct tm now;
	int wrong = 0;

	gmtime_r(&day, &now);
	for (; e->template != NULL; e++) {
		struct jinja_render r = { .now = &now };
		struct jinja *t = NULL;
		struct jinja_str out = { "", 0 };
		char err[256] = "";
		int rc = jinja_parse(&t, e->template, strlen(e->template), err, sizeof(err));

		assert_int_equal(jinja_heap_new(&r.heap, JINJA_MEMORY_MAX, JINJA_STEPS_MAX, 0), 0);
		assert_int_equal(jinja_root(r.heap, root_json, &r.root), 0);
		if (rc == 0)
			rc = jinja_render(t, &r, &out, err, sizeof(err));
		if (rc != 0 || out.len != strlen(e->output) || memcmp(out.s, e->output, out.len) != 0) {
			print_error("%s\n  expected %s\n  got      %.*s%s\n", e->template, e->output, (int)out.len, out.s, err);
			wrong++;
		}
		jinja_heap_free(r.heap);
		jinja_free(t);
	}
	assert_int_equal(wrong, 0);
}

/* A parsed template is rendered as often as wanted, with other values each time. */
static void test_again(void **state)
{
	static const char *const roots[] = { "{\"a\": [1, 2]}", "{\"a\": []}", "{\"a\": [\"x\"]}" };
	static const char *const outputs[] = { "1,2,", "none", "x," };
	static const char text[] = "{% for i in a %}{{ i }},{% else %}none{% endfor %}";
	struct jinja *t = NULL;
	struct jinja_str out;
	char err[256];
	size_t i;

	(void)state;
	assert_int_equal(jinja_parse(&t, text, strlen(text), err, sizeof(err)), 0);
	for (i = 0; i < 3; i++) {
		struct jinja_render r = { 0 };

		assert_int_equal(jinja_heap_new(&r.heap, JINJA_MEMORY_MAX, JINJA_STEPS_MAX, JINJA_BLOCK), 0);
		assert_int_equal(jinja_root(r.heap, roots[i], &r.root), 0);
		assert_int_equal(jinja_render(t, &r, &out, err, sizeof(err)), 0);
		assert_int_equal(out.len, strlen(outputs[i]));
		assert_memory_equal(out.s, outputs[i], out.len);
		jinja_heap_free(r.heap);
	}
	jinja_free(t);
}

/* Values are data: tags in them are text. */
static void test_values_are_not_parsed(void **state)
{
	static const char text[] = "{{ a }}{{ a | upper }}{% set b %}{{ a }}{% endset %}{{ b }}";
	static const char expected[] = "{{ 1 }}{% raw %}{{ 1 }}{% RAW %}{{ 1 }}{% raw %}";
	struct jinja_render r = { 0 };
	struct jinja *t = NULL;
	struct jinja_str out;
	char err[256];

	(void)state;
	assert_int_equal(jinja_parse(&t, text, strlen(text), err, sizeof(err)), 0);
	assert_int_equal(jinja_heap_new(&r.heap, JINJA_MEMORY_MAX, JINJA_STEPS_MAX, JINJA_BLOCK), 0);
	assert_int_equal(jinja_root(r.heap, "{\"a\": \"{{ 1 }}{% raw %}\"}", &r.root), 0);
	assert_int_equal(jinja_render(t, &r, &out, err, sizeof(err)), 0);
	assert_int_equal(out.len, strlen(expected));
	assert_memory_equal(out.s, expected, out.len);
	jinja_heap_free(r.heap);
	jinja_free(t);
}

#define EXAMPLES(group) { "test_" #group, run, NULL, NULL, (void *)(uintptr_t)group }

int main(void)
{
	const struct CMUnitTest tests[] = {
		EXAMPLES(arithmetic),
		EXAMPLES(logic),
		EXAMPLES(access),
		EXAMPLES(printing),
		EXAMPLES(methods),
		EXAMPLES(filters_of_text),
		EXAMPLES(filters_of_sequences),
		EXAMPLES(tojson),
		EXAMPLES(is_tests),
		EXAMPLES(functions),
		EXAMPLES(statements),
		EXAMPLES(whitespace),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_values_are_not_parsed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
