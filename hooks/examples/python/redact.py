"""Redacts e-mail addresses in text that arrives in pieces, cut anywhere.

A word (a run of the characters that addresses are made of) is held until it
ends, so any cut gives the same text. Knows nothing of gateways.
"""

from string import ascii_letters, digits

OF_WORD = frozenset(ascii_letters + digits + "._%+-@")

# No address is longer (RFC 5321), so no longer word is held.
WORD_MAX = 254


class Redactor:
    """The state between two pieces."""

    def __init__(self) -> None:
        self.word = ""
        # Inside a word that is too long for an address: it passes.
        self.passing = False

    def feed(self, text: str) -> str:
        """A piece in; what is certain by now out."""
        out = []
        for c in text:
            if c not in OF_WORD:
                out.append(self.finish() + c)
            elif self.passing:
                out.append(c)
            else:
                self.word += c
                if len(self.word) > WORD_MAX:
                    out.append(self.word)
                    self.word, self.passing = "", True
        return "".join(out)

    def finish(self) -> str:
        """The word that was held, which has ended."""
        word, self.word, self.passing = self.word, "", False
        core = word.strip(".-")
        return word.replace(core, "[email]") if is_email(core) else word


def is_email(word: str) -> bool:
    """`local@domain`, with a dot in the domain."""
    local, _, domain = word.partition("@")
    return local != "" and "@" not in domain and "." in domain[1:]
