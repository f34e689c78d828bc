"""The names of months and weekdays in 22 languages, and of the parts of a date in more.

Months and weekdays are those of the Unicode CLDR as in Babel 2.19.0: wide and abbreviated, alone and within dates, of
the locales ca, cs, da, de, el, en, es, fi, fr, hu, id, it, nb, nl, pl, pt, ro, ru, sk, sv, tr and uk; in lower case,
without points, and also without accents. No name means two months. The parts are the CLDR's units of these locales and
of bg, et, hr, ja, ko, lt, lv, sl, vi and zh, with words that tables use beside them.
"""

import unicodedata

_PLAIN = str.maketrans("łøđßıæœ", "lodsiao")

_MONTHS = (
    (
        "ene enero gen gener gennaio ian ianuarie jan janeiro januar januara januari january január januára janv "
        "janvier jän jänner led leden ledna oca ocak sty styczen styczeń stycznia tammi tammikuu tammikuuta ιαν "
        "ιανουάριοσ ιανουαρίου ιανουαριοσ ιανουαριου січ січень січня янв январь января"
    ),
    (
        "feb febbraio febr febrer febrero februar februara februari februarie february február februára fev "
        "fevereiro fevr fevrier févr février helmi helmikuu helmikuuta lut lutego luty sub subat uno unor unora "
        "úno únor února şub şubat φεβ φεβρουάριοσ φεβρουαρίου φεβρουαριοσ φεβρουαριου лют лютии лютий лютого февр "
        "февраль февраля"
    ),
    (
        "bre brezen brezna bře březen března maalis maaliskuu maaliskuuta maart maerz mar marc marca march "
        "marcius marco marec maret mars mart martie marts marz marzec marzo març março mrt mrz márc március mär "
        "märz μάρ μάρτιοσ μαρ μαρτίου μαρτιοσ μαρτιου бер березень березня мар март марта"
    ),
    (
        "abr abril apr april aprila aprile aprilie aprilis apríl apríla avr avril dub duben dubna huhti huhtikuu "
        "huhtikuuta kwi kwiecien kwiecień kwietnia nis nisan ápr április απρ απρίλιοσ απριλίου απριλιοσ απριλιου "
        "апр апрель апреля квіт квітень квітня"
    ),
    (
        "kve kveten kvetna kvě květen května mag maggio mai maig maio maj maja majus may mayo mayıs mei máj mája "
        "május touko toukokuu toukokuuta μάι μάιοσ μαι μαιοσ μαιου маи май мая трав травень травня"
    ),
    (
        "cerven cervna cvn cze czerwca czerwiec giu giugno haz haziran iun iunie juin jun juna june junho juni "
        "junio junius juny jún júna június kesa kesakuu kesakuuta kesä kesäkuu kesäkuuta červen června čvn ιουν "
        "ιουνίου ιουνιοσ ιουνιου ιούν ιούνιοσ июн июнь июня черв червень червня"
    ),
    (
        "cervence cervenec cvc heina heinakuu heinakuuta heinä heinäkuu heinäkuuta iul iulie juil juillet jul "
        "jula julho juli julio juliol julius july júl júla július lip lipca lipiec lug luglio tem temmuz července "
        "červenec čvc ιουλ ιουλίου ιουλιοσ ιουλιου ιούλ ιούλιοσ июл июль июля лип липень липня"
    ),
    (
        "ag ago agost agosto agu agustos agustus aout août aug august augusta augusti augustus augusztus ağu "
        "ağustos elo elokuu elokuuta sie sierpien sierpień sierpnia srp srpen srpna αυγ αυγουστοσ αυγουστου "
        "αυγούστου αύγ αύγουστοσ авг август августа серп серпень серпня"
    ),
    (
        "eyl eylul eylül sep sept september septembra septembre septembrie septiembre set setembre setembro "
        "settembre syys syyskuu syyskuuta szept szeptember wrz wrzesien wrzesień wrzesnia września zar zari zář "
        "září σεπ σεπτέμβριοσ σεπτεμβρίου σεπτεμβριοσ σεπτεμβριου вер вересень вересня сент сентябрь сентября"
    ),
    (
        "eki ekim loka lokakuu lokakuuta oct october octobre octombrie octubre okt oktober oktobra október "
        "októbra ott ottobre out outubro paz pazdziernik pazdziernika paź październik października rij rijen "
        "rijna říj říjen října οκτ οκτωβρίου οκτωβριοσ οκτωβριου οκτώβριοσ жовт жовтень жовтня окт октябрь "
        "октября"
    ),
    (
        "kas kasım lis listopad listopada listopadu marras marraskuu marraskuuta noiembrie nov november novembra "
        "novembre novembro noviembre νοέ νοέμβριοσ νοε νοεμβρίου νοεμβριοσ νοεμβριου лист листопад листопада нояб "
        "ноябрь ноября"
    ),
    (
        "ara aralık dec december decembra decembre decembrie des desember desembre dez dezember dezembro dic "
        "dicembre diciembre déc décembre gru grudnia grudzien grudzień joulu joulukuu joulukuuta pro prosince "
        "prosinec δεκ δεκέμβριοσ δεκεμβρίου δεκεμβριοσ δεκεμβριου груд грудень грудня дек декабрь декабря"
    ),
)
_WEEKDAYS = (
    "car carsamba cmt cs csutortok csütörtök ct ctvrtek cum cuma cumartesi czw czwartek dc dg di dienstag dijous "
    "dilluns dim dimanche dimarts dimecres dinsdag dissabte diumenge divendres dj dl do dom domenica domingo "
    "donderdag donnerstag ds dt dum duminica duminică dv fr fre fredag freitag fri friday gio giovedi giovedì "
    "hetfo hétfő jeu jeudi joi jue jueves jum jumat kam kamis ke kedd keskiviikko keskiviikkona la lauantai "
    "lauantaina lor lordag lun lundi lunedi lunedì lunes luni lör lördag lør lørdag ma maanantai maanantaina "
    "maandag man mandag mar mardi martedi martedì martes marti marți mer mercoledi mercoledì mercredi mi mie "
    "miercoles miercuri min minggu mittwoch mié miércoles mo mon monday montag mån måndag ne nedela nedele nedeľa "
    "neděle niedz niedziela ons onsdag pa patek paz pazar pazartesi pe pentek per perjantai perjantaina persembe "
    "perşembe pi piatek piatok piątek po pon pondeli pondelok pondělí poniedziałek pt pzt pá pátek péntek qua "
    "quarta qui quinta rab rabu sa sab sabado sabato sabtu sal salı sam sambata samedi samstag sat saturday seg "
    "segunda sel selasa sen senin sex sexta so sob sobota son sondag sonntag sr sroda st streda stvrtok středa su "
    "sun sunday sunnuntai sunnuntaina sze szerda szo szombat sáb sábado sâm sâmbătă sön söndag søn søndag ter "
    "terca terça thu thursday ti tiistai tiistaina tir tirs tirsdag tis tisdag to tor tors torsdag torstai "
    "torstaina tue tuesday ut utery utorok vasarnap vasárnap ven vendredi venerdi venerdì vie viernes vin vineri "
    "vr vrijdag wed wednesday wo woensdag wt wtorek za zaterdag zo zondag çar çarşamba út úterý čt čtvrtek śr "
    "środa št štvrtok δευ δευτέρα δευτερα κυρ κυριακή κυριακη πέμ πέμπτη παρ παρασκευή παρασκευη πεμ πεμπτη σάβ "
    "σάββατο σαβ σαββατο τετ τετάρτη τεταρτη τρί τρίτη τρι τριτη воскресенье вс вт вторник вівторок нд неділя "
    "пʼятниця пн понедельник понеділок пт пятница сб середа ср среда суббота субота четвер четверг чт"
)

