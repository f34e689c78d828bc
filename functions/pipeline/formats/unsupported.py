"""Formats that are recognised but not read: what each is, and what to send instead."""

"""Formats that are recognised but not read: what each is, and what to send instead."""

PICTURE = "Save it as JPEG, PNG or TIFF."
TEXT = "Send its text as a .txt file."
SHEET = "Save it as .xlsx or .csv."
ARCHIVE = "Upload the files in it one by one; a single file may be packed with gzip."
OPEN = "application/vnd.oasis.opendocument"
OFFICE = "application/vnd.openxmlformats-officedocument"

FORMATS = {  # by media type: a name, and what to do
    "application/pdf": ("a PDF", "Send its text as a .txt file, or its pages as pictures."),
    "application/rtf": ("a document in Rich Text Format", TEXT),
    "application/epub+zip": ("an e-book", TEXT),
    "application/x-ole-storage": ("a document of Office before 2007", "Save it as .xlsx or .csv, or send its text."),
    "application/vnd.ms-excel": ("an Excel workbook of before 2007", SHEET),
    "application/vnd.ms-excel.sheet.binary.macroenabled.12": ("a binary Excel workbook", SHEET),
    "application/msword": ("a Word document", TEXT),
    "application/vnd.ms-outlook": ("an Outlook message", TEXT),
    "application/vnd.ms-powerpoint": ("a presentation", "Send its text as a .txt file, or its slides as pictures."),
    f"{OFFICE}.wordprocessingml.document": ("a Word document", TEXT),
    f"{OFFICE}.presentationml.presentation": (
        "a presentation",
        "Send its text as a .txt file, or its slides as pictures.",
    ),
    f"{OPEN}.spreadsheet": ("an OpenDocument spreadsheet", SHEET),
    f"{OPEN}.text": ("an OpenDocument text", TEXT),
    f"{OPEN}.presentation": ("a presentation", "Send its text as a .txt file, or its slides as pictures."),
    "message/rfc822": ("an e-mail with its headers", "Send the message's text as a .txt file."),
    "application/x-sqlite3": ("a database", "Export the table as CSV or Parquet."),
    "application/avro": ("an Avro file", "Export it as CSV, JSON lines or Parquet."),
    "application/x-orc": ("an ORC file", "Export it as CSV, JSON lines or Parquet."),
    "application/x-hdf5": ("an HDF5 file", "Export the table as CSV or Parquet."),
    "application/vnd.apache.arrow.file": ("an Arrow file", "Export it as CSV, JSON lines or Parquet."),
    "image/jpx": ("a JPEG 2000 picture", PICTURE),
    "image/jxl": ("a JPEG XL picture", PICTURE),
    "image/vnd.adobe.photoshop": ("a Photoshop document", PICTURE),
    "image/x-canon-cr2": ("a raw photo", PICTURE),
    "image/x-icon": ("an icon", PICTURE),
    "image/vnd.dwg": ("a drawing", PICTURE),
    "image/svg+xml": ("a vector graphic", PICTURE),
    "application/postscript": ("a PostScript document", "Send its text as a .txt file, or its pages as pictures."),
}
FAMILIES = {"image": PICTURE, "audio": "Send a transcript as a .txt file.", "video": "Send single frames as pictures."}
ARCHIVES = frozenset(
    f"application/{name}"
    for name in (
        "zip",
        "gzip",
        "x-tar",
        "x-bzip2",
        "x-7z-compressed",
        "x-rar-compressed",
        "x-xz",
        "zstd",
        "x-lzip",
        "x-lz4",
    )
)


def advice(media_type: str) -> str:
    """One or two sentences for the sender of such a file."""
    if media_type not in FORMATS and media_type not in ARCHIVES:
        return f"Content of the type {media_type} is not supported. {action(media_type)}"
    return f"The content is {name(media_type)}, which is not supported. {action(media_type)}"


def name(media_type: str) -> str:
    """What a person calls the format, with its article."""
    if media_type in ARCHIVES:
        return f"an archive ({media_type})"
    return FORMATS[media_type][0] if media_type in FORMATS else media_type


def action(media_type: str) -> str:
    """What to send instead."""
    if media_type in ARCHIVES:
        return ARCHIVE
    if media_type in FORMATS:
        return FORMATS[media_type][1]
    return FAMILIES.get(media_type.partition("/")[0], "Texts, pictures and tables are accepted.")
