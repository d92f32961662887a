"""Run by the counterparts' own Python: Lob's official client sends the postcard that standard input describes. Nothing of ours is imported.

Standard input: {"host", "key", "idempotency_key", "postcard": {to, from, front, back, size, use_type, metadata}} in JSON.
"""

import json
import sys

from lob_python import ApiClient, Configuration
from lob_python.api.postcards_api import PostcardsApi
from lob_python.model.address_editable import AddressEditable
from lob_python.model.country_extended import CountryExtended
from lob_python.model.metadata_model import MetadataModel
from lob_python.model.postcard_editable import PostcardEditable
from lob_python.model.postcard_size import PostcardSize
from lob_python.model.psc_use_type import PscUseType


def address(fields):
    if isinstance(fields, str):
        return fields
    country = {"address_country": CountryExtended(fields["address_country"])} if "address_country" in fields else {}
    return AddressEditable(**{**fields, **country})


asked = json.load(sys.stdin)
card = asked["postcard"]
editable = PostcardEditable(
    to=address(card["to"]),
    _from=address(card["from"]),
    front=card["front"],
    back=card["back"],
    size=PostcardSize(card["size"]),
    use_type=PscUseType(card["use_type"]),
    metadata=MetadataModel(**card["metadata"]),
)
with ApiClient(Configuration(host=asked["host"], username=asked["key"])) as client:
    PostcardsApi(client).create(editable, idempotency_key=asked["idempotency_key"])
