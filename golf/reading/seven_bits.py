"""Bytes as a Python expression that is valid UTF-8 and holds seven bits a byte: 8 % shorter than base85.

A character below 128 stands for its seven bits. The four that cannot stand in a raw literal in double quotes, or that a tool may change
(NUL, line feed, carriage return, the quote), go together with the seven bits after them: one character of two bytes, U+0100 to U+02FF.
So none of them costs more than its bits.
"""

import ast

from golf.errors import GolfError

LEFT_OUT = (0, 10, 13, 34)
# after the bits one more, so that the last character is none of LEFT_OUT and no backslash
EXPRESSION = '(int("".join(f"{o:07b}"if(o:=ord(c))<256 else f"{(0,10,13,34)[o//128-2]:07b}{o%128:07b}"for c in r"BITS"),2)>>1).to_bytes(0)'


def expression(data: bytes) -> str:
    """A Python expression (3.11 on, no import) whose value is `data`."""
    head, tail = EXPRESSION.split("BITS")
    return head + characters(data) + tail.removesuffix("0)") + f"{len(data)})"


def expression_bytes(data_bytes: int) -> int:
    """The bytes of `expression` in UTF-8, for any data of `data_bytes`: a character of two bytes holds two times seven bits."""
    return len(EXPRESSION) - len("BITS") - len("0") + len(str(data_bytes)) - (-(8 * data_bytes + 1) // 7)


def characters(data: bytes) -> str:
    """`data`, seven bits a byte, and one bit more at the end."""
    bits = f"{int.from_bytes(data):0{8 * len(data)}b}" if data else ""
    last = f"{bits}0".zfill(-(-(len(bits) + 1) // 7) * 7)
    if int(last[-7:], 2) in (*LEFT_OUT, ord("\\")):
        last = last[:-1] + "1"
    symbols = [int(last[at : at + 7], 2) for at in range(0, len(last), 7)]
    found, at = [], 0
    while at < len(symbols):
        if symbols[at] in LEFT_OUT:
            found.append(chr(256 + 128 * LEFT_OUT.index(symbols[at]) + symbols[at + 1]))
            at += 1
        else:
            found.append(chr(symbols[at]))
        at += 1
    return "".join(found)


def is_expression(node: ast.expr) -> bool:
    """Whether a node is such an expression, whatever bits it holds."""
    try:
        return _shape(node) == _shape(ast.parse(EXPRESSION, mode="eval").body)
    except (AttributeError, IndexError, RecursionError):
        return False


def value(node: ast.expr) -> bytes:
    """The bytes of an expression, without running it. Raises GolfError for characters that do not belong in it."""
    held, size = (slot.value for slot in _slots(node))
    text = str(held)
    bits = []
    for o in map(ord, text):
        if o >= 256 + 128 * len(LEFT_OUT) or 128 <= o < 256:
            raise GolfError(f"the payload does not unpack: a character {o} in seven bits", "the file is damaged")
        bits.append(f"{o:07b}" if o < 256 else f"{LEFT_OUT[o // 128 - 2]:07b}{o % 128:07b}")
    return (int("".join(bits) or "0", 2) >> 1).to_bytes(int(size))  # type: ignore[arg-type]


def _slots(node: ast.expr) -> list[ast.Constant]:
    """The literal of the bits and the number of bytes."""
    found: list[ast.Constant] = [node.func.value.left.args[0].args[0].generators[0].iter, node.args[0]]  # type: ignore[attr-defined]
    if type(found[0].value) is not str or type(found[1].value) is not int or not 0 <= found[1].value <= 16_000_000:
        raise AttributeError
    return found


def _shape(node: ast.expr) -> str:
    """The tree without what the two slots hold."""
    slots = _slots(node)
    held = [slot.value for slot in slots]
    slots[0].value, slots[1].value = "", 0
    try:
        return ast.dump(node)
    finally:
        slots[0].value, slots[1].value = held
