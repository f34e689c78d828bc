"""What the names of columns suggest about their contents, in the languages that people write them in."""

import re
import unicodedata

from pipeline.tabular.vocabulary import calendar_names
from pipeline.tabular.vocabulary.calendar_names import spelled

TEXT_WORDS = spelled(
    "text texts review reviews comment comments message messages msg body content contents sentence sentences "
    "document tweet tweets post posts feedback utterance transcript verbatim sms kommentar kommentare nachricht "
    "inhalt rezension satz texte avis commentaire contenu phrase texto reseña resena comentario comentários "
    "comentário comentarios opinión mensaje contenido frase avaliação mensagem conteúdo testo recensione commento "
    "messaggio contenuto tekst opmerking bericht recensie opinia komentarz recenzja wiadomość treść текст отзыв "
    "комментарий сообщение komentář komentár zpráva správa recenze recenzia obsah věta veta hodnocení hodnotenie "
    "kommentti viesti arvostelu teksti sisältö recension omdöme meddelande innehåll anmeldelse besked indhold melding "
    "innhold szöveg vélemény üzenet tartalom metin yorum mesaj içerik değerlendirme teks ulasan komentar pesan isi "
    "comentariu recenzie mesaj conținut komentar recenzija poruka sadržaj відгук коментар повідомлення κείμενο κριτική "
    "σχόλιο μήνυμα"
)
PROSE_WORDS = spelled(
    "opinion article statement abstract title titles headline headlines summary subject description descriptions "
    "question questions answer answers note notes remark remarks reason explanation details caption overview plot "
    "lyrics quote quotes story response complaint titel betreff beschreibung frage antwort bemerkung notiz titre "
    "résumé réponse título titulo resumen descripción descripcion pregunta respuesta resumo descrição pergunta "
    "resposta titolo descrizione domanda risposta omschrijving vraag antwoord tytuł opis pytanie odpowiedź заголовок "
    "описание вопрос ответ popis název názov otázka odpověď odpoveď poznámka otsikko kuvaus kysymys vastaus rubrik "
    "beskrivning fråga svar titel beskrivelse spørsmål spørgsmål cím leírás kérdés válasz megjegyzés başlık açıklama "
    "soru cevap not judul deskripsi pertanyaan jawaban titlu descriere întrebare răspuns заголовок опис питання "
    "відповідь τίτλος περιγραφή ερώτηση απάντηση"
)
TEXT_TERMS = (  # of scripts without spaces, where a name is one word
    *("评论", "文本", "内容", "正文", "评价", "句子", "留言", "評論", "內容", "文章"),
    *("テキスト", "本文", "レビュー", "コメント", "感想", "口コミ"),
    *("리뷰", "댓글", "내용", "본문", "텍스트"),
    *("ข้อความ", "รีวิว", "ความคิดเห็น", "เนื้อหา"),
)
IDENTIFIER_WORDS = spelled(
    "id ids identifier idx index rowname rownames row rows rownum rownumber no nr num obs code codes key uuid "
    "guid serial seq sequence zip zipcode postcode plz phone telephone sku isbn ean asin fips ssn iban account "
    "unnamed uid pid"
)
LABEL_WORDS = spelled(
    "name names label labels class category categories target type types kind status style group genre gender sex "
    "author user username brand company city country state county region address location street place email mail "
    "url uri link href path file filename image photo picture language lang source tag tags sentiment rating "
    "score stars hash sha md autor nom nombre nome naam imię ville ciudad stadt ort land pays país kategorie "
    "catégorie categoría"
)
DATE_WORDS = calendar_names.DATES
POSITION_WORDS = spelled(
    "year yr month day week quarter hour minute second weekday wday dow dayofweek doy yday dayofyear decade date "
    "lat lon lng long latitude longitude coordinate coordinates coord elevation altitude"
)
AMOUNT_WORDS = spelled("sentiment rating score stars target")  # labels that may well be forecast
OTHER_WORDS = spelled("ds y value values count counts amount price quantity total length len size")
HEADER_WORDS = spelled(
    "id index label name class category target key uri url image path file date datum time timestamp ds y value "
    "sentiment score rating"
)
NAME_WORDS = spelled(  # that stand beside others in names
    "customer client user guest buyer hotel product item app movie film book news email mail full raw clean cleaned "
    "original translated english processed normalized preprocessed your the of in a or and is was by per for from to "
    "positive negative open free main additional general other first last final new old start end field column data "
    "input output predicted actual support ticket chat call survey user's customer's created updated published posted "
    "kunden nutzer produkt del de la le du des der die das von client produit cliente producto klient produkt"
)
UNDATED_WORDS = spelled(  # whose columns are dates, whatever stands in them
    "date dates datum datetime timestamp fecha dato dátum päivämäärä pvm tarih tanggal дата ημερομηνία kuupäev 日期 "
    "日付 日時 날짜 일자 일시 created updated published posted"
)
DATE_TERMS = ("日期", "日付", "日時", "时间", "時間", "年月", "날짜", "일시", "วันที่")  # as TEXT_TERMS
VALUES = tuple(  # what series are of, the likeliest first; a line has the words of one meaning
    map(
        spelled,
        (
            "y",
            "value values wert werte valor valores valeur valore valori waarde wartość hodnota hodnoty värde verdi "
            "værdi arvo érték değer nilai valoare vrijednost vrednost значение значення τιμή 值 数值 値 값",
            "sales verkäufe absatz ventas ventes vendite vendas verkoop verkopen sprzedaż tržby tržba predaj prodej "
            "försäljning salg myynti eladás satış satışlar penjualan vânzări prodaja продажи продажі πωλήσεις 销量 "
            "销售额 売上 売上高 매출 매출액 판매량",
            "demand nachfrage demanda demande domanda vraag popyt poptávka",
            "amount betrag importe montant importo bedrag kwota částka suma belopp beløb summa összeg tutar jumlah "
            "сумма сума ποσό 金额 金額 금액",
            "count anzahl aantal liczba počet antal antall lukumäärä darab sayı количество кількість 数量 件数 수량",
            "quantity qty menge cantidad quantité quantità quantidade hoeveelheid ilość množství množstvo mængde mängd "
            "mengde määrä mennyiség miktar cantitate",
            "revenue umsatz umsätze ingresos ricavi fatturato receita faturamento omzet przychód obrat "
            "omsättning omsætning omsetning liikevaihto bevétel gelir pendapatan venituri выручка έσοδα 收入 営業収入",
            "total gesamt totaal razem celkem spolu summe toplam итого",
            "close schlusskurs cierre clôture chiusura 收盘 収盤 終値 종가",
            "adjclose",
            "price preis kurs precio prix prezzo preço prijs cena pris hinta ár fiyat harga preț цена ціна price "
            "价格 価格 가격",
            "volume volumen",
            "units stück unidades unités",
            "orders bestellungen pedidos commandes ordini",
            "visits besuche visitas visites",
            "load last",
            "cnt",
            "target",
        ),
    )
)

