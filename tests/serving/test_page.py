from __future__ import annotations

import base64
import hashlib
import re

from fastapi.testclient import TestClient

from xmc.serving.page import content_policy, page_text


def test_the_page_needs_nothing_from_elsewhere() -> None:
    html = page_text()
    addresses = set(re.findall(r"(?:https?:)?//[\w.]+", html)) - {"http://www.w3.org"}  # a name, not a place
    assert addresses == set()
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(?!data:)", html)
    assert "style=" not in html and not re.findall(r"\son\w+=\"", html)
    assert "innerHTML" not in html and "eval(" not in html and "insertAdjacentHTML" not in html


def test_the_policy_lets_through_just_this_style_and_script(client: TestClient) -> None:
    answer = client.get("/")
    policy = answer.headers["content-security-policy"]
    assert answer.headers["content-type"].startswith("text/html") and policy == content_policy(answer.text)
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    for tag in ("style", "script"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy


def test_a_changed_page_has_another_policy() -> None:
    html = page_text()
    assert content_policy(html) != content_policy(html.replace("use strict", "use  strict"))