MONTHS = {name: number for number, names in enumerate(_MONTHS, start=1) for name in names.split()}
WEEKDAYS = frozenset(_WEEKDAYS.split())

_PARTS = {
    "year": (
        "year years yr yyyy fiscalyear jahr jahre année annees an ans año años any anys ano anos anno anni jaar "
        "jaren rok roku roky lata år aar vuosi év ev yıl tahun god godina leto aasta metai gads год году годы рік "
        "роки година έτος χρόνος ετος 年 年份 年度 年次 년 년도 연도 năm"
    ),
    "month": (
        "month months mon mm mth monat monate mois mes meses mês mese mesi mesos maand maanden miesiąc miesiące "
        "měsíc měsíce mesiac mesiace måned månad kuukausi kk hónap honap ay bulan lună luna mjesec mesec mėnuo "
        "mėnesis mēnesis kuu месяц місяць месец μήνας μηνας 月 月份 월 개월 tháng"
    ),
    "quarter": (
        "quarter qtr q qu quartal quartale trimestre trimestres trimestru kwartaal kwartał čtvrtletí štvrťrok štvrtrok "
        "kvartal neljännes vuosineljännes negyedév çeyrek kuartal triwulan četvrtina kvartál četrtletje ketvirtis "
        "ceturksnis квартал тримесечие τρίμηνο τέταρτο 季 季度 四半期 분기 quý"
    ),
    "week": (
        "week weeks wk kw isoweek weekofyear woche wochen kalenderwoche semaine semana setmana settimana tydzień týden "
        "týždeň uge uke vecka vecko viikko hét het hafta minggu săptămână săptămâna tjedan teden savaitė nedēļa nädal "
        "неделя тиждень седмица εβδομάδα εβδομαδα 周 星期 週 주 tuần"
    ),
    "day": (
        "day days dd dom dayofmonth dateofmonth mday tag tage jour jours día dia dias giorno giorni dag dagen dzień "
        "den deň dan døgn dygn päivä nap gün hari zi ziua diena ööpäev день дні ден ημέρα μέρα ημερα 日 日子 일 ngày"
    ),
    "time": (
        "time timeofday hhmm hh hour hours hr uhrzeit stunde stunden zeit heure hora horas ora ore tijd uur uren "
        "godzina czas hodina hodiny čas klokkeslæt klokkeslett timme tunti kellonaika klockslag óra idő saat jam oră "
        "sat ura valanda stunda tund час время години ώρα ωρα 时间 小时 時刻 時間 시간 시각 giờ"
    ),
}
_DATES = (
    "date dates datum datums datetime timestamp ds dt fecha fechas data datas dato dátum päivämäärä pvm päiväys "
    "dátumok tarih tanggal дата даты ημερομηνία ημερομηνια kuupäev datuma datums datos 日期 日付 日時 年月 年月日 "
    "날짜 일자 일시 period periode período periodo période období obdobie okres fy"
)


def unaccented(word: str) -> str:
    """The word as people write it whose keyboard lacks its letters."""
    letters = unicodedata.normalize("NFKD", word)
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).translate(_PLAIN)


def spelled(words: str) -> frozenset[str]:
    """The words in lower case, with and without accents."""
    listed = unicodedata.normalize("NFC", words.casefold()).split()
    return frozenset(listed) | frozenset(map(unaccented, listed))


PARTS = {part: spelled(words) for part, words in _PARTS.items()}
"""What columns with a part of a date are called."""
DATES = spelled(_DATES).union(*PARTS.values())
"""What columns with dates or parts of them are called."""
