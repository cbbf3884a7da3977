"""Which names say that their value is a secret; `_`, `-`, `.`, spaces and case do not count."""

from typing import Final

STRONG: Final = (
    "password", "passwd", "passphrase", "passcode", "pwd", "secret", "api_key", "access_key",
    "private_key", "secret_key", "auth_key", "encryption_key", "signing_key", "account_key",
    "subscription_key", "consumer_key", "master_key", "shared_key", "license_key", "credential",
    "auth_token", "bearer_token", "refresh_token",
)  # fmt: skip
"""Whatever their value is."""

WEAK: Final = (
    "token", "authorization", "session", "cookie", "creds", "api", "auth", "webhook_url",
)  # fmt: skip
"""At the end of a name, where the value looks random."""

PROVIDERS: Final = (
    "adafruit", "adobe", "airtable", "algolia", "alibaba", "artifactory", "asana", "atlassian",
    "beamer", "bintray", "bitbucket", "bittrex", "cloudflare", "codecov", "cohere", "coinbase",
    "confluence", "confluent", "contentful", "contribsys", "datadog", "discord", "droneci",
    "dropbox", "etsy", "facebook", "fastly", "finicity", "finnhub", "flickr", "freshbooks",
    "gitter", "gocardless", "heroku", "hubspot", "intercom", "jfrog", "jira", "kraken", "kucoin",
    "launchdarkly", "linear", "linkedin", "lob", "mailchimp", "mailgun", "mapbox", "mattermost",
    "meraki", "messagebird", "netlify", "newrelic", "newyorktimes", "nytimes", "okta", "plaid",
    "privateai", "rapidapi", "sendbird", "sentry", "sidekiq", "snyk", "sonar", "sourcegraph",
    "squarespace", "sumo", "telegr", "travis", "twitch", "twitter", "typeform", "xray", "yandex",
    "zendesk",
)  # fmt: skip
"""Providers whose keys have no mark of their own: their name, and a long random value."""
