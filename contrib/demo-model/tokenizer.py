"""A small SentencePiece-style tokenizer: byte-pair pieces with scores, and bytes for the rest.

It splits text exactly as llama.cpp's "llama" tokenizer does: spaces become U+2581, one is put
before the text, and the two neighbours whose join is the piece with the highest score are
joined (the leftmost on a tie) until no join is a piece.  What is no piece is spelled in bytes.
Training only makes pieces inside a chunk (a word or a run of punctuation, with the space before
it), so that no join can reach over a chunk's edge and chunks can be encoded one by one.
"""
import collections
import re

SPACE = "\u2581"
UNK, BOS, EOS = 0, 1, 2
SPECIALS = ("<unk>", "<s>", "</s>")
FIRST_BYTE = len(SPECIALS)
TYPE_NORMAL, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_BYTE = 1, 2, 3, 6
CHUNK = re.compile(SPACE + r"?[A-Za-z]+|" + SPACE + r"?[^A-Za-z\n" + SPACE + r"]+|" + SPACE + r"|\n")


def chunks_of(text):
    return CHUNK.findall(SPACE + text.replace(" ", SPACE))


class Tokenizer:
    """pieces: the vocabulary in id order; scores: one a piece."""

    def __init__(self, pieces, scores):
        self.pieces, self.scores = pieces, scores
        first = FIRST_BYTE + 256
        self.ids = {piece: first + i for i, piece in enumerate(pieces[first:])}
        self.cache = {}

    def types(self):
        return ([TYPE_UNKNOWN, TYPE_CONTROL, TYPE_CONTROL] + [TYPE_BYTE] * 256
                + [TYPE_NORMAL] * (len(self.pieces) - FIRST_BYTE - 256))

    def encode_chunk(self, chunk):
        parts = list(chunk)
        while True:
            best, best_score = -1, None
            for i in range(len(parts) - 1):
                piece = self.ids.get(parts[i] + parts[i + 1])
                if piece is not None and (best_score is None or self.scores[piece] > best_score):
                    best, best_score = i, self.scores[piece]
            if best < 0:
                break
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        ids = []
        for part in parts:
            if part in self.ids:
                ids.append(self.ids[part])
            else:
                ids.extend(FIRST_BYTE + byte for byte in part.encode("utf-8"))
        return ids

    def encode(self, text):
        """The ids of text, without BOS and EOS."""
        ids = []
        for chunk in chunks_of(text):
            if chunk not in self.cache:
                self.cache[chunk] = self.encode_chunk(chunk)
            ids.extend(self.cache[chunk])
        return ids

    def decode(self, ids):
        raw = b""
        for i in ids:
            if i >= FIRST_BYTE + 256:
                raw += self.pieces[i].encode("utf-8")
            elif i >= FIRST_BYTE:
                raw += bytes([i - FIRST_BYTE])
        return raw.decode("utf-8", "replace").replace(SPACE, " ").removeprefix(" ")


def join_pair(parts, pair):
    out, i = [], 0
    while i < len(parts):
        if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
            out.append(parts[i] + parts[i + 1])
            i += 2
        else:
            out.append(parts[i])
            i += 1
    return out


def train(texts, vocab_size):
    """Byte-pair training: the most frequent pair becomes a piece, until the vocabulary is full.

    A piece's score is minus its rank; single characters rank after all joins.
    """
    counts = collections.Counter(chunk for text in texts for chunk in chunks_of(text) if chunk != "\n")
    alphabet = sorted(set("".join(counts)))
    words = [(list(chunk), count) for chunk, count in sorted(counts.items())]
    joins = []
    while FIRST_BYTE + 256 + len(alphabet) + len(joins) < vocab_size:
        pairs = collections.Counter()
        for parts, count in words:
            for pair in zip(parts, parts[1:]):
                pairs[pair] += count
        pair = max(pairs, key=lambda p: (pairs[p], p))
        joins.append("".join(pair))
        words = [(join_pair(parts, pair) if joins[-1] in "".join(parts) else parts, count)
                 for parts, count in words]
    pieces = list(SPECIALS) + [f"<0x{byte:02X}>" for byte in range(256)] + joins + alphabet
    scores = [0.0] * (FIRST_BYTE + 256) + [-float(rank) for rank in range(len(joins) + len(alphabet))]
    return Tokenizer(pieces, scores)
