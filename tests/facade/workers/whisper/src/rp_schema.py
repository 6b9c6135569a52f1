AUDIO_INPUT = {
    "audio": {"type": str, "required": True},
    "model": {
        "type": str,
        "required": False,
        "default": "base",
        "constraints": lambda name: name in {"tiny", "base", "turbo"},
    },
    "language": {"type": str, "required": False, "default": None},
    "temperature": {"type": float, "required": False, "default": 0},
    "best_of": {"type": int, "required": False, "default": 5},
}
