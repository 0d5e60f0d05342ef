# SPDX-License-Identifier: MIT
"""A Varlink interface text, and whether values are what it says.

    interface = Interface(text)
    interface.check(reply["parameters"], interface.methods["Status"].replies)
"""
import re

TOKEN = re.compile(r"\s*(?:#[^\n]*\n\s*)*(->|\[\]|\[string\]|[A-Za-z][\w.]*|[():,?]|$)")

# A value of each simple type, and values that are none.
GOOD = {"bool": True, "int": 7, "float": 0.5, "string": "text", "object": {}}
BAD = {
    "bool": (0, 1, "true", [], {}, 0.5),
    "int": (True, "7", 7.0, 7.5, 1e300, [7], {"7": 7}, "", False),
    "float": ("0.5", True, [], {}),
    "string": (7, True, [], {}, ["text"], 0.5),
    "object": (7, "text", True, []),
}


class Method:
    """parameters and replies are structures: a type for each name."""

    def __init__(self, parameters, replies):
        self.parameters, self.replies = parameters, replies


class Interface:
    def __init__(self, text):
        self.text, self._at = text, 0
        self.types, self.methods, self.errors = {}, {}, {}
        self._expect("interface")
        self.name = self._next()
        while word := self._next():
            name = self._next()
            if word == "type":
                self.types[name] = self._structure()
            elif word == "error":
                self.errors[f"{self.name}.{name}"] = self._structure()
            elif word == "method":
                parameters = self._structure()
                self._expect("->")
                self.methods[name] = Method(parameters, self._structure())
            else:
                raise ValueError(f"'{word}' is no definition")

    def _next(self):
        match = TOKEN.match(self.text, self._at)
        if not match:
            raise ValueError(f"no Varlink: {self.text[self._at:self._at + 40]!r}")
        self._at = match.end()
        return match[1]

    def _peek(self):
        at, word = self._at, self._next()
        self._at = at
        return word

    def _expect(self, word):
        got = self._next()
        if got != word:
            raise ValueError(f"'{word}' expected, not '{got}'")

    def _structure(self):
        """Members with types are a dict, words alone, of an enumeration, a tuple."""
        members, words = {}, []
        self._expect("(")
        while self._peek() != ")":
            name = self._next()
            if self._peek() == ":":
                self._next()
                members[name] = self._type()
            else:
                words.append(name)
            if self._peek() != ")":
                self._expect(",")
        self._expect(")")
        return tuple(words) if words else members

    def _type(self):
        if self._peek() == "(":
            return self._structure()
        word = self._next()
        return (word, self._type()) if word in ("?", "[]", "[string]") else word

    def check(self, value, kind, at="it"):
        """Fails where the value is not of this type; other members than the known are wrong too."""
        if isinstance(kind, dict):
            self._check_structure(value, kind, at)
        elif isinstance(kind, tuple) and kind[0] == "?":
            if value is not None:
                self.check(value, kind[1], at)
        elif isinstance(kind, tuple) and kind[0] == "[]":
            assert isinstance(value, list), f"{at} is no array: {value!r}"
            for number, item in enumerate(value):
                self.check(item, kind[1], f"{at}[{number}]")
        elif isinstance(kind, tuple) and kind[0] == "[string]":
            assert isinstance(value, dict), f"{at} is no map: {value!r}"
            for name, item in value.items():
                self.check(item, kind[1], f"{at}[{name}]")
        elif isinstance(kind, tuple):
            assert value in kind, f"{at} is none of {kind}: {value!r}"
        elif kind in self.types:
            self.check(value, self.types[kind], at)
        else:
            self._check_simple(value, kind, at)

    def _check_structure(self, value, kind, at):
        assert isinstance(value, dict), f"{at} is no object: {value!r}"
        for name, item in value.items():
            assert name in kind, f"{at}.{name} is not in the interface"
            self.check(item, kind[name], f"{at}.{name}")
        for name, wanted in kind.items():
            optional = isinstance(wanted, tuple) and wanted[0] == "?"
            assert name in value or optional, f"{at}.{name} is missing"

    @staticmethod
    def _check_simple(value, kind, at):
        fits = type(value) is type(GOOD[kind]) or (kind == "float" and type(value) is int)
        assert fits, f"{at} is no {kind}: {value!r}"

    def wrong(self, kind):
        """Values that are not of this type; null is among them where it must not be absent."""
        if isinstance(kind, tuple) and kind[0] == "?":
            return [value for value in self.wrong(kind[1]) if value is not None]
        if isinstance(kind, str) and kind in self.types:
            return self.wrong(self.types[kind])
        if isinstance(kind, dict):
            return [None, 7, "text", True, [], [{}]]
        if isinstance(kind, tuple) and kind[0] in ("[]", "[string]"):
            return [None, 7, "text", True]
        if isinstance(kind, tuple):
            return [None, 7, True, [], {}, "", "none of these"]
        return [None, *BAD[kind]]
