/* test_chat.c - conversations to prompts: built-in templates, what is done to messages, and the templates of real
 * models against what llama.cpp rendered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/chat.h"

#define SHARED   "../shared/templates/"
#define TEMPLATE_MAX 65536
#define MESSAGES 8

/* A day that is written into the golden texts in whatever form a template has for it. */
static const struct tm golden_day = { .tm_year = 126, .tm_mon = 10, .tm_mday = 20, .tm_wday = 5, .tm_yday = 323 };

static struct chat_message message(const char *role, const char *content)
{
	return (struct chat_message){ role, content, strlen(content) };
}

/* The prompt of messages as an owned text; fails the test when there is none. */
static char *apply(const struct chat *c, const struct chat_message *m, size_t n, bool generate)
{
	const struct chat_prompt p = { .messages = m, .n = n, .bos = "<s>", .eos = "</s>", .strip_bos = true,
				       .generate = generate, .now = &golden_day };
	char err[256] = "", *out = NULL;
	size_t len;

	if (chat_apply(c, &p, &out, &len, err, sizeof(err)) != 0)
		fail_msg("%s", err);
	assert_int_equal(strlen(out), len);
	return out;
}

static struct chat *open_text(const char *text)
{
	struct chat *c = NULL;
	char err[256] = "";

	if (chat_open(&c, text, strlen(text), err, sizeof(err)) != 0)
		fail_msg("%s", err);
	return c;
}

/* ---- built-in templates --------------------------------------------------------------------------- */

