import os


class Whisper:
    """Stands in for the model."""

    def load(self):
        self.is_loaded = True

    def run(self, audio, model, language, temperature, best_of):
        with open(audio, "rb") as sound:
            heard = sound.read().decode()
        return {
            "transcription": heard,
            "detected_language": language or "en",
            "model": model,
            "temperature": temperature,
            "extension": os.path.splitext(audio)[1],
        }
