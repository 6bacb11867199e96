/* chat_builtin.c - templates by name.
 *
 * Names and output are those of llama.cpp's --chat-template without --jinja (src/llama-chat.cpp); the texts are
 * ours.  A few of its names are missing: formats of single models that bring a template of their own.
 */
#include <string.h>

#include "engine/chat.h"

#define EACH(text)   "{% for m in messages %}" text "{% endfor %}"
#define ANSWER(text) "{% if add_generation_prompt %}" text "{% endif %}"
#define SYSTEM       "{% if m.role == 'system' %}"
#define USER         "{% elif m.role == 'user' %}"
#define ASSISTANT    "{% elif m.role == 'assistant' %}"
#define OTHER        "{% else %}"
#define END          "{% endif %}"
#define TEXT         "{{ m.content }}"
#define TRIMMED      "{{ m.content | trim }}"
#define ROLE         "{{ m.role }}"

/* What llama2's variants and the first Mistral ones share: a turn is a user's message with what precedes it. */
#define LLAMA2(text, system, again) \
	"{% set ns = namespace(inside=true) %}[INST] " \
	EACH("{% if not ns.inside %}{% set ns.inside = true %}" again "[INST] " END \
	     SYSTEM system USER text " [/INST]" OTHER text "</s>{% set ns.inside = false %}" END)
#define MISTRAL(lead, trail, answer) \
	"{% set ns = namespace(inside=false) %}" \
	EACH("{% if not ns.inside %}{% set ns.inside = true %}" lead "[INST]" trail END \
	     SYSTEM TEXT "\n\n" USER TEXT lead "[/INST]" OTHER trail answer "</s>{% set ns.inside = false %}" END)
#define MISTRAL7(trail) \
	EACH(SYSTEM "[SYSTEM_PROMPT]" trail TEXT "[/SYSTEM_PROMPT]" USER "[INST]" trail TEXT "[/INST]" OTHER \
	     trail TEXT "</s>" END)
#define GRANITE(answer) \
	EACH("<|start_of_role|>" ROLE "<|end_of_role|>" TEXT "<|end_of_text|>\n") ANSWER(answer)

