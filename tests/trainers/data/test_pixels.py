"""What becomes of transparency, palettes and depths, whatever format holds them."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.config import Config
from trainers.data.decode import open_images
from trainers.data.image_files import from_folder
from trainers.data.load import load_dataset
from trainers.names import COLOURS, ImageForm


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "images"
    path.mkdir()
    return path


def decode(path, **form):
    return open_images(from_folder(f"folder:{path}"), ImageForm(**form)).examples


def refused(path):
    with pytest.raises(ValueError) as caught:
        decode(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def over(image, ground):
    """An image over a colour, [C, H, W], by the formula."""
    rgba = np.asarray(image.convert("RGBA")).astype(float)
    share = rgba[..., 3:] / 255
    return torch.from_numpy((rgba[..., :3] * share + np.array(ground) * (1 - share)).transpose(2, 0, 1))


def close(found, expected):
    return found.shape == expected.shape and float((found.double() - expected).abs().max()) <= 1


def holed(picture, mode):
    """An image of a mode whose pixels are in part transparent, and how a PNG is told."""
    image, alpha = picture(0), picture(1, mode="L").point([0] * 80 + list(range(80, 200)) + [255] * 56)
    if mode in ("RGBA", "LA"):
        image = image.convert(mode)
        image.putalpha(alpha)
        return image, {}
    if mode == "P":
        return image.quantize(16), {"transparency": bytes(range(0, 256, 16))}
    if mode == "P, one entry":
        return image.quantize(16), {"transparency": 3}
    image = image.convert(mode)
    return image, {"transparency": image.getpixel((0, 0))}


@pytest.mark.parametrize("background", ["white", "black", "#ff8000"])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "P, one entry", "RGB", "L", "1"])
def test_transparent_pixels_are_laid_over_the_background(folder, picture, mode, background):
    """By an alpha channel, entries of a palette, or one colour that counts as transparent."""
    image, options = holed(picture, mode)
    image.save(folder / "a.png", **options)
    red, green, blue = bytes.fromhex(COLOURS.get(background, background)[1:])
    with Image.open(folder / "a.png") as stored:
        expected = over(stored, (red, green, blue))
    grey = mode in ("LA", "L", "1") and red == green == blue
    assert close(decode(folder, background=background)[0], expected[:1] if grey else expected)


def test_colours_below_full_transparency_show_nowhere_also_when_resized(folder):
    """What editors leave there would shine through the edges."""
    pixels = np.full((32, 32, 4), 255, np.uint8)
    pixels[:, :16] = (255, 0, 0, 0)
    Image.fromarray(pixels).save(folder / "a.png")
    for size in (None, 8):
        assert (decode(folder, resolution=size) == 255).all()


def test_transparent_16_bit_grey(folder):
    """Pillow reads the value that counts as transparent, and converts no such image."""
    values = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(folder / "a.png", transparency=int(values[3, 3]))
    expected = np.round(values / 257)
    expected[3, 3] = 128
    assert np.array_equal(decode(folder, background="grey")[0, 0].numpy(), expected.astype(np.uint8))
    assert decode(folder, background="red")[0, :, 3, 3].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tif"])
@pytest.mark.parametrize("entries", [2, 16, 256])
def test_a_grey_palette_is_grey_whatever_entries_are_unused(folder, picture, suffix, entries):
    grey = picture(0, mode="L")
    indices = np.asarray(grey) // (256 // entries)
    shades = np.linspace(0, 255, entries).astype(np.uint8)[::-1]
    palette = np.zeros((256, 3), np.uint8)
    palette[:entries] = shades[:, None]
    palette[entries:] = (200, 10, 10)
    image = Image.fromarray(indices.astype(np.uint8)).convert("P")
    image.putpalette(palette.tobytes())
    image.save(folder / f"a.{suffix}")
    found = decode(folder)
    assert found.shape == (1, 1, 16, 16)
    assert np.array_equal(found[0, 0].numpy(), shades[indices])
    palette[indices[0, 0]] = (1, 2, 3)
    image.putpalette(palette.tobytes())
    image.save(folder / f"b.{suffix}")
    assert decode(folder).shape == (2, 3, 16, 16)


def test_one_bit(folder, picture):
    picture(0, mode="1").save(folder / "a.png")
    picture(0, mode="1").save(folder / "b.tif")
    picture(0, mode="1").convert("L").quantize(2).save(folder / "c.png", bits=1)
    found = decode(folder)
    assert found.shape == (3, 1, 16, 16)
    assert found.unique().tolist() == [0, 255]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_twelve_bits_are_told_and_not_scaled(folder, suffix, caplog):
    caplog.set_level(logging.INFO, "trainers")
    values = np.linspace(0, 4_095, 256).astype(np.uint16).reshape(16, 16)
    for name in "ab":
        Image.fromarray(values).save(folder / f"{name}.{suffix}")
    assert np.array_equal(decode(folder)[0, 0].numpy(), np.round(values / 257).astype(np.uint8))
    (line,) = [record.getMessage() for record in caplog.records if "16-bit" in record.getMessage()]
    assert "2 of 2, reach 4,095 of 65,535: if they are of 12 bits" in line
    assert "multiplied by 16" in line
    caplog.clear()
    Image.fromarray(values * 16).save(folder / f"c.{suffix}")
    decode(folder)
    assert "16-bit" not in caplog.text


def test_twelve_bits_of_colour_are_told(folder, caplog):
    """Pillow writes no 16-bit colours, and of those that it reads it keeps the upper eight bits."""
    import struct
    import zlib

    def part(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + np.full((4, 3), 4_000, ">u2").tobytes() for _ in range(4))
    head = part(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
    content = head + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    assert decode(folder).unique().tolist() == [15]
    assert "1 of 1, reach 4,095 of 65,535" in caplog.text


def test_what_has_more_than_16_bits_is_told_as_what_it_is(folder):
    Image.fromarray(np.full((4, 4), 1e6, np.int32)).save(folder / "a.tif")
    Image.fromarray(np.array([[-1_000, 3_000]], np.int32)).save(folder / "b.tif")
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(folder / "c.tif")
    text = refused(folder)
    assert "cannot read 3 of 3 images: a.tif: its pixels have more than 16 bits; convert" in text
    assert "; b.tif: its pixels are numbers with a sign, some below 0, as" in text
    assert "; c.tif: its pixels are floating-point numbers; convert" in text
    Image.fromarray(np.array([[-2, 3]], np.int32)).save(folder / "d.tif")
    assert "; b.tif, d.tif: its pixels are numbers with a sign" in refused(folder)


@pytest.mark.parametrize(("damaged", "told"), [(1, 1), (3, 3), (20, 20), (27, 20)])
def test_all_damaged_images_are_told_at_once(folder, picture, damaged, told):
    for index in range(30):
        path = folder / f"{index:02d}.png"
        picture(index).save(path)
        if index >= 30 - damaged:
            path.write_bytes(path.read_bytes()[: 20 if index % 2 else -60])
    text = refused(folder)
    assert text.count(".png") == told
    assert ("and 7 more" in text) == (damaged == 27)
    assert ("cannot read image 29.png" if damaged == 1 else f"cannot read {damaged} of 30 images: ") in text


def test_the_background_is_known_by_what_it_makes(folder, picture):
    """Opaque images are the same in front of any; transparent ones are not."""
    picture(0).save(folder / "a.png")
    config = Config(dataset=f"folder:{folder}", features="raw")
    black = config.replace(background="black")
    assert load_dataset(config).digest == load_dataset(black).digest
    assert config.cell_key == black.cell_key
    assert config.data_spelling != black.data_spelling
    holed(picture, "RGBA")[0].save(folder / "a.png")
    load_dataset.__globals__["_load"].cache_clear()
    one, two = (each.replace(seed=0).with_data(load_dataset(each).digest) for each in (config, black))
    assert one.cell_key != two.cell_key
    assert black.protocol == config.protocol.replace("images, no", "images on black, no")


def test_the_background_is_refused_where_it_does_nothing():
    with pytest.raises(ValueError, match=r"background = 'black' does nothing for dataset = 'digits'; .*folder:PATH"):
        Config(background="black")
    with pytest.raises(ValueError, match=r"background = 'whiet' should be a colour as #ff8000, or one of white"):
        Config(dataset="folder:x", features="raw", background="whiet")
    mnist = Config(dataset="mnist", features="raw", background="black")
    assert mnist.acting().background == "white"
    assert mnist.cell_key == mnist.replace(background="white").cell_key
    assert mnist.tiny().background == "white"
