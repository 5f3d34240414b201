"""Which secrets may be masked: those that no guess finds, and that no text has in it by itself."""

from __future__ import annotations

import secrets
import string
import uuid

import pytest

from connvault_jupyter.services.secrets.guessability import MIN_CHARS, maskable


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "redis",
        "vKq7Rz2mXw9TbL4",
        "a" * 40,
        "abcabcabcabcabcabcabcabc",
        "1234567890123456789012",
        "abcdefghijklmnopqrstuvwxyz",
        "qwertyuiopasdfghjkl",
        "Passw0rd!Passw0rd!Passw0rd!",
        "redis-production-password-2024",
        "my-super-secret-database-password",
        "correcthorsebatterystaple",
        "Welcome2024!Welcome2025!",
        "company-jupyter-staging-token",
        "0cc1a34015469fbd",
        "1q2w3e4r5t6y7u8i9o0p",
        "1qaz2wsx3edc4rfv5tgb",
        "a1b2c3d4e5f6g7h8i9j0",
        "P@ssw0rdP@ssw0rd1",
        "P@$$w0rd-Pr0duct10n!",
        "S3cr3t-P4ssw0rd!2024",
        "YWRtaW46cGFzc3dvcmQxMjM=",
    ],
)
def test_what_can_be_guessed_is_not(secret: str) -> None:
    """Short, words (in other letters, woven, in Base64), years, runs, repetitions, or too few kinds of characters."""
    assert not maskable(secret)


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "sk-proj-T9xQz4mLw2RbVn8cKd7HfJ3p",
        "289897ba-cadc-404b-ae00-c309b3f54a6d",
        "d63277c8a2fb82b60c192d9de4ca5fb5",
        "Zx9-vKq7Rz2mXw9T",
        "wine tuba marble orbit canal fossil gravy",
        "pässwörd-vKq7Rz2mXw",
    ],
)
def test_a_secret_that_nobody_guesses_may_be_masked(secret: str) -> None:
    """Tokens of services, passwords of a generator, long passphrases."""
    assert maskable(secret)


@pytest.mark.parametrize("length", [24, 32, 40])
@pytest.mark.parametrize("alphabet", [string.hexdigits[:16], string.ascii_letters + string.digits])
def test_what_is_random_and_long_nearly_always_is(alphabet: str, length: int) -> None:
    """Whatever words it has in it by chance."""
    made = ["".join(secrets.choice(alphabet) for _ in range(length)) for _ in range(300)]
    assert sum(map(maskable, made)) > 270
    assert maskable(str(uuid.UUID(int=0x2C8D31F5E0A94B67B8D26F0317CE94A5)))


def test_one_that_is_too_short_never_is() -> None:
    """However random: the search would have to react to parts that are short enough to be tried out."""
    assert not any(maskable(secrets.token_urlsafe(64)[: MIN_CHARS - 1]) for _ in range(50))


@pytest.mark.parametrize(
    "end",
    [
        "-password-production-server-2024",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "-my-very-secret-database-server-password",
    ],
)
def test_one_whose_end_can_be_guessed_by_itself_is_not(end: str) -> None:
    """The end is compared before the rest, which takes a time of its own."""
    begin = "vKq7Rz2mXw9TbL4nYc6JdH8fGa3"
    assert maskable(begin)
    assert not maskable(begin + end)
    assert maskable(end + begin + begin[::-1])