static const struct { const char *name, *text; } builtins[] = {
	{ "bailing", EACH("<role>{{ 'HUMAN' if m.role == 'user' else m.role | upper }}</role>" TEXT)
		     ANSWER("<role>ASSISTANT</role>") },
	{ "bailing-think", EACH("<role>{{ 'HUMAN' if m.role == 'user' else m.role | upper }}</role>" TEXT)
			   ANSWER("<role>ASSISTANT</role><think>") },
	{ "chatglm3", "[gMASK]sop" EACH("<|" ROLE "|>\n " TEXT) ANSWER("<|assistant|>") },
	{ "chatglm4", "[gMASK]<sop>" EACH("<|" ROLE "|>\n" TEXT) ANSWER("<|assistant|>{{ '\\n' }}") },
	{ "chatml", EACH("<|im_start|>" ROLE "\n" TEXT "<|im_end|>\n") ANSWER("<|im_start|>assistant\n") },
	{ "command-r", EACH(SYSTEM "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>" TRIMMED "<|END_OF_TURN_TOKEN|>"
			    USER "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>" TRIMMED "<|END_OF_TURN_TOKEN|>"
			    ASSISTANT "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>" TRIMMED "<|END_OF_TURN_TOKEN|>" END)
		       ANSWER("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>") },
	{ "deepseek", EACH(SYSTEM TEXT USER "### Instruction:\n" TEXT "\n"
			   ASSISTANT "### Response:\n" TEXT "\n<|EOT|>\n" END) ANSWER("### Response:\n") },
	{ "deepseek2", EACH(SYSTEM TEXT "\n\n" USER "User: " TEXT "\n\n"
			    ASSISTANT "Assistant: " TEXT "<｜end▁of▁sentence｜>" END) ANSWER("Assistant:") },
	{ "deepseek3", EACH(SYSTEM TEXT "\n\n" USER "<｜User｜>" TEXT
			    ASSISTANT "<｜Assistant｜>" TEXT "<｜end▁of▁sentence｜>" END) ANSWER("<｜Assistant｜>") },
	{ "exaone3", EACH(SYSTEM "[|system|]" TRIMMED "[|endofturn|]\n" USER "[|user|]" TRIMMED "\n"
			  ASSISTANT "[|assistant|]" TRIMMED "[|endofturn|]\n" END) ANSWER("[|assistant|]") },
	{ "exaone4", EACH(SYSTEM "[|system|]" TRIMMED "[|endofturn|]\n" USER "[|user|]" TRIMMED "\n"
			  ASSISTANT "[|assistant|]" TRIMMED "[|endofturn|]\n"
			  "{% elif m.role == 'tool' %}[|tool|]" TRIMMED "[|endofturn|]\n" END) ANSWER("[|assistant|]") },
	{ "falcon3", EACH("<|" ROLE "|>\n" TEXT "\n") ANSWER("<|assistant|>\n") },
	{ "gemma", "{% set ns = namespace(system='') %}"
		   EACH(SYSTEM "{% set ns.system = ns.system ~ (m.content | trim) %}"
			OTHER "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
			"{% if ns.system and m.role != 'assistant' and m.role != 'model' %}{{ ns.system ~ '\\n\\n' }}"
			"{% set ns.system = '' %}" END TRIMMED "<end_of_turn>\n" END) ANSWER("<start_of_turn>model\n") },
	{ "gigachat", "<s>" EACH("{% if loop.first and m.role == 'system' %}" TEXT "<|message_sep|>"
				 USER "user<|role_sep|>" TEXT "<|message_sep|>available functions<|role_sep|>[]<|message_sep|>"
				 ASSISTANT "assistant<|role_sep|>" TEXT "<|message_sep|>" END) ANSWER("assistant<|role_sep|>") },
	{ "glmedge", EACH("<|" ROLE "|>\n" TEXT) ANSWER("<|assistant|>") },
	{ "gpt-oss", EACH("<|start|>" ROLE "<|message|>" TEXT "{{ '<|return|>' if m.role == 'assistant' else '<|end|>' }}")
		     ANSWER("<|start|>assistant") },
	{ "granite", GRANITE("<|start_of_role|>assistant<|end_of_role|>") },
	{ "granite-4.0", GRANITE("<|start_of_role|>assistant<|end_of_role|>") },
	{ "granite-4.1", GRANITE("<|start_of_role|>assistant<|end_of_role|>") },
	{ "hunyuan-moe", EACH(SYSTEM "<|startoftext|>" TEXT "<|extra_4|>" ASSISTANT TEXT "<|eos|>"
			      OTHER "<|startoftext|>" TEXT "<|extra_0|>" END) },
	{ "kimi-k2", EACH(SYSTEM "<|im_system|>system<|im_middle|>" USER "<|im_user|>user<|im_middle|>"
			  ASSISTANT "<|im_assistant|>assistant<|im_middle|>"
			  "{% elif m.role == 'tool' %}<|im_system|>tool<|im_middle|>" END TEXT "<|im_end|>")
		     ANSWER("<|im_assistant|>assistant<|im_middle|>") },
	{ "llama2", LLAMA2(TEXT, TEXT "\n", "") },
	{ "llama2-sys", LLAMA2(TEXT, "<<SYS>>\n" TEXT "\n<</SYS>>\n\n", "") },
	{ "llama2-sys-bos", LLAMA2(TEXT, "<<SYS>>\n" TEXT "\n<</SYS>>\n\n", "<s>") },
	{ "llama2-sys-strip", LLAMA2(TRIMMED, "<<SYS>>\n" TRIMMED "\n<</SYS>>\n\n", "") },
	{ "llama3", EACH("<|start_header_id|>" ROLE "<|end_header_id|>\n\n" TRIMMED "<|eot_id|>")
		    ANSWER("<|start_header_id|>assistant<|end_header_id|>\n\n") },
	{ "llama4", EACH("<|header_start|>" ROLE "<|header_end|>\n\n" TRIMMED "<|eot|>")
		    ANSWER("<|header_start|>assistant<|header_end|>\n\n") },
	{ "megrez", EACH("<|role_start|>" ROLE "<|role_end|>" TEXT "<|turn_end|>")
		    ANSWER("<|role_start|>assistant<|role_end|>") },
	{ "minicpm", EACH("{% if m.role == 'user' %}<用户>" TRIMMED "<AI>" OTHER TRIMMED END) },
	{ "mistral-v1", MISTRAL(" ", " ", TEXT) },
	{ "mistral-v3", MISTRAL("", " ", TRIMMED) },
	{ "mistral-v3-tekken", MISTRAL("", "", TEXT) },
	{ "mistral-v7", MISTRAL7(" ") },
	{ "mistral-v7-tekken", MISTRAL7("") },
	{ "monarch", EACH("{% if not loop.first %}<s>" END ROLE "\n" TEXT "</s>\n") ANSWER("<s>assistant\n") },
	{ "openchat", EACH(SYSTEM OTHER "GPT4 Correct {{ m.role | capitalize }}: " END TEXT "<|end_of_turn|>")
		      ANSWER("GPT4 Correct Assistant:") },
	{ "orion", "{% set ns = namespace(system='') %}"
		   EACH(SYSTEM "{% set ns.system = ns.system ~ m.content %}"
			USER "Human: {% if ns.system %}{{ ns.system ~ '\\n\\n' }}{% set ns.system = '' %}" END TEXT
			"\n\nAssistant: </s>" OTHER TEXT "</s>" END) },
	{ "phi3", EACH("<|" ROLE "|>\n" TEXT "<|end|>\n") ANSWER("<|assistant|>\n") },
	{ "phi4", EACH("<|im_start|>" ROLE "<|im_sep|>" TEXT "<|im_end|>") ANSWER("<|im_start|>assistant<|im_sep|>") },
	{ "rwkv-world", EACH(SYSTEM "System: " TRIMMED "{{ '\\n\\n' }}"
			     USER "User: " TRIMMED "{{ '\\n\\n' }}{% if loop.last %}Assistant:" END
			     ASSISTANT "Assistant: " TRIMMED "{{ '\\n\\n' }}" END) },
	{ "seed_oss", EACH("<seed:bos>" ROLE "\n{{ m.content | trim if m.role == 'assistant' else m.content }}<seed:eos>")
		      ANSWER("<seed:bos>assistant\n") },
	{ "smolvlm", "<|im_start|>" EACH(SYSTEM TEXT "\n\n" USER "User: " TEXT "<end_of_utterance>\n"
					 OTHER "Assistant: " TEXT "<end_of_utterance>\n" END) ANSWER("Assistant:") },
	{ "solar-open", EACH("<|begin|>" ROLE "<|content|>" TEXT "<|end|>") ANSWER("<|begin|>assistant") },
	{ "vicuna", EACH(SYSTEM TEXT "\n\n" USER "USER: " TEXT "\n" ASSISTANT "ASSISTANT: " TEXT "</s>\n" END)
		    ANSWER("ASSISTANT:") },
	{ "vicuna-orca", EACH(SYSTEM "SYSTEM: " TEXT "\n" USER "USER: " TEXT "\n" ASSISTANT "ASSISTANT: " TEXT "</s>\n" END)
			 ANSWER("ASSISTANT:") },
	{ "yandex", EACH("{% if m.role == 'user' %} Пользователь: " TEXT "\n\n" ASSISTANT " Ассистент: " TEXT "\n\n" END)
		    ANSWER(" Ассистент:[SEP]") },
	{ "zephyr", EACH("<|" ROLE "|>\n" TEXT "<|endoftext|>\n") ANSWER("<|assistant|>\n") }
};

#define N_BUILTINS (sizeof(builtins) / sizeof(builtins[0]))

const char *chat_builtin_name(size_t i)
{
	return i < N_BUILTINS ? builtins[i].name : NULL;
}

const char *chat_builtin_text(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < N_BUILTINS; i++)
		if (strlen(builtins[i].name) == len && memcmp(builtins[i].name, name, len) == 0)
			return builtins[i].text;
	return NULL;
}
