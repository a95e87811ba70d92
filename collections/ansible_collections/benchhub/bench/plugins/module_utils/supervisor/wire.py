"""JSON by the C functions below Python's ``json``: that package itself imports ``re`` and ``enum``, 10 ms of CPU."""


class _Settings:
    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float = float
    parse_int = int
    memo = {}  # noqa: RUF012 - the scanner only reads it

    @staticmethod
    def parse_constant(name):
        raise ValueError("%s is no number" % name)


def _refuse(value):
    raise TypeError("%s cannot be written as JSON" % type(value).__name__)


def _functions():
    """(loads, dumps), from the C functions when they are there and behave as they did from 3.8 on."""
    try:
        from _json import encode_basestring_ascii, make_encoder, make_scanner  # noqa: PLC0415

        scan = make_scanner(_Settings)
        encode = make_encoder(None, _refuse, encode_basestring_ascii, None, ": ", ", ", False, False, False)

        def read(data):
            text = data if isinstance(data, str) else data.decode("utf-8")
            try:
                value, end = scan(text, len(text) - len(text.lstrip()))
            except (StopIteration, SystemError):  # SystemError: json's own exception class is not imported
                return _package().loads(text)  # says well what is wrong
            return _package().loads(text) if text[end:].strip() else value

        def write(value):
            return "".join(encode(value, 0))

        if read(write({"a": [1.5, None, "é"]})) == {"a": [1.5, None, "é"]}:
            return read, write
    except (ImportError, AttributeError, TypeError, ValueError):
        pass
    return _package().loads, _package().dumps


def _package():
    import json  # noqa: PLC0415 - for what the fast way cannot do

    return json


loads, dumps = _functions()
