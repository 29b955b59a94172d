"""Checks a running server with OpenAI's own client for Python.

pip install openai && python tools/server/openai_client.py http://127.0.0.1:8000/v1
"""

import base64
import json
import sys
from pathlib import Path

import openai

examples = Path(__file__).parents[2] / "examples" / "seen" / "depth"
before, after, query = (examples / f"{name}.png" for name in ("before", "after", "query-1"))
client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2] if len(sys.argv) > 2 else "none", max_retries=0)


def data_url(path):
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def check(name, holds):
    print(("ok    " if holds else "FAILS ") + name)
    if not holds:
        sys.exit(1)


row = client.images.edit(image=[before.open("rb"), after.open("rb"), query.open("rb")], prompt="", extra_body={"seed": 5})
pairs = json.dumps([{"input": data_url(before), "output": data_url(after)}])
fields = client.images.edit(image=query.open("rb"), prompt="", extra_body={"seed": 5, "examples": pairs})
check("edits: a row of pictures, and examples as a field, give the same", row.data[0].b64_json == fields.data[0].b64_json)
check("edits: usage", row.usage.total_tokens == row.usage.input_tokens + row.usage.output_tokens)
check("edits: the seed comes back", row.data[0].seed == 5)

several = client.images.generate(prompt="a red ball", n=2, extra_body={"seed": 1, "guidance": {"text": 2}})
check("generations: two pictures", [picture.seed for picture in several.data] == [1, 2])

stream = client.images.generate(prompt="a red ball", stream=True, partial_images=2)
types = [event.type for event in stream]
check("generations, streamed", types == ["image_generation.partial_image"] * 2 + ["image_generation.completed"])

stream = client.images.edit(image=query.open("rb"), prompt="a red ball", stream=True, partial_images=1, size="auto")
types = [event.type for event in stream]
check("edits, streamed", types == ["image_edit.partial_image", "image_edit.completed"])

check("models", len(client.models.list().data) == 1)
try:
    client.images.generate(prompt="x", n=99)
    check("a wrong request is refused", False)
except openai.BadRequestError as error:
    check("a wrong request is refused", error.param == "n")
