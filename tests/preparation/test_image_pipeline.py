"Pictures as people store them: every mode, every fault, one shape; and the same arrays from the JSON."
import base64
import io
import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from dlmine.core.errors import DataError
from dlmine.framing.card import load_card
from dlmine.preparation import image_files
from dlmine.preparation.image_files import cell_bytes, open_picture, read_pictures
from dlmine.preparation.image_pipeline import ImagePreprocessor, assemble_images, fit_shape, read_image_files


def stored(pixels, mode=None, form="PNG", **options) -> bytes:
    "A picture as the bytes of its file"
    picture, out = Image.fromarray(np.asarray(pixels)), io.BytesIO()
    (picture if mode is None else picture.convert(mode)).save(out, form, **options)
    return out.getvalue()


def checks(height=20, width=16, channels=1, seed=0) -> np.ndarray:
    "A picture that is bright above and dark below, with noise"
    random = np.random.default_rng(seed)
    ramp = np.linspace(220, 30, height)[:, None] + random.normal(0, 5, (height, width))
    grey = np.clip(ramp, 0, 255).astype(np.uint8)
    return grey if channels == 1 else np.stack([grey, grey // 2, 255 - grey], 2)


def column(*cells) -> pa.Table:
    return pa.table({"image": pa.array(cells, pa.binary())})


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "I", "F", "I;16"])
def test_every_mode_becomes_upright_eight_bit_pixels(mode):
    grey = checks(24, 24)
    if mode == "I;16": data = stored((grey.astype(np.uint16) * 257))
    elif mode in ("CMYK", "YCbCr"): data = stored(grey, mode, "JPEG" if mode == "CMYK" else "TIFF", quality=95) if mode == "CMYK" else stored(grey, mode, "TIFF")
    else: data = stored(grey, mode, "TIFF" if mode in ("I", "F") else "PNG")
    found = read_pictures(pa.array([data]), (24, 24, 1), np.array([128], np.uint8))
    assert not found.blank.any() and found.pixels.dtype == np.uint8 and found.pixels.shape == (1, 24, 24, 1)
    top, bottom = found.pixels[0, :6].mean(), found.pixels[0, -6:].mean()
    assert top - bottom > 100, (mode, top, bottom)


def test_what_is_see_through_lies_on_white():
    see_through = np.zeros((10, 10, 4), np.uint8)
    see_through[:, 5:, 3] = 255      # the right half black, the left half nothing
    pixels = read_pictures(pa.array([stored(see_through)]), (10, 10, 3), np.zeros(3, np.uint8)).pixels[0]
    assert (pixels[:, :5] == 255).all() and (pixels[:, 5:] == 0).all()


def test_the_camera_was_turned():
    exif = Image.Exif()
    exif[0x0112] = 6                  # to be turned by 90° to the right
    picture = np.zeros((8, 16), np.uint8)
    picture[:, :8] = 255              # bright at the left: upright, bright above
    for form, options in (("PNG", {}), ("JPEG", {"quality": 95})):
        found = open_picture(stored(picture, form=form, exif=exif, **options))
        assert found.size == (8, 16)
        assert np.asarray(found)[:6].mean() > 240 and np.asarray(found)[-6:].mean() < 15


def test_sizes_are_mixed_and_shapes_kept():
    table = column(*(stored(checks(height, width)) for height, width in ((10, 40), (40, 10), (30, 30), (1, 1), (200, 300))))
    made = ImagePreprocessor.fit(table, None, size=32)
    pixels = made.transform(table)["pixels"]
    assert pixels.shape == (5, 32, 32, 1)
    ground = made.ground[0]
    assert (pixels[0, :12] == ground).all() and (pixels[0, 20:] == ground).all() and pixels[0, 12:20].std() > 20     # a wide one: margins above and below
    assert (pixels[1, :, :12] == ground).all() and pixels[1, :, 12:20].std() > 20
    assert made.settings["sizes"] == 5
    assert fit_shape([(28, 28)] * 5 + [(9, 9)], 100, 1) == (28, 28)
    assert fit_shape([(2000, 1000)], 100, 3) == (224, 112)
    assert fit_shape([(3, 400)], 100, 1) == (8, 224)
    height, width = fit_shape([(200, 200)], 1_000_000, 3)
    assert 1_000_000 * 3 * height * width <= 1.05 * 4e9


