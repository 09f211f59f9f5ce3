"""Synthetic traffic signs: faces set into scenes, seen at an angle, in all lights, blurred and noisy.

Every class has its own random stream, (seed, part, class), so that images depend on nothing else.
A *track* is one sign in one place: its board, its wear, its background and its light stay, while the frames come
nearer: each is larger, sharper and seen a little differently, as in the benchmark's sequences.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import DataSet, Examples
from specdsl.data.drawing import Floats, canvas
from specdsl.data.signs import SIGNS
from specdsl.recipes.sources import Synthetic

FRAMES = 5
"""Frames of a track; the last track of a class may be shorter."""

_SAMPLES = 2
_TRAIN, _TEST = 0, 1


def draw_synthetic(source: Synthetic) -> DataSet:
    """All images that a declaration asks for, always the same (between machines but for the rounding of their floats).

    Training images come in tracks of `FRAMES` frames. Test images are single frames, each of a sign of its own.
    """
    parts: dict[int, Examples] = {}
    for part, count, frames in ((_TRAIN, source.train, FRAMES), (_TEST, source.test, 1)):
        image = np.concatenate([_class(source, part, label, count, frames) for label in range(len(SIGNS))])
        label = np.repeat(np.arange(len(SIGNS), dtype=np.int32), count)
        within = np.tile(np.arange(count, dtype=np.int32) // frames, len(SIGNS))
        track = label * -(-count // frames) + within
        parts[part] = Examples(image, label, track.astype(np.int32))
    return DataSet("synthetic", parts[_TRAIN], parts[_TEST], tuple(name for name, _ in SIGNS))


def _class(source: Synthetic, part: int, label: int, count: int, frames: int) -> NDArray[np.uint8]:
    """The images of one class: uint8 (count, size, size, 3)."""
    rng = np.random.default_rng(np.random.SeedSequence([source.seed, part, label]))
    size = source.size
    tracks = -(-count // frames)
    owner = np.arange(count) // frames
    # How near the sign has come, from 0 to 1: in order along a track.
    near = np.sort(rng.uniform(0, 1, (tracks, frames)), axis=1).reshape(-1)[:count]

    face = _seen(_face(label, min(4 * size, 256)), _poses(rng, tracks, owner, near), size)
    wear = rng.uniform(0, 0.35, tracks)[owner]
    colour, cover = face[..., :3], face[..., 3:]
    grey = colour.mean(axis=3, keepdims=True)
    colour = colour + (grey - colour) * _each(wear)
    picture = _scenes(rng, tracks, size)[owner] * (1 - cover) + colour
    picture = _lit(rng, picture, tracks, owner)
    sigma = (1 - near) * rng.uniform(0.3, 0.9, tracks)[owner] + 0.15
    smear = rng.uniform(0, 0.5, count) ** 2
    turned = rng.random(count) < 0.5
    picture = _blurred(picture, (sigma + np.where(turned, smear, 0)) * size / 32, axis=1)
    picture = _blurred(picture, (sigma + np.where(turned, 0, smear)) * size / 32, axis=2)
    noise = rng.standard_normal(picture.shape, np.float32) * _each(rng.uniform(0.004, 0.03, count))
    noise *= 0.4 + picture.mean(axis=(1, 2, 3), keepdims=True)
    return (np.clip(picture + noise, 0, 1) * 255 + 0.5).astype(np.uint8)


@cache
def _face(label: int, side: int) -> Floats:
    """The face of a class, float32 (side, side, 4), with an empty border of one pixel."""
    drawn = canvas(SIGNS[label][1], 2 * side)
    face: Floats = drawn.reshape(side, 2, side, 2, 4).mean(axis=(1, 3))
    face[[0, -1]] = face[:, [0, -1]] = 0
    face.flags.writeable = False
    return face


def _poses(rng: np.random.Generator, tracks: int, owner: NDArray[np.int64], near: NDArray[np.float64]) -> Floats:
    """For every frame the map from picture to face in homogeneous coordinates: float32 (count, 3, 3)."""
    count = len(owner)
    reach = 0.56 + 0.30 * near + rng.normal(0, 0.02, count)
    turn = np.radians(rng.normal(0, 5, tracks)[owner] + rng.normal(0, 1.5, count))
    narrow = rng.uniform(0.82, 1.0, tracks)[owner] * rng.uniform(0.97, 1.03, count)
    shear = rng.normal(0, 0.04, tracks)[owner]
    shift = rng.normal(0, 0.05, (tracks, 2))[owner] + rng.normal(0, 0.025, (count, 2))
    tilt = rng.normal(0, 0.06, (tracks, 2))[owner]
    cos, sin, zero, one = np.cos(turn), np.sin(turn), np.zeros(count), np.ones(count)

    def matrix(*rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(rows, axis=-1).reshape(count, 3, 3)

    moved = matrix(one, zero, -shift[:, 0], zero, one, -shift[:, 1], zero, zero, one)
    turned = matrix(cos, sin, zero, -sin, cos, zero, zero, zero, one)
    scaled = matrix(1 / (reach * narrow), shear / reach, zero, zero, 1 / reach, zero, tilt[:, 0], tilt[:, 1], one)
    poses: Floats = (scaled @ turned @ moved).astype(np.float32)
    return poses


def _seen(face: Floats, poses: Floats, size: int) -> Floats:
    """The face as each pose shows it, several samples to a pixel: float32 (count, size, size, 4)."""
    side, fine = len(face), size * _SAMPLES
    axis = ((np.arange(fine, dtype=np.float32) + 0.5) * (2 / fine) - 1).astype(np.float32)
    place = np.stack([*np.broadcast_arrays(axis[None, :], axis[:, None]), np.ones((fine, fine), np.float32)])
    flat = face.reshape(-1, 4)
    seen = np.empty((len(poses), size, size, 4), np.float32)
    for i, pose in enumerate(poses):
        x, y, depth = pose @ place.reshape(3, -1)
        x = np.clip((x / depth + 1) * (side / 2) - 0.5, 0, side - 1.001)
        y = np.clip((y / depth + 1) * (side / 2) - 0.5, 0, side - 1.001)
        left, top = x.astype(np.int32), y.astype(np.int32)
        right, below = (x - left)[:, None], (y - top)[:, None]
        corner = top * side + left
        upper = flat[corner] * (1 - right) + flat[corner + 1] * right
        lower = flat[corner + side] * (1 - right) + flat[corner + side + 1] * right
        sample = upper * (1 - below) + lower * below
        square = sample.reshape(size, _SAMPLES, size, _SAMPLES, 4)
        seen[i] = sum(square[:, a, :, b] for a in range(_SAMPLES) for b in range(_SAMPLES)) / _SAMPLES**2
    return seen


def _scenes(rng: np.random.Generator, tracks: int, size: int) -> Floats:
    """What is behind each sign: sky over ground, trees and walls, poles: float32 (tracks, size, size, 3)."""
    sky = rng.uniform((0.45, 0.55, 0.65), (0.90, 0.95, 1.0), (tracks, 3))
    ground = rng.uniform((0.10, 0.12, 0.06), (0.50, 0.48, 0.42), (tracks, 3))
    y = np.linspace(0, 1, size)[None, :, None, None]
    horizon = rng.uniform(-0.2, 1.2, tracks)[:, None, None, None]
    blend = 1 / (1 + np.exp(-(y - horizon) * 12))
    scene = np.broadcast_to(sky[:, None, None] * (1 - blend) + ground[:, None, None] * blend, (tracks, size, size, 3))
    for cells, strength in ((3, 0.20), (6, 0.16), (13, 0.12)):
        spots = rng.normal(0, strength, (tracks, cells, cells, 1)) + rng.normal(
            0, strength / 7, (tracks, cells, cells, 3)
        )
        scale = _stretch(cells, size)
        scene = scene + np.einsum("yi,nijc,xj->nyxc", scale, spots, scale, optimize=True)
    x = np.linspace(0, 1, size)[None, None, :]
    for _ in range(2):
        edge, width = rng.uniform(-0.3, 1.3, (2, tracks, 1, 1))
        seen = (np.abs(x - edge) < np.abs(width) * 0.12) & (rng.random((tracks, 1, 1)) < 0.5)
        scene = np.where(seen[..., None], rng.uniform(0.1, 0.8, (tracks, 1, 1, 1)), scene)
    pole = (np.abs(x - 0.5) < 0.045) & (np.linspace(0, 1, size)[None, :, None] > 0.5)
    scene = np.where(pole[..., None], rng.uniform(0.35, 0.65, (tracks, 1, 1, 1)), scene)
    behind: Floats = np.clip(scene, 0, 1).astype(np.float32)
    return behind


def _lit(rng: np.random.Generator, picture: Floats, tracks: int, owner: NDArray[np.int64]) -> Floats:
    """The picture in the light of its track: strength, colour, haze, and a slope of light across it."""
    size = picture.shape[1]
    count = len(owner)
    strength = np.exp(rng.uniform(np.log(0.25), np.log(1.15), tracks))[owner] * rng.uniform(0.93, 1.07, count)
    tint = rng.normal(1, 0.05, (tracks, 3))[owner]
    haze = rng.uniform(0, 0.25, tracks)[owner] * strength
    slope = rng.normal(0, 0.15, (tracks, 2))[owner]
    axis = np.linspace(-1, 1, size)
    light = 1 + slope[:, 0, None, None] * axis[None, :, None] + slope[:, 1, None, None] * axis[None, None, :]
    gain = (strength[:, None, None] * light)[..., None].astype(np.float32) * tint[:, None, None, :].astype(np.float32)
    lit: Floats = picture * gain * (1 - _each(haze)) + _each(haze) * np.float32(0.7)
    return lit


def _blurred(picture: Floats, sigma: NDArray[np.float64], axis: int) -> Floats:
    """Every picture blurred along one axis with a Gaussian of its own width in pixels, edges repeated."""
    radius = int(np.ceil(2.5 * sigma.max()))
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets[None, :] / sigma[:, None]) ** 2)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    size = picture.shape[axis]
    result = np.zeros_like(picture)
    for weight, offset in zip(weights.T, offsets, strict=True):
        place = np.clip(np.arange(size) + offset, 0, size - 1)
        result += np.take(picture, place, axis=axis) * _each(weight)
    return result


def _stretch(cells: int, size: int) -> Floats:
    """The matrix that stretches `cells` values over `size` pixels by linear interpolation."""
    place = np.linspace(0, cells - 1, size)
    weights: Floats = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(cells)[None, :])).astype(np.float32)
    return weights


def _each(values: NDArray[np.floating]) -> Floats:
    """One value per picture, shaped to meet pictures."""
    return values.astype(np.float32)[:, None, None, None]
