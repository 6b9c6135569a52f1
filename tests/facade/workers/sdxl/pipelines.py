"""Stands in for torch and diffusers."""

import functools


class inference_mode:
    def __call__(self, function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            return function(*args, **kwargs)

        return call


class Image:
    def __init__(self, text):
        self.text = text

    def save(self, path):
        with open(path, "w") as file:
            file.write(self.text)


class Base:
    def __call__(self, prompt, width, count):
        if width > 2048:
            raise RuntimeError("CUDA out of memory")
        return [f"{prompt} {width} {number}" for number in range(count)]


class Refiner:
    def __call__(self, latent, start, strength):
        return [Image(f"{text} {start} {strength}") for text in latent]
