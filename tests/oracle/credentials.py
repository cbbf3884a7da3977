"""Made-up keys and tokens in the formats that providers publish."""

import string
from base64 import b64encode, urlsafe_b64encode
from random import Random

from oracle.personal import ALNUM, HEX, Make, digits, of, uuid

CAPITALS = string.ascii_uppercase + string.digits
BASE32 = string.ascii_uppercase + "234567"
LOWER = string.ascii_lowercase + string.digits
URL_SAFE = ALNUM + "_-"

# Prefix, alphabet and length of the rest.
FORMATS: dict[str, tuple[str, str, int]] = {
    "aws": ("AKIA", BASE32, 16), "aws sts": ("ASIA", BASE32, 16), "aws abia": ("ABIA", BASE32, 16),
    "google": ("AIza", URL_SAFE, 35), "google oauth": ("ya29.", URL_SAFE, 60),
    "github pat": ("ghp_", ALNUM, 36), "github oauth": ("gho_", ALNUM, 36),
    "github app": ("ghs_", ALNUM, 36), "github user": ("ghu_", ALNUM, 36),
    "github refresh": ("ghr_", ALNUM, 36), "github fine": ("github_pat_", ALNUM + "_", 82),
    "gitlab pat": ("glpat-", URL_SAFE, 20), "gitlab trigger": ("glptt-", HEX, 40),
    "gitlab deploy": ("gldt-", URL_SAFE, 20), "gitlab runner": ("glrt-", URL_SAFE, 20),
    "gitlab feed": ("glft-", URL_SAFE, 20), "gitlab mail": ("glimt-", URL_SAFE, 25),
    "gitlab agent": ("glagent-", URL_SAFE, 50), "gitlab oauth": ("gloas-", URL_SAFE, 64),
    "gitlab scim": ("glsoat-", URL_SAFE, 20), "gitlab flag": ("glffct-", URL_SAFE, 20),
    "gitlab register": ("GR1348941", URL_SAFE, 20), "openai": ("sk-", ALNUM, 48),
    "openai project": ("sk-proj-", URL_SAFE, 156), "anthropic": ("sk-ant-api03-", URL_SAFE, 95),
    "anthropic admin": ("sk-ant-admin01-", URL_SAFE, 95), "groq": ("gsk_", ALNUM, 52),
    "perplexity": ("pplx-", ALNUM, 48), "hugging face": ("hf_", string.ascii_letters, 34),
    "hugging face org": ("api_org_", string.ascii_letters, 34), "replicate": ("r8_", ALNUM, 37),
    "slack bot": ("xoxb-1234567890123-9876543210987-", ALNUM, 24),
    "slack user": ("xoxp-1234567890-1234567890-1234567890-", ALNUM, 32),
    "slack app": ("xapp-1-A0123456789-1234567890123-", HEX, 64),
    "slack legacy": ("xoxa-2-", ALNUM, 30), "slack refresh": ("xoxe-1-", CAPITALS, 146),
    "stripe live": ("sk_live_", ALNUM, 24), "stripe test": ("sk_test_", ALNUM, 99),
    "stripe restricted": ("rk_live_", ALNUM, 30), "stripe hook": ("whsec_", ALNUM, 32),
    "twilio": ("SK", HEX, 32), "mailgun": ("key-", HEX, 32),
    "npm": ("npm_", ALNUM, 36), "pypi": ("pypi-AgEIcHlwaS5vcmc", URL_SAFE, 85),
    "rubygems": ("rubygems_", HEX, 48), "clojars": ("CLOJARS_", LOWER, 60),
    "docker": ("dckr_pat_", URL_SAFE, 27), "digitalocean": ("dop_v1_", HEX, 64),
    "digitalocean oauth": ("doo_v1_", HEX, 64), "digitalocean refresh": ("dor_v1_", HEX, 64),
    "shopify": ("shpat_", HEX, 32), "shopify custom": ("shpca_", HEX, 32),
    "shopify private": ("shppa_", HEX, 32), "shopify shared": ("shpss_", HEX, 32),
    "square": ("sq0atp-", URL_SAFE, 22), "square prod": ("EAAA", URL_SAFE, 60),
    "facebook page": ("EAAC", ALNUM, 120), "databricks": ("dapi", HEX, 32),
    "linear": ("lin_api_", ALNUM, 40), "notion": ("ntn_", ALNUM, 46), "pulumi": ("pul-", HEX, 40),
    "postman": ("PMAK-", HEX, 59), "planetscale": ("pscale_tkn_", URL_SAFE, 43),
    "planetscale pw": ("pscale_pw_", URL_SAFE, 43), "prefect": ("pnu_", ALNUM, 36),
    "readme": ("rdme_", LOWER, 70), "doppler": ("dp.pt.", ALNUM, 43),
    "dynatrace": ("dt0c01.ABCDEFGHIJKLMNOPQRSTUVWX.", CAPITALS, 64),
    "vault": ("hvs.", URL_SAFE, 95), "vault batch": ("hvb.", URL_SAFE, 140),
    "sendgrid": ("SG.", URL_SAFE, 66), "alibaba": ("LTAI", ALNUM, 20),
    "easypost": ("EZAK", ALNUM, 54), "duffel": ("duffel_live_", URL_SAFE, 43),
    "fly": ("fo1_", URL_SAFE, 43), "fly macaroon": ("fm2_", ALNUM + "+/", 120),
    "frameio": ("fio-u-", URL_SAFE, 64), "grafana cloud": ("glc_", ALNUM + "+/", 60),
    "heroku": ("HRKU-AA", URL_SAFE, 58),
    "infracost": ("ico-", ALNUM, 32), "intra42": ("s-s4t2ud-", HEX, 64),
    "new relic": ("NRAK-", CAPITALS, 27), "new relic insert": ("NRII-", LOWER, 32),
    "octopus": ("API-", CAPITALS, 26), "openshift": ("sha256~", URL_SAFE, 43),
    "scalingo": ("tk-us-", URL_SAFE, 48), "sentry user": ("sntryu_", HEX, 64),
    "settlemint": ("sm_aat_", ALNUM, 16), "shippo": ("shippo_live_", HEX, 40),
    "sourcegraph": ("sgp_", HEX, 40), "typeform": ("tfp_", URL_SAFE, 59),
    "yandex": ("AQVN", URL_SAFE, 36), "adobe": ("p8e-", LOWER, 32),
    "age": ("AGE-SECRET-KEY-1", BASE32, 58),
    "artifactory": ("AKCp", ALNUM, 69), "artifactory ref": ("cmVmd", ALNUM, 59),
    "clickhouse": ("4b1d", ALNUM, 38), "flutterwave": ("FLWSECK_TEST-", "abcdefgh0123456789", 32),
    "1password": ("ops_eyJ", ALNUM, 260), "plaid": ("access-production-", HEX, 36),
    "lob": ("live_", HEX, 35), "atlassian": ("ATATT3", URL_SAFE, 186),
}  # fmt: skip


