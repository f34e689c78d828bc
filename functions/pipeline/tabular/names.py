"""What the names of columns suggest about their contents, in the languages that people write them in."""

import re


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


TEXT_WORDS = _names(
    "text texts review reviews comment comments message messages msg body content contents sentence sentences "
    "document tweet tweets post posts feedback utterance transcript verbatim sms kommentar kommentare nachricht "
    "inhalt rezension satz texte avis commentaire contenu phrase texto reseña resena comentario comentários "
    "comentário comentarios opinión mensaje contenido frase avaliação mensagem conteúdo testo recensione commento "
    "messaggio contenuto tekst opmerking bericht recensie opinia komentarz recenzja wiadomość treść текст отзыв "
    "комментарий сообщение"
)
PROSE_WORDS = _names(
    "opinion article statement abstract title titles headline headlines summary subject description descriptions "
    "question questions answer answers note notes remark remarks reason explanation details caption overview plot "
    "lyrics quote quotes story response complaint titel betreff beschreibung frage antwort bemerkung notiz titre "
    "résumé réponse título titulo resumen descripción descripcion pregunta respuesta resumo descrição pergunta "
    "resposta titolo descrizione domanda risposta omschrijving vraag antwoord tytuł opis pytanie odpowiedź "
    "заголовок описание вопрос ответ"
)
TEXT_TERMS = (  # of scripts without spaces, where a name is one word
    *("评论", "文本", "内容", "正文", "评价", "句子", "留言", "評論", "內容", "文章"),
    *("テキスト", "本文", "レビュー", "コメント", "感想", "口コミ"),
    *("리뷰", "댓글", "내용", "본문", "텍스트"),
    *("ข้อความ", "รีวิว", "ความคิดเห็น", "เนื้อหา"),
)
IDENTIFIER_WORDS = _names(
    "id ids identifier idx index rowname rownames row rows rownum rownumber no nr num obs code codes key uuid "
    "guid serial seq sequence zip zipcode postcode plz phone telephone sku isbn ean asin fips ssn iban account "
    "unnamed uid pid"
)
LABEL_WORDS = _names(
    "name names label labels class category categories target type types kind status style group genre gender sex "
    "author user username brand company city country state county region address location street place email mail "
    "url uri link href path file filename image photo picture language lang source tag tags sentiment rating "
    "score stars hash sha md autor nom nombre nome naam imię ville ciudad stadt ort land pays país kategorie "
    "catégorie categoría"
)
DATE_WORDS = _names(
    "date dates datum datetime day days ds dt tag fecha data month months monat mes mois week weeks woche semana "
    "quarter quartal year years jahr jahre année annee año anno fy period periode time timestamp zeit"
)
CALENDAR_WORDS = {  # parts of a date that stand in columns of their own
    "year": _names("year years yr yyyy jahr année annee an año ano anno jaar rok"),
    "month": _names("month months mon mm mth monat mois mes mês mese maand miesiąc"),
    "quarter": _names("quarter qtr q qu quartal trimestre kwartaal kwartał"),
    "week": _names("week weeks wk kw woche semaine semana settimana tydzień isoweek weekofyear"),
    "day": _names("day days dd dom dayofmonth mday tag jour día dia giorno dag dzień"),
    "time": _names("time timeofday hhmm hh hour hours hr uhrzeit stunde heure hora ora tijd uur godzina czas zeit"),
}
POSITION_WORDS = _names(
    "year yr month day week quarter hour minute second weekday wday dow dayofweek doy yday dayofyear decade date "
    "lat lon lng long latitude longitude coordinate coordinates coord elevation altitude"
)
AMOUNT_WORDS = _names("sentiment rating score stars target")  # labels that may well be forecast
OTHER_WORDS = _names("ds y value values count counts amount price quantity total length len size")
HEADER_WORDS = _names(
    "id index label name class category target key uri url image path file date datum time timestamp ds y value "
    "sentiment score rating"
)
UNDATED_WORDS = _names(  # whose columns are dates, whatever stands in them
    "date dates datum datetime timestamp fecha created updated published posted"
)

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_GLUED = re.compile(
    r"(?:user|store|shop|item|product|customer|order|station|team|game|player|page|session|device|sensor|city|movie|"
    r"event|match|poll|ticket|invoice|review|tweet|article|document|doc|transaction|dist|sch|school)s?id|\w{0,12}code|idno"
)


def words(name: str) -> list[str]:
    """The words of a column's name in lower case: `reviewText` and `review_text` have two."""
    return [word for word in re.split(r"[\W\d_]+", _CAMEL.sub(" ", name).casefold()) if word]


def is_identifier(name: str) -> bool:
    """Whether the column numbers or identifies the rows."""
    parts = words(name)
    return not parts or parts[-1] in IDENTIFIER_WORDS or bool(_GLUED.fullmatch("".join(parts)))


def is_label(name: str) -> bool:
    return is_identifier(name) or words(name)[-1] in LABEL_WORDS


def is_text(name: str) -> bool:
    """Whether the name promises texts: `review_body`, but neither `review_id` nor `review_date`."""
    return _promises(name, TEXT_WORDS) or any(term in name for term in TEXT_TERMS)


def is_prose(name: str) -> bool:
    """Whether the name promises words, though a column of texts beside it is the more likely input."""
    return _promises(name, PROSE_WORDS)


def is_date(name: str) -> bool:
    return bool(set(words(name)) & DATE_WORDS)


def is_undated(name: str) -> bool:
    """Whether the column holds dates even if none of them can be read."""
    parts = words(name)
    return bool(parts) and (parts[-1] in UNDATED_WORDS or parts[0] in UNDATED_WORDS) and not is_text(name)


def is_known(name: str) -> bool:
    """Whether a table's header is likely to have the name."""
    return is_text(name) or bool(set(words(name)) & (TEXT_WORDS | PROSE_WORDS | HEADER_WORDS))


def part_of_date(name: str) -> str | None:
    """The key in CALENDAR_WORDS for a column with a part of a date, such as `month` or `hour of day`."""
    parts = words(name)
    joined = "".join(parts)
    for key, known in CALENDAR_WORDS.items():
        if joined in known or (parts and parts[0] in known and parts[1:] in ([], ["of", "day"], ["of", "month"])):
            return key
    return None


def is_attribute(name: str) -> bool:
    """Whether numbers of this name say when, where or of which kind something was, not how much."""
    parts = words(name)
    if not parts:
        return False
    is_position = parts[-1] in POSITION_WORDS or bool({"latitude", "longitude", "coordinate"} & set(parts))
    return is_position or (parts[-1] in LABEL_WORDS - AMOUNT_WORDS) or {parts[0], parts[-1]} <= POSITION_WORDS


def _promises(name: str, promising: frozenset[str]) -> bool:
    parts = words(name)
    if not parts or not promising & set(parts):
        return False
    last = parts[-1]
    return last in promising or not (
        last in LABEL_WORDS | IDENTIFIER_WORDS | DATE_WORDS | OTHER_WORDS or last == "length"
    )
