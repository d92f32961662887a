"""Run by the counterparts' own Python: Meta's official SDK normalises and hashes, proves its token, and calls the users edge. Nothing of ours is imported.

Standard input: {"host", "token", "app_secret", "audience", "schema", "rows": [[raw values]]} in JSON. Standard output: {"data", "proof"}.
"""

import json
import sys
from contextlib import suppress

from facebook_business.adobjects.customaudience import CustomAudience
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession

asked = json.load(sys.stdin)
FacebookSession.GRAPH = asked["host"]
session = FacebookSession(app_id="1", app_secret=asked["app_secret"], access_token=asked["token"])
audience = CustomAudience(asked["audience"], api=FacebookAdsApi(session))
params = CustomAudience.format_params(asked["schema"], asked["rows"], is_raw=True)
for call in (audience.add_users, audience.remove_users):
    with suppress(FacebookRequestError):
        call(asked["schema"], asked["rows"], is_raw=True)
json.dump({"data": params["payload"]["data"], "proof": session.appsecret_proof}, sys.stdout)
