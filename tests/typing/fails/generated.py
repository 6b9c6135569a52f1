from shop.v1.draw_service_novita import AsyncDrawClient, DrawClient
from shop.v1.shop_pb2 import Draw, Token

from novita_sdk import Client

client = Client()
draws = DrawClient(client.endpoint("e"))
Draw(promt="x")  # wrong: a misspelt field
Draw(width="wide")  # wrong: a field of another type
draws.draw(Token())  # wrong: another request
draws.draw(Draw(), polciy={})  # wrong: a misspelt option
draws.paint(Draw())  # wrong: no such method
token: Token = draws.draw(Draw()).output()  # wrong: another output
DrawClient(client)  # wrong: a client in place of an endpoint
AsyncDrawClient(client.endpoint("e"))  # wrong: an endpoint of synchronous code
