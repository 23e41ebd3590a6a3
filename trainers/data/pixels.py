"""The pixels that are kept of an image: the first frame, turned as its EXIF orientation says, 16-bit grey scaled to 8
bits, transparent pixels laid over the background, resized by Lanczos if so asked."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageOps

from trainers.names import COLOURS, ImageForm

PALETTES, GREY = ("P", "PA"), ("1", "L", "LA", "La", "F")  # modes; those of 16 and 32 bits are grey too


class Pixels(NamedTuple):
    """One image."""

    values: np.ndarray  # [C, H, W] uint8, contiguous
    largest: int | None  # value of a file with 16 bits a channel


def is_grey(image: Image.Image, background: str) -> bool:
    """By the head of the file alone, but for palettes, and for transparent pixels over a colour."""
    deep = _is_deep(image)
    if not deep and image.mode not in (*PALETTES, *GREY):
        return False
    ground_is_grey = len(set(_colour(background))) == 1
    if image.mode not in PALETTES and (ground_is_grey or not image.has_transparency_data):
        return True
    held = _eight_bits(image) if deep else image
    if not held.has_transparency_data:
        return deep or _is_grey_throughout(np.asarray(held.convert("RGB")))
    pixels = np.asarray(_with_alpha(held))
    seen = pixels[..., 3]
    return _is_grey_throughout(pixels[seen > 0]) and (ground_is_grey or bool((seen == 255).all()))


def pixels_of(image: Image.Image, mode: str, form: ImageForm) -> Pixels:
    """An image in the mode L or RGB. Raises ValueError if it has more than 16 bits."""
    stored = str((getattr(image, "tile", None) or [])[:1])
    sixteen = ";16" in stored  # bits, of which Pillow keeps the upper eight of each colour
    largest = None
    ImageOps.exif_transpose(image, in_place=True)
    if _is_deep(image):
        values, image = np.asarray(image), _eight_bits(image)
        largest = int(values.max())
    elif sixteen:
        if isinstance(key := image.info.get("transparency"), tuple):
            image.info["transparency"] = tuple(value >> 8 for value in key)
        bands = [np.asarray(image.getchannel(band)).max() for band in image.getbands() if band != "A"]
        largest = int(max(bands)) * 256 + 255
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, _colour(form.background))
        image = Image.alpha_composite(ground, _with_alpha(image))
    image = image.convert(mode)
    if form.resolution is not None:
        resize = ImageOps.fit if form.center_crop else Image.Image.resize
        image = resize(image, (form.resolution, form.resolution), Image.Resampling.LANCZOS)
    return Pixels(np.ascontiguousarray(np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)), largest)


def _colour(background: str) -> tuple[int, ...]:
    return ImageColor.getrgb(COLOURS.get(background, background))


def _is_deep(image: Image.Image) -> bool:
    return image.mode == "F" or image.mode.startswith("I")


def _is_grey_throughout(pixels: np.ndarray) -> bool:
    """Of colours [..., 3 or 4]."""
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())


def _with_alpha(image: Image.Image) -> Image.Image:
    """As RGBA; Pillow converts colours that alpha multiplied already in two steps."""
    return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey, which Pillow opens with 32 bits in some formats, scaled to 8 bits. Raises ValueError for more."""
    values = np.asarray(image)
    convert = "convert it to 8 or 16 bits without a sign"
    if values.dtype.kind == "f":
        raise ValueError(f"its pixels are floating-point numbers; {convert}")
    if values.min() < 0:
        raise ValueError(f"its pixels are numbers with a sign, some below 0, as Hounsfield units are; {convert}")
    if values.max() > 65_535:
        raise ValueError(f"its pixels have more than 16 bits; {convert}")
    scaled = Image.fromarray(((values.astype(np.int32) + 128) // 257).astype(np.uint8))
    if not isinstance(key := image.info.get("transparency"), int):
        return scaled
    return Image.merge("LA", (scaled, Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))))
