#!/usr/bin/python3
"""Expands the story grammar in grammar/ into short stories.

The notation is explained at the head of grammar/shared.txt.  A story is a function of
its seed alone:  storygen.py --seed 7 --count 3
"""
import argparse
import pathlib
import random
import re

GRAMMAR_DIR = pathlib.Path(__file__).resolve().parent / "grammar"
GRAMMAR_FILES = ("shared.txt", "outdoors.txt", "home.txt")

HE_NAMES = ("Tom Pip Otto Finn Hugo Oscar Ben Max Leo Sam Theo Bruno Jasper Milo Felix Emil Noah "
            "Oliver Henry Barnaby Toby Rufus Anton Jonas Walter Peter Jack Arlo Caspar Moritz").split()
SHE_NAMES = ("Mira Lila Nell Rosa Tilly Ada Ivy Clara Daisy Hanna Luna Poppy Ruby Emma Greta Maya "
             "Olive Anna Ella Marta Frida Nora Alice Lucy Sophie Wilma Zoe Lotte Hazel Tess").split()
SYLLABLE_START = "B D F G H J K L M N P R S T V W Z Br Fl Gr Tr St".split()
SYLLABLE_VOWEL = "a e i o u".split()
SYLLABLE_NEXT = "b d k l m n r s t v z ll nn rr".split()
SYLLABLE_END = {"he": ["o", "us", "in", "ik", "as", "er"], "she": ["a", "ia", "elle", "ina", "y"]}
MADE_UP_NAMES = 0.15    # Share of names built from syllables: they teach the model to copy any name.

OLD_ADJECTIVES = ("old", "wise", "wise old", "very old")
PRONOUNS = {"he": ("he", "him", "his", "himself"), "she": ("she", "her", "her", "herself")}
FIXED_PRONOUN = {"girl": "she", "boy": "he"}


class Grammar:
    """rules: name -> list of texts; tables: name -> list of rows (dicts); binds: plot -> {slot: table}."""

    def __init__(self):
        self.rules, self.tables, self.binds = {}, {}, {}
        for name in GRAMMAR_FILES:
            self._read((GRAMMAR_DIR / name).read_text(encoding="ascii"), name)
        self.plots = sorted(self.binds)

    def _read(self, text, name):
        target = fields = None
        for number, line in enumerate(text.splitlines(), 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("table "):
                head, names = line[len("table "):].split(":")
                fields = names.split()
                target = self.tables[head] = []
            elif re.fullmatch(r"\[[\w.]+\]", line):
                rule, fields = line[1:-1], None
                target = self.rules[rule] = []
            elif re.match("with [A-Z]=", line):
                self.binds[rule] = dict(pair.split("=") for pair in line[len("with "):].split())
            elif fields is not None:
                row = [cell.strip() for cell in line.split(" ; ")]
                if len(row) != len(fields):
                    raise ValueError(f"{name}:{number}: {len(row)} fields, not {len(fields)}")
                target.append(dict(zip(fields, row)))
            else:
                target.append(line)

    def names_one_of(self, row, taken):
        """Whether the row brings in an animal that is already in the story."""
        return any(row.get(field) in taken for field in ("noun", "who"))


def made_up_name(rng, pronoun):
    return (rng.choice(SYLLABLE_START) + rng.choice(SYLLABLE_VOWEL) + rng.choice(SYLLABLE_NEXT)
            + rng.choice(SYLLABLE_END[pronoun]))


class Story:
    """One story: the bound rows and characters, and the expansion of rules over them."""

    def __init__(self, grammar, rng):
        self.grammar, self.rng = grammar, rng
        self.slots, self.taken = {}, set()

    def bind_character(self, slot, table, adjectives):
        kinds = [row["noun"] for row in self.grammar.tables[table] if row["noun"] not in self.taken]
        kind = self.rng.choice(kinds)
        pronoun = FIXED_PRONOUN.get(kind) or self.rng.choice(("he", "she"))
        he, him, his, himself = PRONOUNS[pronoun]
        if self.rng.random() < MADE_UP_NAMES:
            name = made_up_name(self.rng, pronoun)
        else:
            name = self.rng.choice(HE_NAMES if pronoun == "he" else SHE_NAMES)
        if name in self.taken:
            return self.bind_character(slot, table, adjectives)
        self.taken.update((kind, name))
        self.slots[slot] = {"": name, "name": name, "kind": kind, "adj": self.rng.choice(adjectives),
                            "he": he, "him": him, "his": his, "himself": himself,
                            "He": he.capitalize(), "His": his.capitalize()}
        return None

    def bind_row(self, slot, table):
        rows = [row for row in self.grammar.tables[table]
                if not self.grammar.names_one_of(row, self.taken) and row not in self.slots.values()]
        row = self.rng.choice(rows)
        self.taken.update(row[field] for field in ("noun", "who") if field in row)
        self.slots[slot] = row

    def field(self, match):
        slot, _, rest = match.group(1).partition(".")
        name, _, change = rest.partition(".")
        row = self.slots[slot]
        text = row[name] if name or "" in row else row["noun"]
        if change:
            text = self.expand(text)
        if change == "cap":
            text = text[0].upper() + text[1:]
        elif change == "me":
            text = re.sub(r"\b(his|her)\b", "my", text)
        return text

    def expand(self, text):
        """Innermost choices first, then rules and fields, until nothing is left to replace."""
        while True:
            before = text
            text = re.sub(r"\(([^()]*)\)", lambda m: self.rng.choice(m.group(1).split("|")), text, count=1)
            if text == before:
                text = re.sub(r"<([\w.]+)>", lambda m: self.rng.choice(self.grammar.rules[m.group(1)]),
                              text, count=1)
            if text == before:
                text = re.sub(r"\{([\w.]+)\}", self.field, text, count=1)
            if text == before:
                return text

    def tell(self, plot):
        self.bind_character("H", "kind", self.grammar.rules["adj"])
        self.bind_character("F", "kind", self.grammar.rules["adj"])
        self.bind_character("W", "old", OLD_ADJECTIVES)
        for slot, table in self.grammar.binds[plot].items():
            self.bind_row(slot, table)
        return polish(self.expand(self.rng.choice(self.grammar.rules[plot])))


def polish(text):
    """Articles, capitals, spaces and paragraphs."""
    text = re.sub(r"\b([Aa]) (?=[aeiou]|hour|honest)", r"\1n ", text)
    text = re.sub(r" +", " ", text)
    text = re.sub(r"([.!?] |^|// )([a-z])", lambda m: m.group(1) + m.group(2).upper(), text)
    return "\n\n".join(part.strip() for part in text.split("//")).strip()


def stories(seed, count, grammar=None):
    """Yields count stories; the same seed gives the same stories."""
    grammar = grammar or Grammar()
    rng = random.Random(seed)
    for _ in range(count):
        yield Story(grammar, rng).tell(rng.choice(grammar.plots))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--plot", help="only this plot, such as lost or quest")
    args = parser.parse_args()
    grammar = Grammar()
    if args.plot:
        grammar.plots = ["plot." + args.plot]
    print("\n\n----\n\n".join(stories(args.seed, args.count, grammar)))


if __name__ == "__main__":
    main()
