"""What an annotator does, through Label Studio's SDK: run in the server's environment.

Reads a list of actions from stdin: ``{"task": number, "result": [...], "skip": bool}``.
"""

import json
import os
import sys

from label_studio_sdk import LabelStudio


def main() -> None:
    server = LabelStudio(base_url=sys.argv[1], api_key=os.environ["LABEL_STUDIO_API_KEY"])
    made = []
    for action in json.load(sys.stdin):
        annotation = server.annotations.create(
            id=action["task"],
            result=action["result"],
            was_cancelled=action.get("skip", False),
            lead_time=1.0,
        )
        made.append(annotation.id)
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
