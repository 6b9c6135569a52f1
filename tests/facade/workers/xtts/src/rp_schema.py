SPEECH = {
    "language": {"type": str, "required": True, "constraints": lambda language: language in ["en", "ru"]},
    "voice": {"type": str, "required": True},
    "text": {"type": str, "required": True},
    "speed": {"type": float, "required": False, "default": 1.0},
}