_ANY_NAME = TEXT_WORDS.union(
    PROSE_WORDS,
    IDENTIFIER_WORDS,
    LABEL_WORDS,
    DATE_WORDS,
    OTHER_WORDS,
    HEADER_WORDS,
    NAME_WORDS,
    POSITION_WORDS,
    *VALUES,
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_GLUED = re.compile(
    r"(?:user|store|shop|item|product|customer|order|station|team|game|player|page|session|device|sensor|city|movie|"
    r"event|match|poll|ticket|invoice|review|tweet|article|document|doc|transaction|dist|sch|school)s?id|\w{0,12}code|idno"
)


def words(name: str) -> list[str]:
    """The words of a column's name in lower case: `reviewText` and `review_text` have two."""
    name = unicodedata.normalize("NFC", _CAMEL.sub(" ", name).casefold())
    return [word for word in re.split(r"[\W\d_]+", name) if word]


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
    is_named = bool(parts) and (parts[-1] in UNDATED_WORDS or parts[0] in UNDATED_WORDS)
    return (is_named or any(term in name for term in DATE_TERMS)) and not is_text(name)


def is_known(name: str) -> bool:
    """Whether a table's header is likely to have the name."""
    return is_text(name) or bool(set(words(name)) & (TEXT_WORDS | PROSE_WORDS | HEADER_WORDS))


def is_plain(name: str) -> bool:
    """Whether the words are those that names are made of: `Customer review` is such a name, `Great review` a text."""
    return not re.search(r"\s", name.strip()) or all(word in _ANY_NAME for word in words(name))


def part_of_date(name: str) -> str | None:
    """The key in PARTS for a column with a part of a date, such as `month` or `hour of day`."""
    parts = words(name)
    joined = "".join(parts)
    for key, known in calendar_names.PARTS.items():
        if joined in known or (parts and parts[0] in known and parts[1:] in ([], ["of", "day"], ["of", "month"])):
            return key
    return None


def place_of_value(name: str) -> int:
    """The place in VALUES of a name that is one of its words, else their number."""
    plain = re.sub(r"[\s_]+", "", unicodedata.normalize("NFC", name.casefold()))
    return next((place for place, known in enumerate(VALUES) if plain in known), len(VALUES))


def is_value(name: str) -> bool:
    """Whether one word of the name is that of a value, as in `total_sales`."""
    return any(word in known for word in words(name) for known in VALUES)


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
