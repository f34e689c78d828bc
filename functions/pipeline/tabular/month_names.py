"""The names of months and weekdays in 22 languages.

From the Unicode CLDR as in Babel 2.19.0: wide and abbreviated, alone and within dates, of the locales ca, cs, da, de,
el, en, es, fi, fr, hu, id, it, nb, nl, pl, pt, ro, ru, sk, sv, tr and uk; in lower case, without points, and also
without accents. No name means two months.
"""

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
