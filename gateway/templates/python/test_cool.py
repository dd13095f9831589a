import unittest

from cool import cooled


class Cooled(unittest.TestCase):
    def test_only_what_is_too_hot_is_cooled(self) -> None:
        self.assertEqual(cooled(1.5, 0.7), 0.7)
        self.assertEqual(cooled(0.2, 0.7), 0.2)
        self.assertIsNone(cooled(None, 0.7))


if __name__ == "__main__":
    unittest.main()
