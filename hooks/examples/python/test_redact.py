import unittest

from redact import Redactor


class Redacting(unittest.TestCase):
    def check(self, text: str, expected: str) -> None:
        """Every cut of `text` into two pieces gives `expected`."""
        for at in range(len(text) + 1):
            redactor = Redactor()
            out = redactor.feed(text[:at]) + redactor.feed(text[at:]) + redactor.finish()
            self.assertEqual(out, expected, f"cut at {at}")

    def test_addresses_are_redacted(self) -> None:
        self.check("to ann.b+c@mail.example.org.", "to [email].")
        self.check("<a@b.co>, ü@b.co or a@b.co", "<[email]>, ü@b.co or [email]")
        self.check("-a@b.co-", "-[email]-")

    def test_other_words_stay(self) -> None:
        for text in ["", "1.5 % of ... x@y or @a.b, a@b@c.d", "a@.b -- ü"]:
            self.check(text, text)
        long = "a" * 250 + "@b.co"
        self.check(long, long)


if __name__ == "__main__":
    unittest.main()
