"""The text of a condition, parsed: ``${rows} > 0 and ${environment} == "prod"``.

The grammar, from loose to tight::

    condition   = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = "not" negation | comparison
    comparison  = value [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not" "in" ) value ]
    value       = reference | text | number | "true" | "false" | "null" | list | call | "(" condition ")"
    list        = "[" [ value { "," value } ] "]"
    call        = ( "succeeded" | "failed" ) "(" job ")" | "always" "(" ")"
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import NoReturn

from attrs import define, frozen

from bunsui.expressions.references import BadReference, Reference, read_reference
from bunsui.expressions.syntax import (
    CALLS,
    CALLS_IN_WORDS,
    MAX_LENGTH,
    Call,
    Combine,
    Compare,
    Items,
    Literal,
    Node,
    Not,
    Operand,
)

__all__ = ["BadCondition", "Condition", "parse_condition"]

# Longest condition that is remembered with its tree, in characters.
_REMEMBERED = 256
#: Most parts (values, comparisons, operators) of a condition; what evaluating it costs at most.
MAX_PARTS = 1000
#: Deepest nesting of parentheses, lists and negations.
MAX_DEPTH = 32

_COMPARISONS = ("==", "!=", "<=", ">=", "<", ">")
_CONSTANTS = {"true": True, "false": False, "null": None}
_WORDS = {"and", "or", "not", "in"}

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<reference>\$\{)
      | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![\w.]))
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<sign>==|!=|<=|>=|<|>|\(|\)|\[|\]|,)
      | (?P<name>[A-Za-z_][A-Za-z0-9_-]*)
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(r"\s*")
_ESCAPE = re.compile(r"\$\$\{|\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_OPENING = re.compile(r"\$?\$\{")
_SLIPS = {
    "=": "compare with '=='",
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not', or '!='",
    '"': "the text has no closing quote",
    "'": "the text has no closing quote",
    "$": "a reference is written ${name}",
    ".": "values have no attributes here; a path stands inside the braces: ${jobs.ID.output.rows}",
    **dict.fromkeys("+-*/%", "there is no arithmetic: let a job compute it"),
    **dict.fromkeys("{}", "write ${name} for a reference; there are no mappings here"),
    **dict.fromkeys("0123456789", "a number is written as in JSON, such as 12, -0.5 or 1e6"),
}
_FOREIGN = {"True": "true", "False": "false", "None": "null", "AND": "and", "OR": "or", "NOT": "not"}


class BadCondition(ValueError):
    """A text that is not a condition.

    Attributes:
        offset: where in the text; length: how many characters; hint: what to do about it.
    """

    def __init__(self, message: str, offset: int, length: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.offset = offset
        self.length = length
        self.hint = hint


@frozen
class Condition:
    """A condition that was parsed."""

    root: Node
    #: Its references, in the order of the text.
    operands: tuple[Operand, ...]
    #: Its calls, likewise.
    calls: tuple[Call, ...]

    @property
    def replaces_upstream(self) -> bool:
        """Whether it is asked in place of "all jobs upstream succeeded", not in addition."""
        return bool(self.calls)


def parse_condition(text: str) -> Condition:
    """The tree of a condition.

    Raises:
        BadCondition: it is not one.
    """
    # What is made of a long text would take much memory, and for long.
    return _remembered(text) if len(text) <= _REMEMBERED else _parse(text)


@lru_cache(maxsize=4096)
def _remembered(text: str) -> Condition:
    return _parse(text)


def _parse(text: str) -> Condition:
    if len(text) > MAX_LENGTH:
        raise BadCondition(f"a condition of more than {MAX_LENGTH:,} characters", 0, 1)
    return _Parser(text).condition()


@define
class _Token:
    kind: str
    text: str
    start: int
    end: int
    reference: Reference | None = None


class _Parser:
    """Recursive descent; the depth is limited."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._parts = 0
        self._operands: list[Operand] = []
        self._calls: list[Call] = []
        self._token = self._next()

    def condition(self) -> Condition:
        if self._token.kind == "end":
            raise BadCondition("the condition is empty", 0, 1)
        root = self._or()
        if self._token.kind != "end":
            self._unexpected("'and', 'or' or the end")
        return Condition(root, tuple(self._operands), tuple(self._calls))

    # Tokens

    def _next(self) -> _Token:
        found = _TOKEN.match(self._text, self._at)
        if found is None or found.lastgroup is None:
            self._not_a_token()
        kind, text = found.lastgroup, found.group(found.lastgroup)
        start, end = found.span(found.lastgroup)
        reference = None
        if kind == "reference":
            try:
                reference, end = read_reference(self._text, start)
            except BadReference as bad:
                raise BadCondition(str(bad), bad.offset, bad.length) from None
            text = self._text[start:end]
        self._at = end
        return _Token(kind, text, start, end, reference)

    def _not_a_token(self) -> NoReturn:
        space = _SPACE.match(self._text, self._at)
        at = space.end() if space else self._at
        char = self._text[at]
        raise BadCondition(f"{char!r} can't stand in a condition", at, 1, _SLIPS.get(char))

    def _advance(self) -> _Token:
        token, self._token = self._token, self._next()
        return token

    def _takes(self, text: str) -> bool:
        """Whether the next token is this sign or word; it is taken then."""
        if self._token.text == text and self._token.kind in ("sign", "name"):
            self._advance()
            return True
        return False

    def _expect(self, sign: str) -> _Token:
        if self._token.text != sign or self._token.kind != "sign":
            self._unexpected(f"'{sign}'")
        return self._advance()

    def _unexpected(self, expected: str) -> NoReturn:
        token = self._token
        found = f"'{token.text[:40]}'" if token.kind != "end" else "the end of the condition"
        hint = None
        if token.text in _FOREIGN:
            hint = f"write '{_FOREIGN[token.text]}'"
        elif token.text in _COMPARISONS:
            hint = "compare two values at a time, and join comparisons with 'and'"
        raise BadCondition(f"expected {expected}, found {found}", token.start, len(token.text) or 1, hint)

    def _count(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BadCondition(f"a condition of more than {MAX_PARTS:,} parts", self._token.start, 1)

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            message = f"parentheses, lists and 'not' are nested more than {MAX_DEPTH} deep"
            raise BadCondition(message, self._token.start, 1)

    # The grammar

    def _or(self) -> Node:
        return self._combined("or")

    def _combined(self, operator: str) -> Node:
        start = self._token.start
        parts = [self._combined("and") if operator == "or" else self._not()]
        while self._takes(operator):
            parts.append(self._combined("and") if operator == "or" else self._not())
        if len(parts) == 1:
            return parts[0]
        self._count()
        return Combine(operator, tuple(parts), self._span(start))

    def _span(self, start: int) -> tuple[int, int]:
        return start, len(self._text[start : self._token.start].rstrip())

    def _not(self) -> Node:
        start = self._token.start
        if not self._takes("not"):
            return self._comparison()
        self._count()
        self._enter()
        inner = self._not()
        self._depth -= 1
        return Not(inner, self._span(start))

    def _comparison(self) -> Node:
        start = self._token.start
        left = self._value()
        operator = None
        if self._token.kind == "sign" and self._token.text in _COMPARISONS:
            operator = self._advance().text
        elif self._takes("in"):
            operator = "in"
        elif self._takes("not"):
            if not self._takes("in"):
                self._unexpected("'in' after 'not'")
            operator = "not in"
        if operator is None:
            return left
        self._count()
        right = self._value()
        return Compare(operator, left, right, self._span(start))

    def _value(self) -> Node:
        self._count()
        token = self._token
        if token.kind == "reference" and token.reference is not None:
            self._advance()
            operand = Operand(token.reference, (token.start, token.end - token.start))
            self._operands.append(operand)
            return operand
        if token.kind in ("number", "text"):
            self._advance()
            value = _number(token) if token.kind == "number" else _unquoted(token)
            return Literal(value, (token.start, len(token.text)))
        if token.kind == "name":
            return self._named()
        if token.text == "(":
            return self._group()
        if token.text != "[":
            self._unexpected("a value")
        return self._list()

    def _group(self) -> Node:
        self._enter()
        self._advance()
        inner = self._or()
        self._expect(")")
        self._depth -= 1
        return inner

    def _list(self) -> Node:
        start = self._token.start
        self._enter()
        self._advance()
        items: list[Node] = []
        while self._token.text != "]" or self._token.kind != "sign":
            if items:
                self._expect(",")
            items.append(self._value())
        self._expect("]")
        self._depth -= 1
        return Items(tuple(items), self._span(start))

    def _named(self) -> Node:
        token = self._token
        if token.text in _WORDS:
            self._unexpected("a value")
        self._advance()
        if self._token.text == "(" and self._token.kind == "sign":
            return self._call(token)
        if token.text in _CONSTANTS:
            return Literal(_CONSTANTS[token.text], (token.start, len(token.text)))
        hint = f'write ${{{token.text}}} for a parameter, or "{token.text}" for a text'
        if token.text in _FOREIGN:
            hint = f"write '{_FOREIGN[token.text]}'"
        raise BadCondition(f"'{token.text[:40]}' alone is not a value", token.start, len(token.text), hint)

    def _call(self, name: _Token) -> Node:
        if name.text not in CALLS:
            message = f"there is no function '{name.text[:40]}'"
            raise BadCondition(message, name.start, len(name.text), f"there are {CALLS_IN_WORDS}")
        self._advance()
        job = None
        if CALLS[name.text] is not None:
            argument = self._token
            if argument.kind != "name":
                hint = f"write the id without quotes: {name.text}(extract_data)"
                raise BadCondition(f"{name.text}() takes the id of a job", argument.start, 1, hint)
            job = self._advance().text
        self._expect(")")
        call = Call(name.text, job, self._span(name.start))
        self._calls.append(call)
        return call


def _number(token: _Token) -> int | float:
    text = token.text
    if text.lstrip("-").isdigit():
        if len(text) <= 20 and -(2**63) <= int(text) < 2**63:
            return int(text)
    elif math.isfinite(float(text)):
        return float(text)
    raise BadCondition("the number does not fit into 64 bits", token.start, len(text))


def _unquoted(token: _Token) -> str:
    """The text between quotes, in which JSON's escapes and ``$${`` mean what they mean elsewhere."""
    body = token.text[1:-1]
    for found in _OPENING.finditer(body):
        if len(found.group()) == 2:
            at = token.start + 1 + found.start()
            hint = "take the quotes away for the reference; for a literal '${' write '$${'"
            raise BadCondition("what stands in quotes is plain text, not a reference", at, 2, hint)

    def unescape(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        if found[1] is not None:
            return chr(int(found[1], 16))
        if found[2] in _ESCAPES:
            return _ESCAPES[found[2]]
        at = token.start + 1 + found.start()
        hint = r"write \\ for a backslash"
        raise BadCondition(f"'\\{found[2]}' is not an escape", at, 2, hint)

    text = _ESCAPE.sub(unescape, body)
    # Escaped surrogate pairs are one character each; what is left over is half of one.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