def of_format(name: str) -> Make:
    prefix, alphabet, length = FORMATS[name]

    def make(rng: Random) -> str:
        # The last byte is no punctuation that a sentence could claim.
        return prefix + of(rng, alphabet, length - 1) + rng.choice(alphabet.replace("-", ""))

    return make


def jwt(rng: Random) -> str:
    parts = ['{"alg":"HS256","typ":"JWT"}', f'{{"sub":"{of(rng, HEX, 12)}","iat":1516239022}}']
    texts = [urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return ".".join([*texts, of(rng, URL_SAFE.replace("-", ""), 43)])


def pem(rng: Random) -> str:
    kind = rng.choice(["RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED ", "DSA "])
    body = b64encode(of(rng, ALNUM, rng.randrange(200, 900)).encode()).decode()
    lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


def other(rng: Random) -> str:
    """Return a token that is known by more than its prefix."""
    return rng.choice(
        [
            f"{digits(rng, 9)}:A{of(rng, URL_SAFE, 33)}x",
            f"{of(rng, HEX, 32)}-us{rng.randrange(10, 21)}",
            f"{of(rng, ALNUM, 14)}.atlasv1.{of(rng, ALNUM, 67)}",
            f"abc{rng.randrange(10)}Q~{of(rng, ALNUM, 34)}",
            f"{of(rng, ALNUM, 6)}_{of(rng, ALNUM, 29)}_mmk",
            f"https://hooks.slack.com/services/T{of(rng, CAPITALS, 8)}/B{of(rng, CAPITALS, 8)}"
            f"/{of(rng, ALNUM, 24)}",
            f"xkeysib-{of(rng, HEX, 64)}-{of(rng, ALNUM, 16)}",
            f"glsa_{of(rng, ALNUM, 32)}_{of(rng, HEX, 8)}",
            f"pat.{of(rng, ALNUM, 22)}.{of(rng, ALNUM, 24)}.{of(rng, ALNUM, 20)}",
        ]
    )


# A line with one value of a secret, and which part of it is the secret.
def pair(rng: Random) -> tuple[str, str]:
    name = rng.choice(
        ["password", "DB_PASSWORD", "api_key", "apiKey", "client_secret", "SECRET_KEY", "passwd",
         "adminPassword", "x-api-key", "aws_secret_access_key", "pwd", "private_key", "Passphrase"]
    )  # fmt: skip
    value = rng.choice([of(rng, ALNUM + "!#%*_-", 12) + "x1", of(rng, HEX, 32), "correct-horse7"])
    form = rng.choice(
        ["{n}={v}", "{n}: {v}", '"{n}": "{v}"', "{n} = '{v}'", '{n} => "{v}"', "export {n}={v}",
         "--{n}={v}", "<{n}>{v}</{n}>", '{{\\"{n}\\": \\"{v}\\"}}', "?{n}={v}&page=1"]
    )  # fmt: skip
    return form.format(n=name, v=value), value


NAMED: dict[str, Make] = {
    "datadog": lambda rng: f"DATADOG_KEY={of(rng, LOWER, 40)}",
    "twitter": lambda rng: f'twitter_bearer: "{of(rng, ALNUM, 50)}"',
    "heroku": lambda rng: f"heroku_key = '{uuid(rng)}'",
    "okta": lambda rng: f"okta: 00{of(rng, URL_SAFE, 39)}x",
    "cohere": lambda rng: f"COHERE={of(rng, ALNUM, 40)}",
    "cloudflare": lambda rng: f"cloudflare-global: {of(rng, HEX, 37)}",
    "asana": lambda rng: f"asana_client={digits(rng, 16)}",
    "discord": lambda rng: f"discord_bot: {of(rng, HEX, 64)}",
    "generic": lambda rng: f"access_token={of(rng, ALNUM, 20)}7a",
    "bearer": lambda rng: f"Authorization: Bearer {of(rng, ALNUM, 30)}1",
}
"""Keys without a mark of their own, after the name of who gave them."""