/* What llama.cpp 0.7.0 renders for: system " Sys\n", user " Hi \n", assistant " Yo  ", user "B ". */
static const struct { const char *name, *prompt; } builtins[] = {
	{ "chatml", "<|im_start|>system\n Sys\n<|im_end|>\n<|im_start|>user\n Hi \n<|im_end|>\n<|im_start|>assistant\n"
		    " Yo  <|im_end|>\n<|im_start|>user\nB <|im_end|>\n<|im_start|>assistant\n" },
	{ "llama2", "[INST]  Sys\n\n Hi \n [/INST] Yo  </s>[INST] B  [/INST]" },
	{ "llama2-sys", "[INST] <<SYS>>\n Sys\n\n<</SYS>>\n\n Hi \n [/INST] Yo  </s>[INST] B  [/INST]" },
	{ "llama2-sys-bos", "[INST] <<SYS>>\n Sys\n\n<</SYS>>\n\n Hi \n [/INST] Yo  </s><s>[INST] B  [/INST]" },
	{ "llama2-sys-strip", "[INST] <<SYS>>\nSys\n<</SYS>>\n\nHi [/INST]Yo</s>[INST] B [/INST]" },
	{ "llama3", "<|start_header_id|>system<|end_header_id|>\n\nSys<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
		    "Hi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nYo<|eot_id|><|start_header_id|>user"
		    "<|end_header_id|>\n\nB<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n" },
	{ "llama4", "<|header_start|>system<|header_end|>\n\nSys<|eot|><|header_start|>user<|header_end|>\n\nHi<|eot|>"
		    "<|header_start|>assistant<|header_end|>\n\nYo<|eot|><|header_start|>user<|header_end|>\n\nB<|eot|>"
		    "<|header_start|>assistant<|header_end|>\n\n" },
	{ "gemma", "<start_of_turn>user\nSys\n\nHi<end_of_turn>\n<start_of_turn>model\nYo<end_of_turn>\n<start_of_turn>user\n"
		   "B<end_of_turn>\n<start_of_turn>model\n" },
	{ "mistral-v1", " [INST]  Sys\n\n\n Hi \n [/INST]  Yo  </s> [INST] B  [/INST]" },
	{ "mistral-v3", "[INST]  Sys\n\n\n Hi \n[/INST] Yo</s>[INST] B [/INST]" },
	{ "mistral-v3-tekken", "[INST] Sys\n\n\n Hi \n[/INST] Yo  </s>[INST]B [/INST]" },
	{ "mistral-v7", "[SYSTEM_PROMPT]  Sys\n[/SYSTEM_PROMPT][INST]  Hi \n[/INST]  Yo  </s>[INST] B [/INST]" },
	{ "mistral-v7-tekken", "[SYSTEM_PROMPT] Sys\n[/SYSTEM_PROMPT][INST] Hi \n[/INST] Yo  </s>[INST]B [/INST]" },
	{ "phi3", "<|system|>\n Sys\n<|end|>\n<|user|>\n Hi \n<|end|>\n<|assistant|>\n Yo  <|end|>\n<|user|>\nB <|end|>\n"
		  "<|assistant|>\n" },
	{ "phi4", "<|im_start|>system<|im_sep|> Sys\n<|im_end|><|im_start|>user<|im_sep|> Hi \n<|im_end|><|im_start|>assistant"
		  "<|im_sep|> Yo  <|im_end|><|im_start|>user<|im_sep|>B <|im_end|><|im_start|>assistant<|im_sep|>" },
	{ "deepseek", " Sys\n### Instruction:\n Hi \n\n### Response:\n Yo  \n<|EOT|>\n### Instruction:\nB \n### Response:\n" },
	{ "deepseek2", " Sys\n\n\nUser:  Hi \n\n\nAssistant:  Yo  <｜end▁of▁sentence｜>User: B \n\nAssistant:" },
	{ "deepseek3", " Sys\n\n\n<｜User｜> Hi \n<｜Assistant｜> Yo  <｜end▁of▁sentence｜><｜User｜>B <｜Assistant｜>" },
	{ "gpt-oss", "<|start|>system<|message|> Sys\n<|end|><|start|>user<|message|> Hi \n<|end|><|start|>assistant<|message|> Yo  "
		     "<|return|><|start|>user<|message|>B <|end|><|start|>assistant" },
	{ "granite", "<|start_of_role|>system<|end_of_role|> Sys\n<|end_of_text|>\n<|start_of_role|>user<|end_of_role|> Hi \n"
		     "<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|> Yo  <|end_of_text|>\n<|start_of_role|>user"
		     "<|end_of_role|>B <|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>" },
	{ "command-r", "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>Sys<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>Hi"
		       "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>Yo<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|>"
		       "<|USER_TOKEN|>B<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>" },
	{ "vicuna-orca", "SYSTEM:  Sys\n\nUSER:  Hi \n\nASSISTANT:  Yo  </s>\nUSER: B \nASSISTANT:" },
	{ "openchat", " Sys\n<|end_of_turn|>GPT4 Correct User:  Hi \n<|end_of_turn|>GPT4 Correct Assistant:  Yo  <|end_of_turn|>"
		      "GPT4 Correct User: B <|end_of_turn|>GPT4 Correct Assistant:" },
	{ "zephyr", "<|system|>\n Sys\n<|endoftext|>\n<|user|>\n Hi \n<|endoftext|>\n<|assistant|>\n Yo  <|endoftext|>\n<|user|>\n"
		    "B <|endoftext|>\n<|assistant|>\n" },
	{ "chatglm4", "[gMASK]<sop><|system|>\n Sys\n<|user|>\n Hi \n<|assistant|>\n Yo  <|user|>\nB <|assistant|>\n" },
	{ "exaone4", "[|system|]Sys[|endofturn|]\n[|user|]Hi\n[|assistant|]Yo[|endofturn|]\n[|user|]B\n[|assistant|]" },
	{ "kimi-k2", "<|im_system|>system<|im_middle|> Sys\n<|im_end|><|im_user|>user<|im_middle|> Hi \n<|im_end|><|im_assistant|>"
		     "assistant<|im_middle|> Yo  <|im_end|><|im_user|>user<|im_middle|>B <|im_end|><|im_assistant|>assistant<|im_middle|>" },
	{ "rwkv-world", "System: Sys\n\nUser: Hi\n\nAssistant: Yo\n\nUser: B\n\nAssistant:" },
};

