#!/usr/bin/python3
"""Checks the demo model's file: size, tokenizer, loss on stories it never saw, and its own stories.

    ./check.py [hearth-demo.gguf]

Exit status 0 if every check holds, else 1.
"""
import argparse
import math
import os
import pathlib
import re
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")           # The products are small: threads only wait.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import gguf                                             # NumPy reads the two at its import.
import model
import storygen
import tokenizer

SIZE_LIMIT = 1_500_000
CHECK_SEED = 1_000_000      # Far from the seeds that training uses.
LOSS_STORIES = 200
LOSS_LIMIT = 0.22           # Nats a token.
SAMPLES = 10
TEMPERATURE = 0.7
PROMPT = "Once upon a time"


def letters(text):
    return re.findall(r"[A-Za-z']+", text)


def known_words():
    """Every word that the grammar's texts hold; names built from syllables are not among them."""
    grammar = storygen.Grammar()
    texts = [text for rule in grammar.rules.values() for text in rule]
    texts += [field for table in grammar.tables.values() for row in table for field in row.values()]
    words = {word.lower() for text in texts for word in letters(text)}
    words |= {name.lower() for name in storygen.HE_NAMES + storygen.SHE_NAMES}
    return words | {"he", "she", "him", "his", "her", "an", "my"}


def judge(text, known):
    """(share of known words, whether the hero is still there in the last part)."""
    words = letters(text)
    share = sum(word.lower() in known or word.lower().removesuffix("'s") in known for word in words) / len(words)
    parts = text.split("\n\n")
    heroes = set(re.findall(r"(?:named|called|name was|^In .* lived .*) ([A-Z][a-z]+)", parts[0]))
    heroes |= set(re.findall(r"\b([A-Z][a-z]+) (?:the|was|lived)\b", parts[0]))
    return share, len(parts) > 1 and any(hero in parts[-1] for hero in heroes)


class Checks:
    def __init__(self):
        self.failed = 0

    def expect(self, holds, text):
        print(("ok      " if holds else "NOT OK  ") + text)
        self.failed += not holds


def check_stories(checks, shape, words, weights):
    known = known_words()
    prompt = [tokenizer.BOS] + words.encode(PROMPT)
    ended = kept = 0
    shares = []
    for seed in range(SAMPLES):
        ids = model.sample(shape, weights, prompt, TEMPERATURE, tokenizer.EOS, seed)
        share, hero = judge(words.decode(ids[1:]), known)
        ended += len(ids) < shape.context
        kept += hero
        shares.append(share)
    mean = sum(shares) / SAMPLES
    checks.expect(ended == SAMPLES, f"{ended} of {SAMPLES} stories come to an end")
    checks.expect(kept >= SAMPLES * 0.8, f"{kept} of {SAMPLES} stories end with the hero they began with")
    checks.expect(mean >= 0.97, f"{100 * mean:.1f} % of the words are words of the grammar")
    print("\n" + words.decode(ids[1:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent / "hearth-demo.gguf")
    args = parser.parse_args()
    checks = Checks()
    size = args.file.stat().st_size
    checks.expect(size <= SIZE_LIMIT, f"{size} bytes, at most {SIZE_LIMIT}")
    shape, words, weights = gguf.read(args.file)
    print(f"        {sum(w.size for w in weights.values())} parameters")

    texts = list(storygen.stories(CHECK_SEED, LOSS_STORIES))
    same = sum(words.decode(words.encode(text)) == text for text in texts)
    checks.expect(same == len(texts), f"{same} of {len(texts)} stories survive encoding and decoding")
    odd = "Zo\u00eb & \u732b, 42?\n\n  Xy"
    checks.expect(words.decode(words.encode(odd)) == odd, "so does text the tokenizer has no pieces for")
    held_out = [[tokenizer.BOS] + words.encode(text) + [tokenizer.EOS] for text in texts]
    loss = model.loss(shape, weights, held_out)
    checks.expect(loss <= LOSS_LIMIT, f"held-out loss {loss:.4f} nats a token (perplexity {math.exp(loss):.3f}), "
                                      f"at most {LOSS_LIMIT}")
    check_stories(checks, shape, words, weights)
    sys.exit(1 if checks.failed else 0)


if __name__ == "__main__":
    main()
