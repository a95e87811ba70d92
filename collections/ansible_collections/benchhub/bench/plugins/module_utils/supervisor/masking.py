"""Hiding secrets in what nodes tell and send home."""

from . import wire

_MASK = b"***"


def mask_forms(values):
    """The bytes to look for: each secret as it is and as JSON writes it, longest first."""
    forms = set()
    for value in values:
        for text in (value, wire.dumps(value)[1:-1], _plain_json(value)):
            if text:
                forms.add(text.encode("utf-8", "surrogateescape"))
    return sorted(forms, key=len, reverse=True)


def _plain_json(value):
    """A text as JSON writes it when it leaves letters beyond ASCII as they are."""
    letters = [wire.dumps(letter)[1:-1] if ord(letter) < 128 else letter for letter in value]
    return "".join(letters)


def hidden(data, forms):
    """The bytes without any of these secrets."""
    masker = Masker(forms)
    return masker.feed(data) + masker.end()


def apart(file, position, forms):
    """(Start, end) of the secrets that lie across a position of a file, where it may not be cut; else that position."""
    start = end = position
    longest = max([len(form) for form in forms] + [0])
    while longest:
        base = max(0, start - longest)
        file.seek(base)
        window = file.read(end - base + longest)
        before = start, end
        for form in forms:
            place = window.find(form)
            while place >= 0:
                begins, ends = base + place, base + place + len(form)
                if begins < end and ends > start:
                    start, end = min(start, begins), max(end, ends)
                place = window.find(form, place + 1)
        if (start, end) == before:
            break
    return start, end


class Masker:
    """Replaces secrets in a stream of chunks, also where one lies across their border."""

    def __init__(self, forms):
        self._forms = forms
        self._keep = max([len(form) for form in forms] + [1]) - 1
        self._rest = b""

    def feed(self, chunk):
        """What is sure to hold no part of a secret any more."""
        text = self._rest + chunk
        if not self._forms:
            return text
        done, end = self._masked(text, len(text) - self._keep)
        self._rest = text[end:]
        return done

    def end(self):
        """The last bytes."""
        done, _end = self._masked(self._rest, len(self._rest))
        self._rest = b""
        return done

    def _masked(self, text, limit):
        """(The text with its secrets replaced, where that ends): a secret that begins before ``limit`` is whole."""
        pieces = []
        at = 0
        nexts = {form: text.find(form) for form in self._forms}
        while True:
            for form, place in nexts.items():
                if 0 <= place < at:
                    nexts[form] = text.find(form, at)
            # the one that begins first, of those the longest
            place, _length, form = min(
                ((place, -len(form), form) for form, place in nexts.items() if place >= 0), default=(limit, 0, b"")
            )
            if place >= limit:
                end = max(at, limit)
                pieces.append(text[at:end])
                return b"".join(pieces), end
            pieces += (text[at:place], _MASK)
            at = place + len(form)