static void test_builtins(void **state)
{
	const struct chat_message m[] = { message("system", " Sys\n"), message("user", " Hi \n"), message("assistant", " Yo  "),
					  message("user", "B ") };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++) {
		struct chat *c = open_text(builtins[i].name);
		char *prompt = apply(c, m, 4, true);

		assert_string_equal(prompt, builtins[i].prompt);
		free(prompt);
		chat_free(c);
	}
}

/* Every built-in template can be parsed, and without a generation prompt ends with the last message. */
static void test_all_builtins(void **state)
{
	const struct chat_message m[] = { message("user", "QUESTION"), message("assistant", "ANSWER") };
	const char *name;
	size_t i;

	(void)state;
	for (i = 0; (name = chat_builtin_name(i)) != NULL; i++) {
		struct chat *c = open_text(name);
		char *prompt = apply(c, m, 2, false);

		assert_non_null(strstr(prompt, "QUESTION"));
		assert_non_null(strstr(strstr(prompt, "QUESTION"), "ANSWER"));
		free(prompt);
		chat_free(c);
	}
	assert_true(i >= 40);
	assert_null(chat_builtin_text("chatm", 5));
	assert_null(chat_builtin_text("chatmlx", 7));
}

/* ---- what is done to messages --------------------------------------------------------------------- */

static void expect(const char *template, const struct chat_message *m, size_t n, const char *prompt)
{
	struct chat *c = open_text(template);
	char *out = apply(c, m, n, true);

	assert_string_equal(out, prompt);
	free(out);
	chat_free(c);
}

static const char plain[] = "{{ bos_token }}{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}";

static void test_system_is_folded(void **state)
{
	static const char refuses[] =
		"{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
		"{% for m in messages %}[{{ m.role }}:{{ m.content }}]{% endfor %}";
	const struct chat_message m[] = { message("system", "S"), message("user", "U"), message("assistant", "A"),
					  message("user", "V") };

	(void)state;
	expect(plain, m, 4, "[system:S][user:U][assistant:A][user:V]");
	expect(refuses, m, 4, "[user:S\nU][assistant:A][user:V]");
	expect(refuses, m + 1, 3, "[user:U][assistant:A][user:V]");
}

static void test_developer_is_system(void **state)
{
	const struct chat_message m[] = { message("developer", "D"), message("user", "U") };

	(void)state;
	expect(plain, m, 2, "[system:D][user:U]");
	expect("{# <|channel|> #}{{ messages[0].role }}", m, 2, "developer");
}

static void test_trimmed(void **state)
{
	static const char stepfun[] = "{# You have access to the following functions in JSONSchema format #}"
				      "{% for m in messages %}[{{ m.content }}]{% endfor %}";
	const struct chat_message m[] = { message("user", " \n a b\t"), message("assistant", ""), message("user", "  ") };

	(void)state;
	expect(stepfun, m, 3, "[a b][][]");
	expect("{% for m in messages %}[{{ m.content }}]{% endfor %}", m, 3, "[ \n a b\t][][  ]");
}

static void test_parts(void **state)
{
	static const char parts[] =
		"{% for m in messages %}{% for p in m.content %}{{ p.type + '=' + p['text'] }}{% endfor %}{{ m.content[0]['text'] + ';' }}"
		"{% endfor %}";
	static const char ministral[] = "{# [SYSTEM_PROMPT] [TOOL_CALLS] [ARGS] #}"
		"{% for m in messages %}{{ m.role }}{{ m.content is string }};{% endfor %}";
	const struct chat_message m[] = { message("system", "S"), message("user", "U"), message("assistant", "A") };
	struct chat *c = open_text(parts);

	(void)state;
	assert_true(chat_takes_parts(c));
	chat_free(c);
	expect(parts, m + 1, 1, "text=UU;");
	expect(ministral, m, 3, "systemFalse;userTrue;assistantFalse;");
}

