"""Recognises an input's kind by its content, and rejects content that contradicts the name or content type."""

import re

from pipeline.errors import RejectedError
from pipeline.formats import compression, json_text, media_types, mismatch, signatures, unsupported
from pipeline.formats.media_types import Promise
from pipeline.formats.text import decode_head, encoding
from pipeline.inputs import fields, objects
from pipeline.inputs.objects import Head
from pipeline.jobs.job import Input
from pipeline.kinds import WORKBOOK
from pipeline.tabular import dates, selection, sniffer
from pipeline.tabular.request import ANYTHING, KINDS, Request
from pipeline.tabular.selection import Choice
from pipeline.tabular.table import Table
from pipeline.tabular.vocabulary import names

MARKUP = re.compile(r"\s*<(?:\?xml|!doctype|html|svg)\b", re.IGNORECASE)
UNKNOWN_PICTURE = f"The format of this picture is not supported. {unsupported.PICTURE}"
UNKNOWN_JSON = (
    'The JSON is neither records nor a manifest with "id" and "inputs". Send {"instances": [{"text": "…"}]}, an array '
    "of such objects, or one object in each line as .jsonl."
)
UNKNOWN_LINES = 'The lines are JSON, but not records. Write an object such as {"text": "…"}, or a string, in each line.'
PLAIN_NAME = re.compile(r"\w[\w.-]*")


def guessed_encoding(source: Input, head: Head) -> str | None:
    """The encoding of a text if only its content indicates one; else None."""
    codec, is_guess = encoding(head.data, objects.charset(source), whole=head.whole)
    return codec if is_guess else None


def sniff(head: bytes, *, whole: bool, name: str, content_type: str | None, request: Request = ANYTHING) -> str:
    """The kind of an input.

    Args:
        head: its first 64 KB.
        whole: whether the input ends there.
        request: the parameters that decide the kind before the content is judged.

    Raises:
        RejectedError: `empty`, `encrypted`, `undecodable`, `content_mismatch`, `unsupported_format`, `unknown_kind`,
            `invalid_json`, `invalid_csv`, `invalid_date_format`, `unreadable_dates` or `no_usable_column`.
    """
    if not head:
        raise RejectedError("empty", "The input is empty.")
    if signatures.is_encrypted(head):
        raise RejectedError("encrypted", "The content is encrypted; upload it decrypted.")
    promise = media_types.promise(name, content_type)
    promised = promise.families
    if media_type := signatures.recognise(head):
        return _binary(media_type, promise, request)
    text = _text(head, promise, media_types.charset(content_type), whole=whole)
    if not text.strip():
        raise RejectedError("empty", "The input contains only white space.")
    lines = media_types.lines(name, content_type)
    if request.kind is not None:
        return _requested(text, request.kind, request, whole=whole, lines=lines)
    if "mail" in promised:
        raise _unsupported("message/rfc822")
    if "picture" in promised:
        raise RejectedError("unsupported_format", UNKNOWN_PICTURE)
    if contradicted := promised & {"image", "other"}:
        raise mismatch.of_text(promise, contradicted, _described(text, whole=whole))
    if MARKUP.match(text):
        raise RejectedError("unknown_kind", "Markup (HTML, XML, SVG) is not supported; send its text.")
    found = _json(text, promise, whole=whole, lines=lines)
    if found == "records":
        fields.chosen(json_text.records(text, whole=whole), request.text_column)
    return found or _table(text, promise, request, whole=whole) or "text"


def kind(source: Input, head: Head, request: Request = ANYTHING) -> str:
    """The kind of an object. Raises RejectedError, as `sniff` does."""
    name, content_type = source.name, source.content_type
    if head.packed:
        name, content_type = compression.described(name, content_type)
    return sniff(head.data, whole=head.whole, name=name, content_type=content_type, request=request)


def _binary(media_type: str, promise: Promise, request: Request) -> str:
    is_workbook = media_type in signatures.WORKBOOKS
    if request.kind is not None and not (request.kind in KINDS if is_workbook else request.kind == "image"):
        raise _other_than_requested(request.kind, media_type)
    expected = {"image", "picture"} if media_type.startswith("image/") else {"other", "mail"}
    if contradicted := promise.families - expected:
        raise mismatch.of_binary(promise, contradicted, media_type)
    if is_workbook:
        return WORKBOOK
    if media_type not in signatures.IMAGES:
        raise _unsupported(media_type)
    return "image"


def _requested(text: str, requested: str, request: Request, *, whole: bool, lines: bool) -> str:
    """The requested kind, if the text can be read as that."""
    try:
        found = _read_as(text, requested, request, whole=whole, lines=lines)
    except RejectedError as refusal:
        if refusal.code != "content_mismatch":  # with a name, which does not count here
            raise
        found = _described(text, whole=whole)
    if found != requested:
        raise _other_than_requested(requested, found or "text")
    return requested


