"""Texts with personal data and secrets at known places, and texts with none: prose in several
languages, chat, code, JSON and logs."""

from random import Random
from typing import NamedTuple

from oracle import credentials, personal
from oracle.personal import LOOK_ALIKES, Make


class Labelled(NamedTuple):
    """A text, and where in it what stands: begin, end, kind."""

    text: str
    spans: list[tuple[int, int, str]]


PLAIN = (
    "The quarterly report shows that revenue grew by 12.4 % while costs fell.",
    "Could you summarise the following paragraph in three sentences, please?",
    "Der Zug fährt um 9:15 Uhr von Gleis 7 ab und braucht 3 Stunden.",
    "Veuillez résumer ce texte en 200 mots et garder le ton formel.",
    "El modelo respondió en 2,5 segundos con 812 tokens de entrada.",
    "请用三句话总结下面的文章，并保留所有数字。",
    "次の文章を英語に翻訳してください。第3章の表2も含めます。",
    "def mean(values: list[float]) -> float:\n    return sum(values) / len(values)",
    "SELECT id, name FROM users WHERE created_at > '2024-01-01' LIMIT 100;",
    '{"model": "gpt-4o", "temperature": 0.7, "max_tokens": 1024, "stop": ["\\n"]}',
    "2026-03-02T09:00:01Z INFO request done status=200 duration_ms=2310 bytes=48211",
    "for i in range(10):\n    print(f'{i:>3} {i ** 2}')  # squares",
    "Step 1: preheat the oven to 180 C. Step 2: mix 250 g flour with 3 eggs.",
    "if (x >= 0 && y != 1) { return a[i] -> next; } // see section 4.2.1",
    "The API returns `429 Too Many Requests`; retry after 30 seconds.",
    "docker run -p 8080:80 --name web nginx:1.25.3 && curl http://localhost:8080/health",
)
CARRIERS = (
    "Hi, my colleague gave me this: {}. Is that right?",
    "{} is what the form says.",
    "Please update the record ({}) before Friday, thanks!",
    "user: here it is {}\nassistant: got it",
    '{{"role": "user", "content": "{}"}}',
    "2026-03-02T09:00:01Z WARN input rejected value={} status=400",
    "- name: Anna\n- value: {}\n- note: none",
    "Bitte trage {} in das Formular ein.",
    "Voici l'information : {}, merci de la confirmer.",
    "Los datos son {} según el cliente.",
    "请更新记录：{}，谢谢。",
    'record = ["{}", 3, None]  # from the import',
    "| Anna | {} | active |",
    "<td>{}</td>",
)
PHONE_CARRIERS = (
    "Call me at {} after six.",
    "phone: {}",
    '{{"name": "Anna", "phone": "{}"}}',
    "Tel. {} (mornings only)",
    "Meine Handynummer ist {}.",
    "mobile={} country=DE",
    "Mon téléphone : {}",
    "Mi teléfono es {}, gracias",
    "我的电话是{}。",
)
KINDS: dict[str, Make] = {
    "EMAIL": personal.email,
    "CARD": personal.card,
    "IBAN": personal.iban,
    "SSN": personal.ssn,
    "IP": personal.ip,
}
SECRET_KINDS = ("API_KEY", "JWT", "PRIVATE_KEY", "SECRET")


def _placed(carrier: str, value: str, kind: str) -> Labelled:
    before, after = carrier.format("\0").split("\0")
    return Labelled(before + value + after, [(len(before), len(before) + len(value), kind)])


def phone(rng: Random) -> Labelled:
    drawn = rng.random()
    if drawn < 0.45:
        return _placed(rng.choice(CARRIERS), personal.international_phone(rng), "PHONE")
    if drawn < 0.8:
        return _placed(rng.choice(CARRIERS + PHONE_CARRIERS), personal.national_phone(rng), "PHONE")
    return _placed(rng.choice(PHONE_CARRIERS[1:]), personal.named_phone(rng), "PHONE")


def secret(rng: Random) -> Labelled:
    drawn = rng.random()
    if drawn < 0.6:
        name = rng.choice(list(credentials.FORMATS))
        return _placed(rng.choice(CARRIERS), credentials.of_format(name)(rng), "API_KEY")
    if drawn < 0.65:
        return _placed(rng.choice(CARRIERS), credentials.other(rng), "API_KEY")
    if drawn < 0.7:
        return _placed(rng.choice(CARRIERS), credentials.jwt(rng), "JWT")
    if drawn < 0.75:
        return _placed("here it is:\n{}\nthanks", credentials.pem(rng), "PRIVATE_KEY")
    text, value = credentials.pair(rng)
    begin = text.rindex(value) if not text.startswith("<") else text.index(value)
    return Labelled(text, [(begin, begin + len(value), "SECRET")])


def one(rng: Random) -> Labelled:
    """Return a text with one labelled value, between plain ones or alone."""
    kind = rng.choice([*KINDS, "PHONE", "PHONE", "SECRET"])
    if kind == "PHONE":
        middle = phone(rng)
    elif kind == "SECRET":
        middle = secret(rng)
    else:
        middle = _placed(rng.choice(CARRIERS), KINDS[kind](rng), kind)
    before = rng.choice(PLAIN) + "\n" if rng.random() < 0.5 else ""
    after = "\n" + rng.choice(PLAIN) if rng.random() < 0.5 else ""
    shift = len(before)
    spans = [(begin + shift, end + shift, kind) for begin, end, kind in middle.spans]
    return Labelled(before + middle.text + after, spans)


def harmless(rng: Random) -> Labelled:
    """Return a text in which there is nothing to find."""
    if rng.random() < 0.3:
        return Labelled("\n".join(rng.choices(PLAIN, k=rng.randrange(1, 4))), [])
    carrier = rng.choice(CARRIERS)
    return Labelled(carrier.format(rng.choice(LOOK_ALIKES)(rng)), [])


def labelled(seed: int, count: int) -> list[Labelled]:
    """Return texts, two of three with something in them."""
    rng = Random(seed)
    return [harmless(rng) if number % 3 == 0 else one(rng) for number in range(count)]


class Score(NamedTuple):
    """How much of what is there was found, and how much of what was found is there."""

    there: int
    recall: float
    found: int
    precision: float


def group_of(kind: str) -> str:
    return "SECRET" if kind in SECRET_KINDS else kind


def scores(texts: list[Labelled], found: list[list[tuple[int, int, str]]]) -> dict[str, Score]:
    """Return the score of each kind; what overlaps is found, secrets of any sort are one kind."""
    kinds = sorted({group_of(span[2]) for text in texts for span in text.spans})
    result = {}
    for kind in kinds:
        there = hits = claimed = right = 0
        for text, spans in zip(texts, found, strict=True):
            wanted = [span for span in text.spans if group_of(span[2]) == kind]
            got = [span for span in spans if group_of(span[2]) == kind]
            there += len(wanted)
            claimed += len(got)
            hits += sum(any(a[0] < b[1] and b[0] < a[1] for b in got) for a in wanted)
            right += sum(any(a[0] < b[1] and b[0] < a[1] for b in wanted) for a in got)
        result[kind] = Score(there, hits / max(there, 1), claimed, right / max(claimed, 1))
    return result
