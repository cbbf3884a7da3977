"""Made-up personal data and secrets of many formats, and what only looks like them.

Each function takes a random.Random and returns one value; the same seed gives the same.
"""

import string
from collections.abc import Callable
from random import Random

Make = Callable[[Random], str]

HEX = "0123456789abcdef"
ALNUM = string.ascii_letters + string.digits
FIRST = ("anna", "Jürgen", "lucía", "wei", "Priya", "tom", "marie", "olu", "Sofia", "kenji", "j")
LAST = (
    "smith",
    "müller",
    "garcía",
    "chen",
    "patel",
    "O'Brien",
    "dubois",
    "okafor",
    "rossi",
    "sato",
)
HOSTS = ("example.com", "mail.example.org", "beispiel.de", "correo.es", "exemple.fr", "firma.co.uk",
         "ejemplo.com.mx", "acme.io", "uni-koeln.de", "team.example.net",
         "shop.example.store")  # fmt: skip


def of(rng: Random, alphabet: str, count: int) -> str:
    return "".join(rng.choices(alphabet, k=count))


def digits(rng: Random, count: int) -> str:
    return of(rng, string.digits, count)


def filled(rng: Random, template: str) -> str:
    """Fill in # by a digit, N by 2 to 9, anything else stays."""
    choice = {"#": string.digits, "N": "23456789"}
    return "".join(rng.choice(choice.get(c, c)) for c in template)


def email(rng: Random) -> str:
    ascii_only = str.maketrans("üíé", "uie", "'")
    first, last = (rng.choice(names).translate(ascii_only) for names in (FIRST, LAST))
    local = rng.choice(
        [
            f"{first}.{last}",
            f"{first}_{last}{rng.randrange(100)}",
            f"{first[0]}{last}",
            f"{first}+{of(rng, HEX, 4)}",
            f"{last}-{first}",
            f"{first}{rng.randrange(1950, 2010)}",
        ]
    )
    text = f"{local}@{rng.choice(HOSTS)}"
    return text.upper() if rng.random() < 0.05 else text


INTERNATIONAL = (
    "+1 N## N## ####", "+1-N##-N##-####", "+1 (N##) N##-####", "+1N##N######", "+44 20 7### ####",
    "+44 (0)20 7### ####", "+447#########", "+44 7### ######", "+49 30 #######",
    "+49 (0) 89 ######",
    "+49 151 ########", "+49-171-#######", "+33 1 ## ## ## ##", "+33 6 ## ## ## ##", "+33612######",
    "+34 6## ### ###", "+39 06 #### ####", "+39 3## ### ####", "+41 44 ### ## ##", "+31 6 ########",
    "+91 9#### #####", "+91-98########", "+81 3-####-####", "+81 90-####-####", "+86 138 #### ####",
    "+82 10-####-####", "+55 11 9####-####", "+52 55 #### ####", "+61 2 9### ####",
    "+61 4## ### ###",
    "+972 54-###-####", "+46 8 ### ### ##", "+48 5## ### ###", "+353 1 ### ####", "0049 30 #######",
    "001-N##-N##-####", "+420 7## ### ###", "+45 ## ## ## ##", "+7 9## ###-##-##",
    "+27 82 ### ####",
)  # fmt: skip
NATIONAL = (
    "(N##) N##-####", "N##-N##-####", "N##.N##.####", "1-N##-N##-####", "(N##)N##-####",
    "N##-N##-####x###", "N##-N##-#### ext. ##", "020 7### ####", "07### ######", "0161 ### ####",
    "(020) 7### ####", "030 #######", "030/#######", "0151 ########", "089-######", "(030) #######",
    "01 ## ## ## ##", "06.##.##.##.##", "06 #### ####", "6## ## ## ##", "044 ### ## ##",
    "020-#######", "06-########", "(02) 9### ####", "04## ### ###", "9#### #####", "03-####-####",
    "090-####-####", "(11) 9####-####", "054-###-####", "138 #### ####", "010-####-####",
)  # fmt: skip
BY_NAME = ("N##N######", "07#########", "06########", "N##-####", "9## ### ###", "138########")


def international_phone(rng: Random) -> str:
    return filled(rng, rng.choice(INTERNATIONAL))


def national_phone(rng: Random) -> str:
    return filled(rng, rng.choice(NATIONAL)).replace("0000", "4127")


