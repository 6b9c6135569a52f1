from typing import assert_type

from shop.v1.shop_pb2 import Draw, Drawn, Token

from novita_sdk import Client, Job
from novita_sdk.files import File

client = Client()
endpoint = client.endpoint("e")
Client("key")  # wrong: the key is named
client.endpoint(7)  # wrong: a name is text
endpoint.run({}, chek=True)  # wrong: a misspelt option
endpoint.run({}, policy={"executiontimeout": 1})  # wrong: a misspelt member
endpoint.run_sync({}, idempotencykey="k")  # wrong: a misspelt option
endpoint.map([{}], concurency=3)  # wrong: a misspelt option
endpoint.run({}, input={})  # wrong: two inputs
endpoint.run({}, timeout="soon")  # wrong: seconds are a number
token: Token = endpoint.run(Draw(), output_type=Drawn).output()  # wrong: another output
assert_type(endpoint.run({}, output_type=Drawn), Job)  # wrong: it is a typed job
endpoint.run({}, output_type=Drawn()).output()  # wrong: a message in place of its type
other: Token = endpoint.job("j", output_type=Drawn).output()  # wrong: another output
Drawn(images=[File.from_path("a.png")])  # wrong: a message holds messages
