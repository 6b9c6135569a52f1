PICTURE = {
    "prompt": {"type": str, "required": True},
    "width": {"type": int, "required": False, "default": 1024},
    "seed": {"type": int, "required": False, "default": None},
    "strength": {"type": float, "required": False, "default": 0.3},
    "image_url": {"type": str, "required": False, "default": None},
    "num_images": {"type": int, "required": False, "default": 1, "constraints": lambda count: 3 > count > 0},
}
