"""Random transforms of a batch on its device, in which each sample has its own generator.

Draws and pixels are those of torchvision's transforms of one image: on the CPU bit for bit, except
the rounding of ``color_jitter``, ``random_rotation`` and ``random_affine``. With ``nearest``, the
default of the last two, rounding gives a few pixels of a large image (some of 224 x 224) the value
of a neighbouring pixel. For ``augmentations``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import grid_sample
from torchvision.transforms.v2 import functional

# No transform draws more: ten boxes of two words each, a place and a chance.
_WORDS = 24


class Draws:
    """What torch draws on the CPU for each sample of a batch after ``manual_seed`` with its seed.

    Attributes:
        rows: Of the whole batch, ``int64 [B]``.
        used: How many words of 32 bits each sample has drawn, ``int64 [B]``.
    """

    def __init__(self, seeds: Sequence[int], transforms: int) -> None:
        generator = torch.Generator()
        pairs = torch.empty(len(seeds), transforms * _WORDS // 2, dtype=torch.int64)
        for seed, row in zip(seeds, pairs, strict=True):
            row.random_(-(2**63), None, generator=generator.manual_seed(seed))
        # torch makes 64 bits of two words, the first above the second.
        self._words = torch.stack([pairs >> 32, pairs], dim=-1).flatten(1) & 0xFFFFFFFF
        self.rows = torch.arange(len(seeds))
        self.used = torch.zeros(len(seeds), dtype=torch.int64)

    def integers(self, bound: Tensor | int, rows: Tensor | None = None) -> Tensor:
        """``torch.randint(bound, (1,))`` for some samples, ``int64 [rows]``."""
        rows = self.rows if rows is None else rows
        words = self._words[rows, self.used[rows]]
        self.used[rows] += 1
        drawn: Tensor = words % bound
        return drawn

    def uniform(self, low: float, high: float, rows: Tensor | None = None) -> Tensor:
        """``torch.empty(1).uniform_(low, high)`` for some samples, ``float32 [rows]``."""
        start, end = torch.tensor([low, high])
        drawn: Tensor = self.integers(2**24, rows) * 2.0**-24 * (end - start) + start
        return drawn

    def selected(self, p: float) -> Tensor:
        """The samples that a transform of probability ``p`` applies to."""
        return self.rows[self.uniform(0.0, 1.0) < p]

    def permutation(self, count: int) -> Tensor:
        """``torch.randperm(count)`` for each sample, ``int64 [B, count]``."""
        order = torch.arange(count).repeat(len(self.rows), 1)
        for place in range(count - 1):
            other = place + self.integers(count - place)
            swapped = order[self.rows, other], order[:, place].clone()
            order[:, place], order[self.rows, other] = swapped
        return order


def _with_probability(transform: Any, images: Tensor, draws: Draws) -> Tensor:
    rows = draws.selected(transform.p)
    if len(rows):
        selected = images[rows]
        images[rows] = transform.transform(selected, transform.make_params([selected]))
    return images


def _crop(transform: Any, images: Tensor, draws: Draws) -> Tensor:
    if transform.padding:
        left, right, top, bottom = transform.padding
        around, mode = [left, top, right, bottom], transform.padding_mode
        images = functional.pad(images, around, fill=transform.fill, padding_mode=mode)
    (height, width), (tall, wide) = transform.size, images.shape[-2:]
    if height > tall or width > wide:
        raise ValueError(
            f"The augmentation random_crop has the size {height} x {width}, which is larger than "
            f"the (padded) images of {tall} x {wide} pixels."
        )
    # Like torchvision, draw nothing where there is no choice.
    free = tall - height, wide - width
    top, left = (draws.integers(rest + 1) if rest else draws.rows * 0 for rest in free)
    windows: Tensor = images.unfold(2, height, 1).unfold(3, width, 1)
    return windows[draws.rows, :, top, left]


def _boxes(transform: Any, draws: Draws, rows: Tensor, image: Tensor, *, crops: bool) -> Tensor:
    """Top, left, height and width of a box for some samples; zeros where ten tries do not fit.

    A crop may be the whole image and has a ratio of width to height; what is erased is smaller, may
    be empty, and has a ratio of height to width. ``image`` is the height and width of the images.
    """
    low, high = torch.tensor(transform.ratio).log().tolist()
    boxes, waiting = torch.zeros(len(rows), 4, dtype=torch.int64), torch.arange(len(rows))
    for _ in range(10):
        if len(waiting) == 0:
            break
        least, most = transform.scale
        area = image.prod() * draws.uniform(least, most, rows[waiting]).double()
        ratio = draws.uniform(low, high, rows[waiting]).exp().double()
        sides = [area / ratio, area * ratio] if crops else [area * ratio, area / ratio]
        box = torch.stack(sides, dim=1).sqrt().round().long()
        fits = ((box > 0) & (box <= image) if crops else box < image).all(dim=1)
        done, box = waiting[fits], box[fits]
        places = [draws.integers(free, rows[done]) for free in (image - box + 1).T]
        boxes[done] = torch.cat([torch.stack(places, dim=1), box], dim=1)
        waiting = waiting[~fits]
    return boxes


def _resized_crop(transform: Any, images: Tensor, draws: Draws) -> Tensor:
    height, width = images.shape[-2:]
    boxes = _boxes(transform, draws, draws.rows, torch.tensor([height, width]), crops=True)
    tall = min(height, round(width / min(transform.ratio)))
    wide = min(width, round(height * max(transform.ratio)))
    middle = torch.tensor([(height - tall) // 2, (width - wide) // 2, tall, wide])
    boxes = torch.where(boxes[:, 2:3] > 0, boxes, middle)
    how = transform.size, transform.interpolation, transform.antialias
    # One by one: no kernel resizes images of several sizes.
    pairs = zip(images, boxes.tolist(), strict=True)
    return torch.stack([functional.resized_crop(image, *box, *how) for image, box in pairs])


def _erase(transform: Any, images: Tensor, draws: Draws) -> Tensor:
    height, width = images.shape[-2:]
    rows = draws.selected(transform.p)
    boxes = _boxes(transform, draws, rows, torch.tensor([height, width]), crops=False)
    top, left, tall, wide = boxes.to(images.device).reshape(-1, 4, 1, 1, 1).unbind(1)
    y = torch.arange(height, device=images.device).reshape(-1, 1)
    x = torch.arange(width, device=images.device)
    inside = (y >= top) & (y < top + tall) & (x >= left) & (x < left + wide)
    images[rows] = torch.where(inside, transform.value[0], images[rows])
    return images


def _rotation(transform: Any, images: Tensor, draws: Draws) -> Tensor:
    angle = -draws.uniform(*transform.degrees)
    none = torch.zeros_like(angle)
    return _warp(transform, images, angle, none, none, none + 1, none, none)


def _affine(transform: Any, images: Tensor, draws: Draws) -> Tensor:
    angle = draws.uniform(*transform.degrees)
    x = y = across = down = torch.zeros_like(angle)
    scale = torch.ones_like(angle)
    if transform.translate is not None:
        spans = transform.translate[0] * images.shape[-1], transform.translate[1] * images.shape[-2]
        x, y = (draws.uniform(-span, span).round() for span in spans)
    if transform.scale is not None:
        scale = draws.uniform(*transform.scale)
    if transform.shear is not None:
        across = draws.uniform(*transform.shear[:2])
        down = draws.uniform(*transform.shear[2:]) if len(transform.shear) == 4 else down
    return _warp(transform, images, angle, x, y, scale, across, down)


def _warp(transform: Any, images: Tensor, angle: Tensor, *more: Tensor) -> Tensor:
    """Images under affine maps: the angles, shifts along x and y, scales, shears along x and y."""
    x, y, scale, across, down = (part.double() for part in more)
    angle, across, down = torch.deg2rad(torch.stack([angle.double(), across, down]))
    # The inverse of the map, as in torchvision.
    a, c = (angle - down).cos() / down.cos(), (angle - down).sin() / down.cos()
    b, d = -(a * across.tan() + angle.sin()), angle.cos() - c * across.tan()
    matrix = torch.stack([d, -b, b * y - d * x, -c, a, c * x - a * y], dim=1) / scale[:, None]
    # grid_sample counts from -1 to 1 along each side. Not a product of matrices, whose bits may
    # depend on the size of the batch.
    height, width = images.shape[-2:]
    matrix /= torch.tensor([width / 2] * 3 + [height / 2] * 3)
    m = matrix.float().to(images.device).reshape(-1, 6, 1, 1).unbind(1)
    columns = torch.arange(width, device=images.device) - (width - 1) / 2
    lines = (torch.arange(height, device=images.device) - (height - 1) / 2).reshape(-1, 1)
    grid = torch.stack([m[n] * columns + m[n + 1] * lines + m[n + 2] for n in (0, 3)], dim=-1)
    with_mask = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
    sampled = grid_sample(with_mask, grid, mode=transform.interpolation, align_corners=False)
    pixels: Tensor = (sampled[:, :-1] - transform.fill) * sampled[:, -1:] + transform.fill
    return pixels


def _jitter(transform: Any, images: Tensor, draws: Draws) -> Tensor:
    order = draws.permutation(4)
    ranges = transform.brightness, transform.contrast, transform.saturation, transform.hue
    factors = [span and draws.uniform(*span).reshape(-1, 1, 1, 1) for span in ranges]
    for place in range(4):
        for number, factor in enumerate(factors):
            rows = draws.rows[order[:, place] == number]
            if factor is not None and len(rows):
                images[rows] = _adjust_colour(number, images[rows], factor[rows].to(images.device))
    return images


def _adjust_colour(number: int, images: Tensor, factor: Tensor) -> Tensor:
    """Images of another brightness (0), contrast (1), saturation (2) or hue (3)."""
    if number == 3:
        return _adjust_hue(images, factor)
    other = functional.rgb_to_grayscale(images) if number else torch.zeros_like(images[:, :1])
    if number == 1:
        # In two steps, because the mean of one large image has other bits with several threads.
        other = other.mean(-1, keepdim=True).mean(-2, keepdim=True)
    return (images * factor + other * (1 - factor)).clamp_(0, 1)


def _adjust_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Images of another hue (Smith 1978), turned by a part of the circle; grey has no hue."""
    if images.shape[1] == 1:
        return images
    most = images.amax(1, keepdim=True)
    spread = most - images.amin(1, keepdim=True)
    red, green, blue = ((most - images) / spread.where(spread > 0, 1.0)).unbind(1)
    is_red, is_green, _ = (images == most).unbind(1)
    sixths = torch.where(is_green, 2 + red - blue, 4 + green - red)
    sixths = torch.where(is_red, blue - green, sixths).unsqueeze(1) + 6 * turn
    offsets = torch.tensor([5.0, 3.0, 1.0], device=images.device).reshape(3, 1, 1)
    position = (sixths + offsets) % 6
    return most - spread * torch.minimum(position, 4 - position).clamp_(0, 1)


_FIXED = "horizontal_flip vertical_flip grayscale invert solarize posterize equalize autocontrast"
# Each takes torchvision's transform, images that it may change, and their draws. All others of the
# catalogue transform single images.
BATCHED: dict[str, Callable[[Any, Tensor, Draws], Tensor]] = {
    "random_crop": _crop,
    "random_resized_crop": _resized_crop,
    "random_rotation": _rotation,
    "random_affine": _affine,
    "random_erasing": _erase,
    "color_jitter": _jitter,
    **dict.fromkeys(("resize", "center_crop"), lambda transform, images, _: transform(images)),
    **{f"random_{name}": _with_probability for name in _FIXED.split()},
}