def named_phone(rng: Random) -> str:
    return filled(rng, rng.choice(BY_NAME))


# Prefixes, length, groups.
CARDS = (
    (("4",), 16, (4, 4, 4, 4)), (("4",), 13, ()), (("4",), 19, (4, 4, 4, 4, 3)),
    (("51", "53", "55", "2221", "2600", "2720"), 16, (4, 4, 4, 4)),
    (("34", "37"), 15, (4, 6, 5)), (("300", "305", "36", "38"), 14, (4, 6, 4)),
    (("6011", "65", "644"), 16, (4, 4, 4, 4)), (("3528", "3589"), 16, (4, 4, 4, 4)),
    (("5018", "6304", "6759", "6763"), 12, ()), (("5020", "6761"), 16, (4, 4, 4, 4)),
    (("2131", "1800"), 15, ()), (("62",), 16, (4, 4, 4, 4)), (("62",), 19, ()),
)  # fmt: skip


def luhn_digit(number: str) -> str:
    total = sum(
        sum(divmod(2 * int(digit), 10)) if place % 2 == 0 else int(digit)
        for place, digit in enumerate(reversed(number))
    )
    return str(-total % 10)


def card(rng: Random) -> str:
    prefixes, length, groups = rng.choice(CARDS)
    prefix = rng.choice(prefixes)
    number = prefix + digits(rng, length - 1 - len(prefix))
    number += luhn_digit(number)
    separator = rng.choice(["", " ", "-"]) if groups else ""
    parts, at = [], 0
    for size in groups if separator else (length,):
        parts.append(number[at : at + size])
        at += size
    return separator.join(parts)


# Country, form of the account: # a digit, A a capital.
ACCOUNTS = (
    ("DE", "#" * 18), ("GB", "AAAA" + "#" * 14), ("FR", "#" * 10 + "#" * 11 + "##"),
    ("ES", "#" * 20), ("IT", "A" + "#" * 22), ("NL", "AAAA" + "#" * 10), ("CH", "#" * 17),
    ("AT", "#" * 16), ("BE", "#" * 12), ("PL", "#" * 24), ("SE", "#" * 20), ("NO", "#" * 11),
    ("DK", "#" * 14), ("FI", "#" * 14), ("PT", "#" * 21), ("IE", "AAAA" + "#" * 14),
    ("SA", "#" * 20), ("MT", "AAAA" + "#" * 23), ("LU", "#" * 16), ("CZ", "#" * 20),
    ("IL", "#" * 19), ("TR", "#" * 22), ("BR", "#" * 23 + "A#"), ("AE", "#" * 19),
)  # fmt: skip


def iban(rng: Random) -> str:
    country, form = rng.choice(ACCOUNTS)
    account = "".join(
        rng.choice(string.digits if c == "#" else string.ascii_uppercase) for c in form
    )
    number = int("".join(str(int(c, 36)) for c in account + country + "00"))
    text = f"{country}{98 - number % 97:02}{account}"
    if rng.random() < 0.5:
        return text
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def ssn(rng: Random) -> str:
    area = rng.choice([number for number in range(1, 900) if number != 666])
    separator = rng.choice("--- ")
    return f"{area:03}{separator}{rng.randrange(1, 100):02}{separator}{rng.randrange(1, 10000):04}"


def ip(rng: Random) -> str:
    if rng.random() < 0.7:
        first = rng.choice([n for n in range(1, 224) if n != 127])
        return ".".join(str(n) for n in (first, *(rng.randrange(256) for _ in range(3))))
    groups = [f"{rng.randrange(1, 65536):x}" for _ in range(8)]
    groups[0] = rng.choice(["2001", "2a02", "fe80", "fd12"])
    if rng.random() < 0.5:
        begin = rng.randrange(1, 5)
        return ":".join(groups[:begin]) + "::" + ":".join(groups[begin + 2 :])
    return ":".join(groups)


def uuid(rng: Random) -> str:
    return "-".join(of(rng, HEX, size) for size in (8, 4, 4, 4, 12))


