class Speaker:
    """Stands in for the model."""

    def __init__(self, folder):
        self.folder = folder

    def say(self, text, voice, speed):
        with open(voice, "rb") as sample:
            return sample.read() + f" says {text} at {speed}".encode()
