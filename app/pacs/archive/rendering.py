"""A frame as a picture (PS3.18 §8.3.5, the grey-scale pipeline of PS3.3 §C.11). Runs in a worker process."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi

from app.pacs.archive.files import IndexedFile, opened
from app.pacs.archive.pixels import NoFrames, decoded_array
from app.pacs.archive.reading import frame_count, open_dataset

_LARGEST_SIDE = 8192
_DEFAULT_QUALITY = 90
FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/jp2": "JPEG2000"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A rendered image."""

    data: bytes


def render(indexed: IndexedFile, frame: int, media_type: str, query: tuple[tuple[str, str], ...]) -> Picture | NoFrames:
    """Frame ``frame`` (from 1) as one of FORMATS, with the ``window``, ``viewport`` and ``quality`` of the
    query.
    """
    options = dict(query)
    try:
        with opened(indexed) as file:
            dataset = open_dataset(file, pixels=True)
        if not any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
            return NoFrames(406)
        if frame > frame_count(dataset):
            return NoFrames(404)
        image = Image.fromarray(_shades(dataset, frame, options.get("window")))
        image = _framed(image, options["viewport"]) if "viewport" in options else image
        output = io.BytesIO()
        quality = int(options.get("quality", _DEFAULT_QUALITY))
        image.save(output, FORMATS[media_type], **({"quality": quality} if media_type == "image/jpeg" else {}))
        return Picture(output.getvalue())
    except (NotImplementedError, RuntimeError):  # no decoder here takes this syntax, or this form of it
        return NoFrames(406)
    except Exception:  # noqa: BLE001  whatever a parser makes of a broken file, it is the file that is broken
        return NoFrames(502)


def _shades(dataset: FileDataset, frame: int, window: str | None) -> np.ndarray:
    """Eight bits per sample: rows by columns of grey, or rows by columns by 3."""
    array, photometric = decoded_array(dataset, frame)
    if photometric == "PALETTE COLOR":
        return _eight_bits(np.asarray(apply_color_lut(array, dataset)))
    if array.ndim == 3:
        return _eight_bits(array[..., :3], int(dataset.get("BitsStored", 8)))
    grey = _windowed(array, dataset, frame, window)
    return np.asarray(255 - grey) if photometric == "MONOCHROME1" else grey


def _eight_bits(array: np.ndarray, bits: int | None = None) -> np.ndarray:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    shift = (bits or array.dtype.itemsize * 8) - 8
    return np.asarray(np.clip(array >> shift if shift > 0 else array, 0, 255).astype(np.uint8))


def _windowed(array: np.ndarray, dataset: FileDataset, frame: int, window: str | None) -> np.ndarray:
    """Modality, then values of interest: the window asked for, else the file's first, else everything there is."""
    modality = _group(dataset, frame, "PixelValueTransformationSequence") or dataset
    values = np.asarray(apply_modality_lut(array, modality), dtype=np.float64)
    interest = _group(dataset, frame, "FrameVOILUTSequence") or dataset
    if window is not None:
        centre, width, function = window.split(",")
        return _through_window(values, float(centre), float(width), function)
    if interest.get("WindowCenter") is not None and interest.get("WindowWidth") is not None:
        function = str(interest.get("VOILUTFunction", "LINEAR") or "LINEAR").lower().replace("_", "-")
        return _through_window(values, _first(interest.WindowCenter), _first(interest.WindowWidth), function)
    if interest.get("VOILUTSequence"):
        table = np.asarray(apply_voi(values.astype(np.int64), interest), dtype=np.float64)
        return _stretched(table)
    return _stretched(values)


def _through_window(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """PS3.3 §C.11.2.1.2 (linear), §C.11.2.1.3."""
    if function == "sigmoid":
        exponent = np.clip(-4 * (values - centre) / (width or 1), -700, 700)
        return np.asarray(np.rint(255 / (1 + np.exp(exponent))), dtype=np.uint8)
    if function == "linear-exact":
        scaled = (values - centre) / max(width, 1e-9) + 0.5
    else:
        scaled = (values - (centre - 0.5)) / max(width - 1, 1e-9) + 0.5
    return np.rint(np.clip(np.nan_to_num(scaled), 0, 1) * 255).astype(np.uint8)


def _stretched(values: np.ndarray) -> np.ndarray:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / ((high - low) or 1)
    return np.asarray(np.rint(scaled * 255).astype(np.uint8))


def _first(value: object) -> float:
    return float(value[0]) if isinstance(value, list | tuple) or hasattr(value, "__getitem__") else float(str(value))


def _group(dataset: FileDataset, frame: int, keyword: str) -> Dataset | None:
    """A functional group of an enhanced image: the frame's own, else the one shared by all (PS3.3 §C.7.6.16)."""
    own, shared = dataset.get("PerFrameFunctionalGroupsSequence"), dataset.get("SharedFunctionalGroupsSequence")
    for groups in (own[frame - 1] if own and len(own) >= frame else None, shared[0] if shared else None):
        if groups is not None and groups.get(keyword):
            found: Dataset = groups[keyword].value[0]
            return found
    return None


def _framed(image: Image.Image, viewport: str) -> Image.Image:
    """``vw,vh[,sx,sy,sw,sh]``: cut out the region and fit it into the size, keeping its proportions (PS3.18
    §8.3.5.1.3).
    """
    numbers = [float(part) if part else None for part in viewport.split(",")]
    region = [*numbers[2:], None, None, None, None][:4]
    left, top = region[0] or 0.0, region[1] or 0.0
    width = region[2] or image.width - left
    height = region[3] or image.height - top
    box = [int(left), int(top), int(left + abs(width)), int(top + abs(height))]
    box = [max(0, box[0]), max(0, box[1]), min(image.width, box[2]), min(image.height, box[3])]
    if box[2] <= box[0] or box[3] <= box[1]:
        raise NotImplementedError("the region lies outside the image")
    image = image.crop((box[0], box[1], box[2], box[3]))
    if width < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if height < 0:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    scale = min((numbers[0] or image.width) / image.width, (numbers[1] or image.height) / image.height)
    size = [min(_LARGEST_SIDE, max(1, round(side * scale))) for side in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.BICUBIC)
