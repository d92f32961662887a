"""Signature Version 4, against the examples that AWS publishes."""

from __future__ import annotations

import msgspec

from actions.sigv4 import AwsKey, _signing_key, signed_headers

AT_MS = 1_440_938_160_000  # 2015-08-30T12:36:00Z
KEY = AwsKey(access_key="AKIDEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", region="us-east-1", service="service")


def test_the_signing_key_of_the_documentation() -> None:
    iam = AwsKey(access_key="AKIDEXAMPLE", secret_key=KEY.secret_key, region="us-east-1", service="iam")
    assert _signing_key(iam, "20150830").hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_the_request_of_the_documentation() -> None:
    iam = AwsKey(access_key="AKIDEXAMPLE", secret_key=KEY.secret_key, region="us-east-1", service="iam")
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    headers = signed_headers(iam, "GET", url, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, b"", AT_MS)
    assert headers["X-Amz-Date"] == "20150830T123600Z"
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


def test_the_vectors_get_vanilla_and_post_vanilla() -> None:
    get = signed_headers(KEY, "GET", "https://example.amazonaws.com/", {}, b"", AT_MS)
    post = signed_headers(KEY, "POST", "https://example.amazonaws.com", {}, b"", AT_MS)
    assert get["Authorization"].endswith("SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
    assert post["Authorization"].endswith("SignedHeaders=host;x-amz-date, Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")


def test_parameters_are_signed_in_the_order_of_their_names() -> None:
    headers = signed_headers(KEY, "GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", {}, b"", AT_MS)
    assert headers["Authorization"].endswith("Signature=b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")


def test_a_temporary_key_sends_its_token_signed() -> None:
    temporary = msgspec.structs.replace(KEY, token="t0ken")
    headers = signed_headers(temporary, "POST", "https://example.amazonaws.com/", {}, b"{}", AT_MS)
    assert headers["X-Amz-Security-Token"] == "t0ken"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in headers["Authorization"]
    assert "wJalrXUtn" not in repr(temporary)
    assert "t0ken" not in repr(temporary)