static void test_thinking(void **state)
{
	static const struct { const char *template; bool thinks; } cases[] = {
		{ plain, false },
		{ "{{ messages[0].content }}<a>{% if not enable_thinking %}<think>\n\n</think>\n{% endif %}", true },
		{ "{{ messages[0].content }}<a>{% if enable_thinking %}<think>\n{% endif %}", true },
		{ "{{ messages[0].content }}<a>{{ '<think>' if enable_thinking else '</think>' }}", true },
		{ "{{ 'on' if enable_thinking else 'off' }}{{ messages[0].content }}<b><a>", false },
		{ "{% for m in messages %}{{ m.content }}{{ m.reasoning_content }}{% endfor %}", true },
		{ "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}{# content.split('</think>') #}", true },
	};
	const struct chat_message m = message("user", "U");
	struct chat_prompt p = { .messages = &m, .n = 1 };
	char err[256], *out;
	struct chat *c;
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		c = open_text(cases[i].template);
		if (chat_thinks(c) != cases[i].thinks)
			print_error("%s\n", cases[i].template);
		assert_int_equal(chat_thinks(c), cases[i].thinks);
		chat_free(c);
	}
	c = open_text("{{ enable_thinking }}");
	for (i = 0; i < 3; i++) {
		p.thinking = i == 0 ? CHAT_THINKING_AUTO : i == 1 ? CHAT_THINKING_ON : CHAT_THINKING_OFF;
		assert_int_equal(chat_apply(c, &p, &out, &len, err, sizeof(err)), 0);
		assert_string_equal(out, i == 1 ? "True" : "False");
		free(out);
	}
	chat_free(c);
}

static void test_ends(void **state)
{
	static const char text[] = "{{ bos_token }}{{ bos_token }}a{{ date_string }}{{ eos_token }}{{ add_generation_prompt is defined }}"
				   "{{ eos_token }}";
	struct chat_prompt p = { .bos = "<s>", .eos = "</s>", .now = &golden_day };
	struct chat *c = open_text(text);
	char err[256], *out;
	size_t len;

	(void)state;
	assert_int_equal(chat_apply(c, &p, &out, &len, err, sizeof(err)), 0);
	assert_string_equal(out, "<s><s>a20 Nov 2026</s>False</s>");
	free(out);
	p.strip_bos = p.strip_eos = p.generate = true;
	p.now = NULL;
	assert_int_equal(chat_apply(c, &p, &out, &len, err, sizeof(err)), 0);
	assert_string_equal(out, "<s>a</s>True");
	free(out);
	p.bos = p.eos = NULL;
	assert_int_equal(chat_apply(c, &p, &out, &len, err, sizeof(err)), 0);
	assert_string_equal(out, "aTrue");
	free(out);
	chat_free(c);
}

/* Content may be anything: tags, zero bytes, no UTF-8. */
static void test_hostile_content(void **state)
{
	static const char content[] = "{{ bos_token }}{% endfor %}\0\xff{# ";
	struct chat_message m = { "user", content, sizeof(content) - 1 };
	const struct chat_prompt p = { .messages = &m, .n = 1, .bos = "<s>" };
	char role[100], err[256], *out;
	struct chat *c = open_text(plain);
	size_t len;

	(void)state;
	assert_int_equal(chat_apply(c, &p, &out, &len, err, sizeof(err)), 0);
	assert_int_equal(len, 3 + 6 + sizeof(content) - 1 + 1);
	assert_memory_equal(out + 9, content, sizeof(content) - 1);
	free(out);
	memset(role, 'r', sizeof(role) - 1);
	role[sizeof(role) - 1] = '\0';
	m.role = role;
	assert_int_equal(chat_apply(c, &p, &out, &len, err, sizeof(err)), -EINVAL);
	assert_string_equal(err, "a message whose role is too long");
	chat_free(c);
}