def _read_as(text: str, requested: str, request: Request, *, whole: bool, lines: bool) -> str | None:
    found: str | None = "text"
    if requested in ("records", "manifest"):
        family = "json" if text.lstrip().startswith(("{", "[", '"')) else None
        found = _json(text, Promise(family, None, "json", ""), whole=whole, lines=lines)
    elif requested in KINDS:
        found = _table(text, Promise("csv", None, "csv", ""), request, whole=whole)
    if found == "records":
        fields.chosen(json_text.records(text, whole=whole), request.text_column)
    return found


def _text(head: bytes, promise: Promise, charset: str | None, *, whole: bool) -> str:
    try:
        return decode_head(head, charset, whole=whole)
    except RejectedError as error:
        promised = promise.families
        if "picture" in promised:
            raise RejectedError("unsupported_format", UNKNOWN_PICTURE) from error
        if contradicted := promised & {"image"}:
            raise mismatch.of_text(promise, contradicted, "not a recognisable image") from error
        if promised - {"other", "mail"}:
            raise
        raise RejectedError("unknown_kind", "The content is neither text nor an image.") from error


def _json(text: str, promise: Promise, *, whole: bool, lines: bool) -> str | None:
    promised = promise.families
    shape = json_text.shape(text, whole=whole, declared=lines, strings="json" in promised)
    if shape == "other" and lines and whole and text.lstrip().startswith("{"):
        shape = "records"  # a single JSON line is also a JSON document
    if shape in ("manifest", "records"):
        if "csv" in promised:
            raise mismatch.of_text(promise, ("csv",), _described(text, whole=whole))
        return shape
    if shape == "other":
        raise RejectedError("unknown_kind", UNKNOWN_JSON)
    if "json" not in promised:
        return None
    if lines and json_text.are_values(text, whole=whole):
        raise RejectedError("unknown_kind", UNKNOWN_LINES)
    if shape == "broken":
        json_text.parse(text)  # raises with the position, unless only the cut makes the text invalid
        raise RejectedError("invalid_json", "The JSON cannot be parsed.")
    raise mismatch.of_text(promise, ("json",), _described(text, whole=whole))


def _table(text: str, promise: Promise, request: Request, *, whole: bool) -> str | None:
    promised = promise.families
    is_declared = "csv" in promised or request.is_tabular
    try:
        table = sniffer.sniff(text, whole, request, declared=is_declared)
        choice = table.choice(request) if table.columns else selection.NONE
        if choice.kind is None and request.kind is None and table.columns:
            choice = table.choice()  # a parameter that does not apply to it is rejected below
    except RejectedError as refusal:
        if not is_declared:
            return None
        refusal.kind = refusal.kind or request.kind
        raise
    _check_direction(table, choice, request, is_declared=is_declared)
    if choice.kind is not None and (is_declared or _is_evident(table, choice)):
        return choice.kind
    if "csv" not in promised:
        return None
    if undated := table.undated:
        raise dates.unreadable(undated.name)
    if table.columns:
        columns = ", ".join(column.name for column in table.columns)
        message = (
            "The table has no text or image column, nor a date and a numeric one. The parameters text_column, "
            f"image_column, date_column and value_column choose among the columns, which are {columns:.600}."
        )
        raise RejectedError("no_usable_column", message)
    if whole and len(json_text.lines(text.strip())) == 1:
        raise RejectedError("empty", "The table has no rows.")
    raise mismatch.of_text(promise, ("csv",), "text without columns")


def _check_direction(table: Table, choice: Choice, request: Request, *, is_declared: bool) -> None:
    """Refuses a table whose series lie across it, unless a column of texts or a column to forecast is meant."""
    if not table.columns or request.columns or not is_declared or not (across := table.across):
        return
    if choice.payload is not None and (request.kind or names.is_text(choice.payload.name)):
        return
    if choice.value is not None and choice.value.name not in across:
        return
    listed = ", ".join(across[:3]) + (", …" if len(across) > 3 else "")
    message = (
        f"The columns {listed} are dates. Send one series with a row for each date: a column of dates and a column of "
        "values."
    )
    raise RejectedError("no_usable_column", message)


def _is_evident(table: Table, choice: Choice) -> bool:
    """Whether text that is not declared as CSV is certainly a table; prose has commas too."""
    if choice.kind == "timeseries" and choice.is_readable:
        return True
    return table.header and len(table.columns) > 1 and all(PLAIN_NAME.fullmatch(c.name) for c in table.columns)


def _described(text: str, *, whole: bool) -> str:
    """What a text is, whatever its name says."""
    if MARKUP.match(text):
        return "markup"
    if json_text.shape(text, whole=whole) in ("manifest", "records", "other"):
        return "JSON lines" if json_text.is_lines(text, whole=whole) and "\n" in text.strip() else "JSON"
    try:
        table = sniffer.sniff(text, whole)
        is_table = bool(table.columns) and _is_evident(table, table.choice())
    except RejectedError:
        return "text"
    return "CSV" if is_table else "text"


def _unsupported(media_type: str) -> RejectedError:
    return RejectedError("unsupported_format", unsupported.advice(media_type))


def _other_than_requested(requested: str, content: str) -> RejectedError:
    return RejectedError("content_mismatch", f"The parameter kind is {requested}, but the content is {content}.")
