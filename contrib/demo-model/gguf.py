"""Writes and reads the model as GGUF version 3: matrices as Q8_0, norms as F32."""
import struct

import numpy as np

import model
import tokenizer

MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32
TYPE_F32, TYPE_Q8_0 = 0, 8
BLOCK = 32                  # Q8_0: one half-precision scale and 32 signed bytes.
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
FILE_TYPE_MOSTLY_Q8_0 = 7


def pack_string(text):
    raw = text.encode("utf-8")
    return struct.pack("<Q", len(raw)) + raw


def pack_value(kind, value):
    if kind == STRING:
        return pack_string(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


def pack_key(key, kind, value):
    return pack_string(key) + struct.pack("<I", kind) + pack_value(kind, value)


def pack_array(key, kind, values):
    return (pack_string(key) + struct.pack("<IIQ", ARRAY, kind, len(values))
            + b"".join(pack_value(kind, value) for value in values))


def quantise(matrix):
    """Q8_0 blocks of a float32 [rows, columns], columns a multiple of 32: 34 bytes a block."""
    blocks = matrix.reshape(-1, BLOCK).astype(np.float32)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    values = np.rint(blocks * inverse).astype(np.int8)
    return np.concatenate((scale.astype("<f2").view(np.uint8), values.view(np.uint8)), axis=1).tobytes()


def metadata(shape, words):
    """The key-value section, packed, as a list of entries."""
    return [
        pack_key("general.architecture", STRING, "llama"),
        pack_key("general.type", STRING, "model"),
        pack_key("general.name", STRING, "hearth demo"),
        pack_key("general.description", STRING, "A very small teller of very small stories"),
        pack_key("general.license", STRING, "MIT"),
        pack_key("general.file_type", U32, FILE_TYPE_MOSTLY_Q8_0),
        pack_key("general.quantization_version", U32, 2),
        pack_key("general.alignment", U32, ALIGNMENT),
        pack_key("llama.vocab_size", U32, shape.vocab),
        pack_key("llama.context_length", U32, shape.context),
        pack_key("llama.embedding_length", U32, shape.width),
        pack_key("llama.block_count", U32, shape.layers),
        pack_key("llama.feed_forward_length", U32, shape.hidden),
        pack_key("llama.attention.head_count", U32, shape.heads),
        pack_key("llama.attention.head_count_kv", U32, shape.kv_heads),
        pack_key("llama.attention.layer_norm_rms_epsilon", F32, shape.norm_eps),
        pack_key("llama.rope.dimension_count", U32, shape.head_width),
        pack_key("llama.rope.freq_base", F32, shape.rope_base),
        pack_key("tokenizer.ggml.model", STRING, "llama"),
        pack_key("tokenizer.ggml.pre", STRING, "default"),
        pack_array("tokenizer.ggml.tokens", STRING, words.pieces),
        pack_array("tokenizer.ggml.scores", F32, words.scores),
        pack_array("tokenizer.ggml.token_type", I32, words.types()),
        pack_key("tokenizer.ggml.bos_token_id", U32, tokenizer.BOS),
        pack_key("tokenizer.ggml.eos_token_id", U32, tokenizer.EOS),
        pack_key("tokenizer.ggml.unknown_token_id", U32, tokenizer.UNK),
        pack_key("tokenizer.ggml.add_bos_token", BOOL, True),
        pack_key("tokenizer.ggml.add_eos_token", BOOL, False),
        pack_key("tokenizer.ggml.add_space_prefix", BOOL, True),
    ]


def padded(raw):
    return raw + bytes(-len(raw) % ALIGNMENT)


def write(path, shape, words, weights):
    """Writes path from weights: name -> float32 array, of shape.tensors()."""
    infos, data = [], []
    offset = 0
    for name, size in shape.tensors().items():
        matrix = weights[name]
        if matrix.shape != size:
            raise ValueError(f"{name}: {matrix.shape}, not {size}")
        kind = TYPE_Q8_0 if len(size) == 2 else TYPE_F32
        raw = padded(quantise(matrix) if kind == TYPE_Q8_0 else matrix.astype("<f4").tobytes())
        extents = struct.pack(f"<I{len(size)}Q", len(size), *reversed(size))
        infos.append(pack_string(name) + extents + struct.pack("<IQ", kind, offset))
        data.append(raw)
        offset += len(raw)
    entries = metadata(shape, words)
    head = MAGIC + struct.pack("<IQQ", VERSION, len(infos), len(entries)) + b"".join(entries) + b"".join(infos)
    path.write_bytes(padded(head) + b"".join(data))


class Reader:
    """Reads what write() writes; it is no parser for files from elsewhere."""

    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, layout):
        values = struct.unpack_from("<" + layout, self.raw, self.at)
        self.at += struct.calcsize("<" + layout)
        return values if len(values) > 1 else values[0]

    def string(self):
        length = self.take("Q")
        self.at += length
        return self.raw[self.at - length:self.at].decode("utf-8")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            kind, count = self.take("IQ")
            return [self.value(kind) for _ in range(count)]
        return self.take({U32: "I", I32: "i", F32: "f", BOOL: "?"}[kind])


def dequantise(raw, size):
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, BLOCK + 2)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    return (blocks[:, 2:].view(np.int8) * scale).reshape(size)


def read(path):
    """Returns (shape, words, weights) of a file that write() wrote."""
    reader = Reader(path.read_bytes())
    if reader.raw[:4] != MAGIC:
        raise ValueError(f"{path}: no GGUF file")
    reader.at = 4
    _, tensor_count, entry_count = reader.take("IQQ")
    keys = {}
    for _ in range(entry_count):
        key = reader.string()
        keys[key] = reader.value(reader.take("I"))
    infos = []
    for _ in range(tensor_count):
        name = reader.string()
        size = tuple(reader.take("Q") for _ in range(reader.take("I")))[::-1]
        infos.append((name, size, *reader.take("IQ")))
    start = reader.at + -reader.at % ALIGNMENT
    weights = {}
    for name, size, kind, offset in infos:
        count = int(np.prod(size))
        length = count * 4 if kind == TYPE_F32 else count // BLOCK * (BLOCK + 2)
        raw = reader.raw[start + offset:start + offset + length]
        matrix = np.frombuffer(raw, "<f4").reshape(size) if kind == TYPE_F32 else dequantise(raw, size)
        weights[name] = matrix
    shape = model.Shape(
        vocab=keys["llama.vocab_size"], context=keys["llama.context_length"], width=keys["llama.embedding_length"],
        layers=keys["llama.block_count"], heads=keys["llama.attention.head_count"],
        kv_heads=keys["llama.attention.head_count_kv"], hidden=keys["llama.feed_forward_length"],
        norm_eps=keys["llama.attention.layer_norm_rms_epsilon"], rope_base=keys["llama.rope.freq_base"])
    return shape, tokenizer.Tokenizer(keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.scores"]), weights
