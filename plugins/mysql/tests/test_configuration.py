"""URLs and settings, and what is shown of them."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

import metastore
from metastore import FlavorNotFoundError, InvalidError, StoreURL
from metastore_flavor_mysql import MySQLConfig
from metastore_flavor_mysql._texts import as_mlmd, from_mlmd


def parse(url: str) -> MySQLConfig:
    """The config of a URL."""
    return MySQLConfig.from_url(StoreURL.parse(url))


@pytest.mark.parametrize(
    ("url", "hosts", "location"),
    [
        ("mysql://me@db/store", [("db", 3306)], "mysql://me@db/store"),
        ("mysql://me@db:3307/store", [("db", 3307)], "mysql://me@db:3307/store"),
        ("mysql://db/store", [("db", 3306)], "mysql://db/store"),
        ("mysql:///store", [("localhost", 3306)], "mysql://localhost/store"),
        ("mysql:///store?socket=/run/s", [("localhost", 3306)], "mysql://localhost/store"),
        ("mysql://me@[::1]:3307/store", [("::1", 3307)], "mysql://me@[::1]:3307/store"),
        (
            "mysql://me:pw@a,b:3307,[::1]:3308/store",
            [("a", 3306), ("b", 3307), ("::1", 3308)],
            "mysql://me@a,b:3307,[::1]:3308/store",
        ),
    ],
)
def test_urls(url: str, hosts: list[tuple[str, int]], location: str) -> None:
    """A URL names one host or several, and a store's own location is such a URL."""
    config = parse(url)
    assert config.hosts() == hosts
    assert config.location("mysql") == location
    assert parse(location).hosts() == hosts
    assert "pw" not in repr(config)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mysql://db", "no database"),
        ("mysql://db/", "no database"),
        ("mysql://me:se/cret@db/store", "percent-encode"),
        ("mysql://me:12345/cret@db/store", "percent-encode"),
        ("mysql://db:0/store", "port"),
        ("mysql://db:70000/store", "port"),
        ("mysql://a,b:x/store", "host"),
        ("mysql://db/store?tls=false&tls_ca=/ca.pem", "tls"),
        ("mysql://db/store?tls_cert=/c.pem", "belong together"),
        ("mysql://db/store?tls_verify=some", "tls_verify"),
        ("mysql://db/store?pool_size=0", "pool_size"),
        ("mysql://db/store?nothing=1", "nothing"),
        ("mysql://a,b/store?socket=/s", "socket"),
    ],
)
def test_urls_that_are_none(url: str, word: str) -> None:
    """What is wrong with a URL is said before anything is connected to."""
    with pytest.raises(InvalidError, match=word):
        parse(url)


def test_the_url_of_the_driver() -> None:
    """SQLAlchemy's form of the URL is answered with ours."""
    with pytest.raises(FlavorNotFoundError, match=r"write mysql://\.\.\."):
        metastore.connect("mysql+pymysql://me@db/store")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {}, True),
        ({"user": "me"}, {"user": "you"}, True),
        ({"host": "a,b"}, {"host": "b:3306,a"}, True),
        ({"database": "one"}, {}, False),
        ({"port": 3307}, {}, False),
    ],
)
def test_two_configs_of_one_store(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    """A store is known by its hosts and its database, whoever logs in."""
    configs = [MySQLConfig(**{"host": "a", "database": "d", **each}) for each in (one, other)]
    assert (configs[0].identity() == configs[1].identity()) is same


@pytest.mark.parametrize("text", ["\ud800", "a\udc00b", "é", "\U0001f600"])
def test_text_as_mlmd_has_it(text: str) -> None:
    """Whatever is asked for has a form, half of a surrogate pair too, which nothing stored has."""
    stored = as_mlmd(text)
    assert all(each < "\ud800" for each in stored)
    assert (from_mlmd(stored) == text) == (not any("\ud800" <= each <= "\udfff" for each in text))


def test_a_password_where_a_port_belongs() -> None:
    """A URL that lacks its host has the password in the port's place: no variable shows it."""
    with pytest.raises(InvalidError, match="names no database") as raised:
        metastore.connect("mysql://me:c4n4ry")
    for frame, _ in traceback.walk_tb(raised.value.__traceback__):
        if "metastore" in frame.f_globals.get("__name__", ""):
            assert "c4n4ry" not in repr(frame.f_locals), frame
