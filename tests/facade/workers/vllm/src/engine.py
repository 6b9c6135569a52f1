import asyncio


class Engine:
    """Stands in for vLLM: says the prompt's words, one after the other."""

    max_concurrency = 8

    def __init__(self, name):
        if name == "missing":
            raise OSError("no such model")
        self.name = name
        self.running = 0

    async def generate(self, wish):
        if wish.is_refused:
            raise ValueError("the prompt is too long")
        self.running += 1
        try:
            for _ in range(1000):
                if self.running >= wish.together:
                    break
                await asyncio.sleep(0.05)
            for word in wish.prompt.split():
                yield {"choices": [{"tokens": [word]}], "together": self.running >= wish.together}
                await asyncio.sleep(0)
            await asyncio.sleep(0.2)
        finally:
            self.running -= 1
