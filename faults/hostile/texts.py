"""Texts that go wrong somewhere: every class of Unicode, and pieces of other languages."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Sequence

__all__ = ["CLASSES", "CONFUSABLE", "INJECTIONS", "SURROGATES", "random_texts"]

Make = Callable[[random.Random], str]


def _of(*ranges: tuple[int, int]) -> Make:
    def make(chance: random.Random) -> str:
        found = []
        for _ in range(chance.randint(1, 6)):
            low, high = chance.choice(ranges)
            found.append(chr(chance.randint(low, high)))
        return "".join(found)

    return make


def _around(make: Make) -> Make:
    """Alone, at an end, or between letters."""

    def found(chance: random.Random) -> str:
        text = make(chance)
        return chance.choice((text, f"a{text}", f"{text}a", f"a{text}b", f" {text} "))

    return found


def _one(*texts: str) -> Make:
    return lambda chance: chance.choice(texts)


def _normal(form: str) -> Make:
    def make(chance: random.Random) -> str:
        text = chance.choice(("éàö", "Åﬁ①", "각", "ẛ̣", "ｱｲ", "Ⅷ²", "ﷺ", "दे॒"))
        return unicodedata.normalize(form, text)  # type: ignore[arg-type]  # one of the four

    return make


CLASSES: dict[str, Make] = {
    name: _around(make)
    for name, make in {
        "NUL": _one("\0", "\0\0", "\0x\0"),
        "C0 controls": _of((1, 31), (127, 127)),
        "C1 controls": _of((0x80, 0x9F)),
        "terminal sequences": _one(
            *("\x1b[2J", "\x1b]0;x\x07", "\x9b31m", "\x1bP1$r\x1b\\", "\r\x1b[A", "\x08" * 5),
            *("\x1b]8;;http://x\x1b\\", "\x1b[?1049h", "\x1b]52;c;eA==\x07"),
        ),
        "combining marks": _of((0x300, 0x36F), (0x1AB0, 0x1AFF), (0x20D0, 0x20F0)),
        "stacked marks": lambda chance: (
            "o" + "".join(chr(chance.randint(768, 879)) for _ in range(60))
        ),
        "directions": _one(
            *(
                "\u202e",
                "\u202a",
                "\u2066\u2069",
                "\u200f",
                "\u061c",
                "\u202egnp.x",
                "אב",
                "\u2067x",
            )
        ),
        "beyond the BMP": _of((0x10000, 0x1F9FF), (0x20000, 0x2A6DF), (0x10FF00, 0x10FFFD)),
        "private use": _of((0xE000, 0xF8FF), (0xF0000, 0xFFFFD)),
        "byte order marks": _one("\ufeff", "\ufffe", "\ufeff\ufeff", "\u00ef\u00bb\u00bf"),
        "non-characters": _one("\ufffe", "\uffff", "\ufdd0", "\ufdef", "\U0001fffe", "\U0010ffff"),
        "line separators": _one("\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\r\n", "\n", "\x1c"),
        "emoji sequences": _one("👩🏽‍🔬", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "👨‍👩‍👧‍👦", "1️⃣", "🇺🇦🇺", "❤️‍🔥", "\u200d"),
        "Turkish letters": _one("ı", "İ", "i\u0307", "I", "i", "ıİiI"),
        "case folding": _one("ß", "ẞ", "SS", "ſ", "\u212a", "ǅ", "ΣΑΣ", "ﬃ", "ŉ", "\u1e9e"),
        "blanks": _one(
            " ", "   ", "\t", "\xa0", "\u3000", "\u200b", "\u2060", "\u180e", "a ", "a  "
        ),
        "NFC": _normal("NFC"),
        "NFD": _normal("NFD"),
        "NFKC": _normal("NFKC"),
        "NFKD": _normal("NFKD"),
        "Hangul": _of((0x1100, 0x11FF), (0xAC00, 0xD7A3), (0xA960, 0xA97C)),
        "variation selectors": _of((0xFE00, 0xFE0F), (0xE0100, 0xE01EF), (0xE0020, 0xE007F)),
        "digits of others": _one("١٢", "²", "Ⅷ", "𝟙", "½", "१", "1_0", "0x1", "1e5", "٣.٥"),
        "words of others": _one(
            *("__MLMD_NULL__", "mlmd-struct::AAAA", "mlmd-struct::", "NULL", "None", "nan", "true"),
            *("%00", "%2e%2e%2f", "&lt;", "&#0;", "\\u0000", "\\x00", "{{7*7}}", "${x}", "$(id)"),
        ),
        "any": lambda chance: (
            "".join(
                each
                for each in (
                    chr(chance.randrange(1, 0x110000)) for _ in range(chance.randint(1, 12))
                )
                if not "\ud800" <= each <= "\udfff"
            )
            or "x"
        ),
        "long": lambda chance: (
            chance.choice(("x", "é", "🧪", "\u0301")) * chance.choice((60, 63, 64))
        ),
    }.items()
}

SURROGATES = ("\ud800", "a\udc00b", "\udfff\ud800", "\udced\udca0", "x\ud83d")
"""Half of a pair: no text."""

CONFUSABLE: Sequence[Sequence[str]] = (
    (
        "a",
        "A",
        "a ",
        " a",
        "a  ",
        "a\0",
        "a\t",
        "a\u200b",
        "a\xa0",
        "\u0430",
        "ａ",
        "ª",
        "á",
        "a\u0301",
    ),
    ("\u00e9", "e\u0301", "E\u0301", "\u00c9", "e"),
    ("ß", "ẞ", "ss", "SS", "ſs"),
    ("i", "I", "ı", "İ", "i\u0307", "I\u0307"),
    ("\u212a", "k", "K"),
    ("\u2126", "Ω", "ω"),
    ("ﬁ", "fi", "FI"),
    ("\uac01", "\u1100\u1161\u11a8"),
    ("\u00c5", "\u212b", "A\u030a"),
    ("x%y", "x_y", "xzy", "x%%y", "x\\%y", "x\\_y"),
    ("1", "01", "1.0", "１", "①", "1 ", "+1", "1e0"),
    ("\ufeffz", "z", "z\ufeff", "\u200ez", "z\u200d"),
    ("\U0001f600", "\U0001f601", "?", "??", "????", "\ufffd"),
)
"""Different texts that a database may take for one."""

INJECTIONS = (
    "' OR '1'='1",
    "' OR 1=1 --",
    '" OR ""="',
    "'; DROP TABLE Artifact; --",
    '"; DROP TABLE Artifact; --',
    "`; DROP TABLE Artifact; --",
    "'); DELETE FROM Context; --",
    "x'); INSERT INTO Type(name) VALUES('pwned'); --",
    "' UNION SELECT name, sql, 1, 1, 1 FROM sqlite_master --",
    "' UNION ALL SELECT @@version, user(), 1 --",
    "1; ATTACH DATABASE '/dev/shm/pwned.db' AS pwned; --",
    "'; PRAGMA writable_schema=ON; --",
    "' AND SLEEP(5) AND '1'='1",
    "' AND BENCHMARK(100000000,MD5(1)) --",
    "' INTO OUTFILE '/dev/shm/pwned' --",
    "\\'; DROP TABLE Artifact; --",
    "\\",
    "\\\\' OR 1=1 --",
    "%' OR '%'='",
    "_",
    "%",
    "%s",
    "%(name)s",
    ":name",
    "?",
    "?1",
    "@x",
    "$1",
    "{0}",
    "{name}",
    "/* */",
    "/*! DROP TABLE Artifact */",
    "--",
    "#",
    ";",
    "\0'; DROP TABLE Artifact; --",
    "' || load_extension('x') || '",
    "`Artifact`",
    "[Artifact]",
    "Artifact",
    "id",
    "NULL",
    "' COLLATE NOCASE --",
    "0x27204f5220313d31",
    "\u02bc OR 1=1 --",
    "\uff07 OR 1=1 --",
    "\xbf' OR 1=1 --",
    "a' 'b",
    "a''b",
    '"a""b"',
    "\n'; DROP TABLE Artifact;\n--",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "]]><!--",
    "{{constructor.constructor('alert(1)')()}}",
)


def random_texts(chance: random.Random, count: int) -> dict[str, str]:
    """So many different texts, from all classes in turn, with their class."""
    found: dict[str, str] = {}
    names = list(CLASSES)
    at = 0
    while len(found) < count:
        name = names[at % len(names)]
        at += 1
        found.setdefault(CLASSES[name](chance), name)
    return found
