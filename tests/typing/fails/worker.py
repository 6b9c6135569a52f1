from shop.v1.draw_service_novita import DrawWorker, register_draw
from shop.v1.shop_pb2 import Draw, Drawn, Token
from shop.v1.talk_service_novita import TalkWorker

from novita_worker import JobContext


class AnotherOutput(DrawWorker):
    def draw(self, request: Draw, context: JobContext) -> Token:  # wrong: it returns Drawn
        return Token()


class AnotherInput(DrawWorker):
    def draw(self, request: Token, context: JobContext) -> Drawn:  # wrong: it takes Draw
        return Drawn()


class NoStream(TalkWorker):
    def talk(self, request: Draw, context: JobContext) -> Token:  # wrong: it yields tokens
        return Token()


class Nothing(DrawWorker):
    pass


Nothing()  # wrong: its method is missing


def register(worker: TalkWorker, context: JobContext) -> None:
    register_draw(worker)  # wrong: a worker of another service
    context.progress(fraction="half")  # wrong: a fraction is a number
