#!/usr/bin/python3
"""Makes the demo model from nothing: stories, tokenizer, network, GGUF file.

    nice -n 10 ./make_model.py --work /tmp/hearth-demo --out hearth-demo.gguf

Every stage is a function of --seed.  A run that was stopped goes on from its last checkpoint
in --work.  README.md says what it needs and how long it takes.
"""
import argparse
import math
import pathlib
import struct
import subprocess

import numpy as np

import gguf
import model
import storygen
import tokenizer

HERE = pathlib.Path(__file__).resolve().parent
TOKENIZER_STORIES = 8000
HELD_OUT_STORIES = 400
BATCH = 8                   # Stories a step, as in train.c.
COMPILE = ("cc", "-std=gnu11", "-O3", "-march=native", "-ffast-math", "-Wall", "-Wextra")
SOURCES = ("train.c", "net.c")
LIBRARIES = ("-lopenblas", "-lpthread", "-lm")


def encoded(words, seed, count):
    return [[tokenizer.BOS] + words.encode(text) + [tokenizer.EOS] for text in storygen.stories(seed, count)]


def write_stories(path, stories):
    path.write_bytes(b"".join(struct.pack(f"<H{len(ids)}H", len(ids), *ids) for ids in stories))


def prepare(work, shape, words, held_out, seed, steps):
    """Lays down what train.c reads."""
    sizes = (shape.vocab, shape.width, shape.layers, shape.heads, shape.kv_heads, shape.hidden)
    (work / "shape").write_text(" ".join(map(str, sizes)) + "\n", encoding="ascii")
    model.first_weights(shape, seed).tofile(work / "weights.bin")
    write_stories(work / "held-out.bin", held_out)
    write_stories(work / "train.bin", encoded(words, seed + 2, steps * BATCH))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for stories and checkpoints")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="the GGUF file to write")
    parser.add_argument("--steps", type=int, default=2200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="threads that share the work")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    shape = model.Shape()

    words = tokenizer.train(storygen.stories(args.seed, TOKENIZER_STORIES), shape.vocab)
    held_out = encoded(words, args.seed + 1, HELD_OUT_STORIES)
    lengths = [len(ids) for ids in held_out]
    print(f"tokenizer: {len(words.pieces)} pieces; a story has {sum(lengths) / len(lengths):.0f} tokens, "
          f"the longest {max(lengths)}", flush=True)
    prepare(args.work, shape, words, held_out, args.seed, args.steps)

    program = args.work / "train"
    subprocess.run([*COMPILE, "-o", program, *(HERE / source for source in SOURCES), *LIBRARIES], check=True)
    subprocess.run([program, args.work, str(args.steps), str(args.workers)], check=True)
    weights = model.split_weights(shape, np.fromfile(args.work / "weights.bin", "<f4"))
    loss = model.loss(shape, weights, held_out)
    print(f"held-out loss {loss:.4f} nats a token, perplexity {math.exp(loss):.3f}")
    gguf.write(args.out, shape, words, weights)
    print(f"wrote {args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
