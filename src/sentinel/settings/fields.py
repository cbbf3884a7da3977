"""Types of values that several sections share."""

from typing import Annotated

from msgspec import Meta

from sentinel.settings.secret import Secret

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Address = Annotated[str, Meta(min_length=1, max_length=2048)]
SecretWord = Annotated[
    Secret | None, Meta(description="Better from the environment, ${VAR}, or a file.")
]
SecretFile = Annotated[Name | None, Meta(description="File that holds the secret instead.")]