LOOK_ALIKES: tuple[Make, ...] = (
    lambda rng: f"version {rng.randrange(9)}.{rng.randrange(30)}.{rng.randrange(99)}",
    lambda rng: f"v{rng.randrange(9)}.{rng.randrange(30)}.{rng.randrange(99)}.{rng.randrange(9)}",
    lambda rng: f"order {digits(rng, 10)}",
    lambda rng: f"order no. {digits(rng, 3)}-{digits(rng, 7)}",
    lambda rng: f"invoice INV-{rng.randrange(2020, 2027)}-{digits(rng, 6)}",
    lambda rng: f"ticket #{digits(rng, 7)}",
    lambda rng: f"sku {digits(rng, 3)}-{digits(rng, 3)}-{digits(rng, 4)}",
    lambda rng: of(rng, HEX, 32),
    lambda rng: of(rng, HEX, 40),
    lambda rng: f"sha256:{of(rng, HEX, 64)}",
    uuid,
    lambda rng: f"{rng.randrange(1990, 2030)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}",
    lambda rng: f"{rng.randrange(2020, 2030)}-11-01T{rng.randrange(24):02}:15:30.{digits(rng, 6)}Z",
    lambda rng: f"{rng.randrange(1, 29):02}.{rng.randrange(1, 13):02}.{rng.randrange(1990, 2030)}",
    lambda rng: f"{rng.randrange(1, 13):02}/{rng.randrange(1, 29):02}/{digits(rng, 4)} 10:30",
    lambda rng: f"{rng.random():.17f}",
    lambda rng: f"{rng.uniform(-180, 180):.6f}, {rng.uniform(-90, 90):.6f}",
    lambda rng: f"{rng.random() * 1e9:,.2f}",
    lambda rng: f"{rng.randrange(10**9):,}",
    lambda rng: f"prompt_tokens={rng.randrange(100_000)}, max_tokens: {rng.randrange(10_000)}",
    lambda rng: f"token count: {rng.randrange(10**6)}",
    lambda rng: f"{1_700_000_000_000 + rng.randrange(10**11)}",
    lambda rng: f"id={of(rng, '123456789', 9)}",
    lambda rng: f"ISBN 978-{digits(rng, 1)}-{digits(rng, 2)}-{digits(rng, 6)}-{digits(rng, 1)}",
    lambda rng: f"commit {of(rng, HEX, 7)}",
    lambda rng: f"std::vector<{rng.choice(['int', 'std::string'])}> a::b",
    lambda rng: f"x[::{rng.randrange(2, 9)}] + y[{rng.randrange(9)}:{rng.randrange(9, 99)}]",
    lambda rng: f"00:1a:{of(rng, HEX, 2)}:{of(rng, HEX, 2)}:3c:4d",
    lambda rng: f"{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}",
    lambda rng: f"{digits(rng, 4)} {digits(rng, 4)} {digits(rng, 4)}",
    lambda rng: f"#{of(rng, HEX, 6)} #{of(rng, HEX, 8)}",
    lambda rng: f"icon-{rng.randrange(99)}@2x.png",
    lambda rng: f"root@host-{rng.randrange(99)}:~$ ls",
    lambda rng: f"lodash@{rng.randrange(9)}.{rng.randrange(20)}.{rng.randrange(20)}",
    lambda rng: f"numpy=={rng.randrange(3)}.{rng.randrange(30)}.{rng.randrange(9)}",
    lambda rng: rng.choice(["127.0.0.1:8080", "http://localhost:3000/a", "0.0.0.0", "::1"]),
    lambda rng: rng.choice(
        [
            'password = os.environ["DB_PASSWORD"]', "password: str", "api_key=None",
            "Password: must contain at least 8 characters", 'secret: "${SECRET}"',
            "token = get_token()", "my secretary: Jane", "sk-learn-contrib-project-template",
            "the access token expires", "tokens: 512", "password: ********", "key: value",
            "tokenizer: cl100k_base", "author: Jane Doe", "session: 12", "primary_key=True",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "eyJ is how a JWT begins",
            "hf_hub_download",
        ]
    ),
    lambda rng: f"s3://bucket/{of(rng, HEX, 8)}/part-{digits(rng, 5)}.parquet",
    lambda rng: f"pid {rng.randrange(99999)} took {rng.random() * 1000:.3f} ms",
    lambda rng: f"trace_id={of(rng, HEX, 32)} span_id={of(rng, HEX, 16)}",
)  # fmt: skip
"""Numbers and names that are nobody's."""
