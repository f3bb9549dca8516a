"""Signing in to the inbox: hashes, cookies, and a door that closes."""

import json
from pathlib import Path

import pytest

from components.errors import WrongUse
from pipelines.inbox.sessions import Sessions, same_token
from pipelines.inbox.users import WAIT_SECONDS, WRONG_SIGN_INS, Door, hashed, read_users

PASSWORD = "correct horse battery"


def test_a_password_opens_for_its_own_name_only() -> None:
    door = Door({"anna": hashed(PASSWORD), "ben": hashed("another password")})
    assert door.opens("anna", PASSWORD, 0.0)
    assert not door.opens("ben", PASSWORD, 0.0)
    assert not door.opens("nobody", PASSWORD, 0.0)
    assert not door.opens("anna", "", 0.0)


def test_two_hashes_of_one_password_differ() -> None:
    assert hashed(PASSWORD) != hashed(PASSWORD)


def test_after_too_many_wrong_tries_even_the_right_password_waits() -> None:
    door = Door({"anna": hashed(PASSWORD)})
    for second in range(WRONG_SIGN_INS):
        assert not door.opens("anna", "wrong", float(second))
    assert not door.opens("anna", PASSWORD, 10.0)
    assert door.opens("anna", PASSWORD, 10.0 + WAIT_SECONDS)


def test_wrong_tries_of_made_up_names_are_forgotten() -> None:
    door = Door({"anna": hashed(PASSWORD)})
    for number in range(3):
        door.opens(f"nobody-{number}", "guess", 0.0)
    assert not door.opens("anna", "guess", WAIT_SECONDS + 1)
    assert list(door.tries) == ["anna"]


def test_a_cookie_of_another_key_or_a_changed_one_is_nobodys() -> None:
    sessions = Sessions("key")
    cookie, session = sessions.issue("anna")
    assert sessions.read(cookie) == session
    assert Sessions("other").read(cookie) is None
    assert sessions.read(cookie[:-2] + "xx") is None
    assert sessions.read(None) is None
    assert same_token(session, session.token)
    assert not same_token(session, "")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"anna": 1}', '{"anna": "nosalt"}'])
def test_a_file_that_holds_no_users_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "users.json"
    file.write_text(content)
    with pytest.raises(WrongUse, match="users"):
        read_users(file)


def test_the_printed_entry_is_read_back(tmp_path: Path) -> None:
    from pipelines.inbox.serving import entry

    file = tmp_path / "users.json"
    file.write_text(json.dumps(entry("anna", PASSWORD)))
    assert Door(read_users(file)).opens("anna", PASSWORD, 0.0)
    with pytest.raises(WrongUse, match="12 characters"):
        entry("anna", "short")