static void test_errors(void **state)
{
	const struct chat_message m = message("user", "U");
	const struct chat_prompt p = { .messages = &m, .n = 1 };
	struct chat *c = NULL;
	char err[256], *out = NULL;
	size_t len;

	(void)state;
	assert_int_equal(chat_open(&c, "{% if %}", 8, err, sizeof(err)), -EINVAL);
	assert_string_equal(err, "line 1: expected an expression, found '%}'");
	assert_null(c);
	c = open_text("{{ raise_exception('Roles must alternate') }}");
	assert_int_equal(chat_apply(c, &p, &out, &len, err, sizeof(err)), -ECANCELED);
	assert_string_equal(err, "Roles must alternate");
	assert_null(out);
	chat_free(c);
}

/* ---- real templates ------------------------------------------------------------------------------- */

static char *read_template(const char *name, size_t *len)
{
	char path[512], *text = malloc(TEMPLATE_MAX);
	FILE *f;

	snprintf(path, sizeof(path), SHARED "%s", name);
	f = fopen(path, "rb");
	assert_non_null(text);
	if (f == NULL) {
		free(text);
		return NULL;
	}
	*len = fread(text, 1, TEMPLATE_MAX, f);
	fclose(f);
	return text;
}

static size_t read_messages(const json_t *conversation, struct chat_message *m)
{
	const json_t *list = json_object_get(conversation, "messages"), *e;
	size_t i, n = json_array_size(list);

	assert_in_range(n, 1, MESSAGES);
	for (i = 0; i < n; i++) {
		e = json_array_get(list, i);
		m[i] = message(json_string_value(json_object_get(e, "role")), json_string_value(json_object_get(e, "content")));
	}
	return n;
}

/* One template over all conversations; 0 when each prompt is the golden one. */
static int compare(const char *name, const json_t *conversations, const json_t *results)
{
	struct chat_message m[MESSAGES];
	size_t i, n, len = 0;
	char *text = read_template(name, &len), *prompt, err[256] = "";
	struct chat *c = NULL;
	int wrong = 0;

	assert_non_null(text);
	if (chat_open(&c, text, len, err, sizeof(err)) != 0)
		fail_msg("%s: %s", name, err);
	for (i = 0; i < json_array_size(conversations); i++) {
		const char *golden = json_string_value(json_object_get(json_array_get(results, i), "prompt"));

		n = read_messages(json_array_get(conversations, i), m);
		prompt = apply(c, m, n, true);
		if (golden == NULL || strcmp(prompt, golden) != 0) {
			print_error("%s, conversation %zu:\n%s\n", name, i, prompt);
			wrong++;
		}
		free(prompt);
	}
	chat_free(c);
	free(text);
	return wrong;
}

static void test_real_templates(void **state)
{
	json_t *golden = json_load_file(SHARED "rendered.json", 0, NULL), *results;
	const char *name;
	size_t n = 0;
	int wrong = 0;

	(void)state;
	if (golden == NULL) {
		print_message(SHARED "rendered.json is not there\n");
		skip();
	}
	json_object_foreach(json_object_get(golden, "results"), name, results) {
		wrong += compare(name, json_object_get(golden, "conversations"), results);
		n++;
	}
	json_decref(golden);
	assert_int_equal(wrong, 0);
	assert_true(n >= 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_builtins), cmocka_unit_test(test_all_builtins), cmocka_unit_test(test_system_is_folded),
		cmocka_unit_test(test_developer_is_system), cmocka_unit_test(test_trimmed), cmocka_unit_test(test_parts), cmocka_unit_test(test_thinking),
		cmocka_unit_test(test_ends), cmocka_unit_test(test_hostile_content), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_real_templates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
