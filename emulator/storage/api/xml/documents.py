"""Documents of the XML API: their elements, the parts list of an upload, and the listing of a bucket."""

from collections.abc import Iterator
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from starlette.responses import Response

from emulator.storage.api.responses import INERT, XML
from emulator.storage.errors import InvalidError
from emulator.storage.objects.listing import Listing
from emulator.storage.resources import StoredObject

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def document(name: str, values: dict[str, str], more: str = "") -> Response:
    """A response with the element `name` of these children, followed by `more` elements that are XML already."""
    content = f"<?xml version='1.0' encoding='UTF-8'?><{name} xmlns='{_NAMESPACE}'>{elements(values)}{more}</{name}>"
    return Response(content, 200, INERT, media_type=XML)


def elements(values: dict[str, str]) -> str:
    return "".join(f"<{key}>{escape(value)}</{key}>" for key, value in values.items())


def listed(listing: Listing) -> str:
    """The objects and common prefixes of a bucket's page."""
    return "".join([*map(_entry, listing.objects), *_prefixes(listing.prefixes)])


def _entry(stored: StoredObject) -> str:
    values = {
        "Key": stored.name,
        "Generation": str(stored.generation),
        "MetaGeneration": str(stored.metageneration),
        "LastModified": stored.fields["updated"],
        "ETag": f'"{stored.content_etag}"',
        "Size": str(stored.size),
        "StorageClass": stored.fields["storageClass"],
    }
    return f"<Contents>{elements(values)}</Contents>"


def _prefixes(prefixes: list[str]) -> Iterator[str]:
    return (f"<CommonPrefixes>{elements({'Prefix': prefix})}</CommonPrefixes>" for prefix in prefixes)


class _PlainTree(ElementTree.TreeBuilder):
    """Refuses document types, in any encoding: without one there are no entities to expand."""

    def doctype(self, *_: object) -> None:
        raise InvalidError("The XML you provided may not have a document type.", code="MalformedXML")


def chosen_parts(data: bytes) -> list[tuple[int, str]]:
    """The numbers and entity tags in a CompleteMultipartUpload document."""
    try:
        root = ElementTree.fromstring(data, ElementTree.XMLParser(target=_PlainTree()))  # noqa: S314
        return [
            (int(part.findtext("{*}PartNumber", "")), part.findtext("{*}ETag", "")) for part in root.findall("{*}Part")
        ]
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # LookupError: an unknown encoding
        raise InvalidError("The XML you provided was not well-formed.", code="MalformedXML") from error
