"""The network in NumPy: its shape, its first weights, and how it reads and writes a story.

A small llama: RMSNorm before attention and before the feed-forward part, rotary positions on
adjacent pairs, grouped key/value heads, a gated SiLU feed-forward part, and the embedding used
again as output.  Names are those of GGUF.  train.c has the same network with its way back.
"""
import dataclasses
import math

import numpy as np


@dataclasses.dataclass
class Shape:
    vocab: int = 1024
    context: int = 512
    width: int = 128
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 384
    norm_eps: float = 1e-5
    rope_base: float = 10000.0

    @property
    def head_width(self):
        return self.width // self.heads

    def tensors(self):
        """name -> (outputs, inputs), or (width,) of a norm, in the order of train.c's array of weights."""
        kv_width = self.kv_heads * self.head_width
        sizes = {"token_embd.weight": (self.vocab, self.width)}
        for i in range(self.layers):
            layer = f"blk.{i}."
            sizes[layer + "attn_norm.weight"] = (self.width,)
            sizes[layer + "attn_q.weight"] = (self.width, self.width)
            sizes[layer + "attn_k.weight"] = (kv_width, self.width)
            sizes[layer + "attn_v.weight"] = (kv_width, self.width)
            sizes[layer + "attn_output.weight"] = (self.width, self.width)
            sizes[layer + "ffn_norm.weight"] = (self.width,)
            sizes[layer + "ffn_gate.weight"] = (self.hidden, self.width)
            sizes[layer + "ffn_up.weight"] = (self.hidden, self.width)
            sizes[layer + "ffn_down.weight"] = (self.width, self.hidden)
        sizes["output_norm.weight"] = (self.width,)
        return sizes


def first_weights(shape, seed):
    """Normal weights scaled by fan-in; matrices that write to the residual start smaller. One flat array."""
    rng = np.random.default_rng(seed)
    parts = []
    for name, size in shape.tensors().items():
        if len(size) == 1:
            parts.append(np.ones(size))
            continue
        scale = 0.02 if name == "token_embd.weight" else 1 / math.sqrt(size[1])
        if "attn_output" in name or "ffn_down" in name:
            scale /= math.sqrt(2 * shape.layers)
        parts.append(rng.standard_normal(size).ravel() * scale)
    return np.concatenate(parts).astype("<f4")


def split_weights(shape, flat):
    """name -> matrix of train.c's flat array."""
    weights, at = {}, 0
    for name, size in shape.tensors().items():
        count = math.prod(size)
        weights[name] = flat[at:at + count].reshape(size)
        at += count
    if at != flat.size:
        raise ValueError(f"{flat.size} weights, not {at}")
    return weights


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def silu(x):
    return x / (1 + np.exp(-x))


class Session:
    """One text in the making: feed() takes the next tokens and gives the logits after each."""

    def __init__(self, shape, weights):
        self.shape, self.weights, self.length = shape, weights, 0
        size = (shape.kv_heads, shape.context, shape.head_width)
        self.keys = np.zeros((shape.layers, *size), np.float32)
        self.values = np.zeros((shape.layers, *size), np.float32)
        half = shape.head_width // 2
        angles = np.arange(shape.context)[:, None] * shape.rope_base ** (-np.arange(half) / half)
        self.cos, self.sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)

    def heads(self, x, count):
        return x.reshape(len(x), count, self.shape.head_width).transpose(1, 0, 2)

    def rope(self, x):
        """Rotates the pairs (0,1), (2,3), ... of x [heads, tokens, head_width] by their positions."""
        here = slice(self.length, self.length + x.shape[1])
        out = np.empty_like(x)
        out[..., 0::2] = x[..., 0::2] * self.cos[here] - x[..., 1::2] * self.sin[here]
        out[..., 1::2] = x[..., 0::2] * self.sin[here] + x[..., 1::2] * self.cos[here]
        return out

    def attention(self, layer, h):
        shape, end, weights = self.shape, self.length + len(h), self.weights
        name = f"blk.{layer}.attn_"
        q = self.rope(self.heads(h @ weights[name + "q.weight"].T, shape.heads))
        k = self.rope(self.heads(h @ weights[name + "k.weight"].T, shape.kv_heads))
        self.keys[layer, :, self.length:end] = k
        self.values[layer, :, self.length:end] = self.heads(h @ weights[name + "v.weight"].T, shape.kv_heads)
        share = shape.heads // shape.kv_heads
        keys = self.keys[layer, :, :end].repeat(share, 0)
        values = self.values[layer, :, :end].repeat(share, 0)
        scores = q @ keys.transpose(0, 2, 1) / math.sqrt(shape.head_width)
        scores += np.triu(np.full((len(h), end), -np.inf, np.float32), self.length + 1)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ values
        return mixed.transpose(1, 0, 2).reshape(len(h), shape.width) @ weights[name + "output.weight"].T

    def feed(self, ids):
        """Logits [len(ids), vocab]."""
        weights, eps = self.weights, self.shape.norm_eps
        x = weights["token_embd.weight"][ids]
        for i in range(self.shape.layers):
            name = f"blk.{i}."
            x = x + self.attention(i, rms_norm(x, weights[name + "attn_norm.weight"], eps))
            h = rms_norm(x, weights[name + "ffn_norm.weight"], eps)
            gate, up = h @ weights[name + "ffn_gate.weight"].T, h @ weights[name + "ffn_up.weight"].T
            x = x + (silu(gate) * up) @ weights[name + "ffn_down.weight"].T
        self.length += len(ids)
        return rms_norm(x, weights["output_norm.weight"], eps) @ weights["token_embd.weight"].T


def loss(shape, weights, stories):
    """Mean loss a token, in nats, over stories (lists of ids), each from its own beginning."""
    total = count = 0
    for ids in stories:
        logits = Session(shape, weights).feed(ids[:-1]).astype(np.float64)
        top = logits.max(-1, keepdims=True)
        log_sum = np.log(np.exp(logits - top).sum(-1)) + top[:, 0]
        total += (log_sum - logits[np.arange(len(ids) - 1), ids[1:]]).sum()
        count += len(ids) - 1
    return total / count


def sample(shape, weights, ids, temperature, stop, seed):
    """Continues ids up to the token stop or the end of the context; temperature 0 is greedy."""
    session, rng = Session(shape, weights), np.random.default_rng(seed)
    ids, fed = list(ids), 0
    while len(ids) < shape.context:
        logits = session.feed(ids[fed:])[-1].astype(np.float64)
        fed = len(ids)
        if temperature > 0:
            p = np.exp((logits - logits.max()) / temperature)
            chosen = int(rng.choice(len(p), p=p / p.sum()))
        else:
            chosen = int(logits.argmax())
        if chosen == stop:
            break
        ids.append(chosen)
    return ids