@pytest.mark.parametrize("bad", [b"hello, I am no picture", b"\x89PNG\r\n\x1a\n torn", stored(checks())[:60], b"GIF89a", b"\xff\xd8\xff\xe0" + b"0" * 40])
def test_a_torn_file_is_an_even_picture_and_is_counted(bad):
    table = column(stored(checks()), bad, None, b"", stored(checks(seed=2)))
    made = ImagePreprocessor.fit(table, None)
    assert made.settings["torn"] == 1 and made.settings["missing"] == 2
    found = made.transform(table)
    assert (found["pixels"][[1, 2, 3]] == made.ground).all() and np.isnan(found["x_num"][[1, 2, 3]]).all()
    assert np.isfinite(found["x_num"][[0, 4]]).all()
    assert "unreadable: 1" in made._repr_html_() and made.read(table).first.startswith("row 1")


def test_a_bomb_is_unreadable_before_it_unfolds(monkeypatch):
    monkeypatch.setattr(image_files, "MOST_PIXELS", 100)
    with pytest.raises(ValueError, match="too many"): open_picture(stored(checks(20, 20)))


def test_nothing_readable_is_an_error_that_names_the_first():
    with pytest.raises(DataError, match="None of the 2 training pictures.*row 0"): ImagePreprocessor.fit(column(b"no", b"nor this"), None)
    with pytest.raises(DataError, match="row 0 is empty"): ImagePreprocessor.fit(column(None, None), None)
    with pytest.raises(DataError, match="no column of images"): ImagePreprocessor.fit(pa.table({"a": [1]}), None)
    with pytest.raises(DataError, match="Did you mean 'image'|It has: 'image'|image"): ImagePreprocessor.fit(column(stored(checks())), None, column="imge")
    with pytest.raises(DataError, match="8 to 1,024"): ImagePreprocessor.fit(column(stored(checks())), None, size=4)
    made = ImagePreprocessor.fit(column(stored(checks())), None)
    with pytest.raises(DataError, match="lacks 'image'"): made.transform(pa.table({"other": [1]}))


def test_the_same_arrays_from_json_alone_and_in_any_company():
    table = column(*(stored(checks(20 + place, 20, 1 if place % 3 else 3, place)) for place in range(9)), b"torn", None)
    made = ImagePreprocessor.fit(table, None, np.arange(6))
    again = ImagePreprocessor.from_json(json.dumps(made.to_json()))
    whole, back = made.transform(table), again.transform(table)
    assert again.hash == made.hash and made.shape[2] == 3
    for name in whole:
        assert np.array_equal(whole[name], back[name], equal_nan=name == "x_num")
        alone = np.concatenate([made.transform(table.slice(row, 1))[name] for row in range(len(table))])
        assert np.allclose(alone, whole[name], atol=1e-6, equal_nan=True)
    empty = made.transform(table.slice(0, 0))
    assert empty["pixels"].shape == (0, *made.shape) and empty["x_num"].shape[0] == 0
    with pytest.raises(DataError, match="format 9"): ImagePreprocessor.from_json({**made.to_json(), "format": 9})


def test_cells_are_bytes_base64_records_or_nothing():
    data = stored(checks())
    for cell in (data, bytearray(data), base64.b64encode(data).decode(), "data:image/png;base64," + base64.b64encode(data).decode(), {"bytes": data, "path": "a.png"}): assert cell_bytes(cell) == data
    for cell in (None, "", b"", {"bytes": None}): assert cell_bytes(cell) is None
    with pytest.raises(ValueError, match="no picture in base64"): cell_bytes("not base64!")
    with pytest.raises(ValueError, match="type int"): cell_bytes(7)


CARD = """
version: 1
name: leaves
sources: [{name: leaves, location: LOCATION}]
target: kind
task: classification
modality: {kind: image, column: file}
split: {kind: random}
"""


def test_names_of_files_become_bytes_beside_the_card_or_the_table(tmp_path):
    folder = tmp_path / "data" / "pictures"
    folder.mkdir(parents=True)
    for place in range(3): (folder / f"{place}.png").write_bytes(stored(checks(seed=place)))
    table = pa.table({"file": ["pictures/0.png", "pictures/1.png", "pictures/gone.png", None, str(folder / "2.png")], "kind": list("ababa")})
    (tmp_path / "card.yml").write_text(CARD.replace("LOCATION", "data/leaves.csv"))
    card = load_card(tmp_path / "card.yml")
    made = assemble_images(card, table)
    found = made["file"].to_pylist()
    assert json.loads(made.schema.metadata[b"dlmine.notes"]) == ["1 of 5 image files are not there, the first is 'pictures/gone.png'; such a picture counts as blank."]
    assert [cell is not None for cell in found] == [True, True, False, False, True] and found[1] == stored(checks(seed=1))
    with pytest.raises(DataError, match="None of the 1 image files is there.*'nowhere.png'"): read_image_files(pa.array(["nowhere.png", None]), [tmp_path])
    inline = pa.table({"file": ["data:image/png;base64,AAAA"], "kind": ["a"]})
    assert assemble_images(card, inline) is inline
