"""Products with a kernel along named axes."""

import re
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BeforeValidator

from specdsl.counts import Count, Size, product
from specdsl.declaration import Misuse
from specdsl.layers.activation_functions import activation_work
from specdsl.layers.arguments import ActivationArgument, ConstraintArgument, InitializerArgument, RegularizerArgument
from specdsl.layers.base import Layer
from specdsl.layers.facts import Weight
from specdsl.layers.lora import check_lora, lora_macs, lora_operations, with_lora
from specdsl.layers.shapes import Shape, known, show
from specdsl.layers.values import Positive, one_or_more

_FORM = re.compile(r"(\.\.\.)?([a-zA-Z]+)(\.\.\.)?,([a-zA-Z]+)->(\.\.\.)?([a-zA-Z]+)(\.\.\.)?")


class _Equation(NamedTuple):
    """An equation such as `abc,cd->abd`: the letters of the axes that enter, of the kernel, and of those that leave.

    Attributes:
        entering: the axes of the tensor, batch axis included.
        kernel: the axes of the kernel.
        leaving: the axes of the result.
        before: whether further axes stand before the letters, `...bc,cd->...bd`.
        after: whether further axes stand behind them, `ab...,bc->ac...`.
    """

    entering: str
    kernel: str
    leaving: str
    before: bool
    after: bool


def _read(equation: str) -> _Equation:
    """Read an equation.

    Raises:
        Misuse: it has another form.
    """
    match = _FORM.fullmatch(equation)
    dots = [match[group] is not None for group in (1, 3, 5, 7)] if match else []
    if match is None or dots not in ([False] * 4, [True, False, True, False], [False, True, False, True]):
        message = f"'{equation}' is no equation of an EinsumDense"
        raise Misuse(message, help="for example 'abc,cd->abd', '...bc,cd->...bd' or 'ab...,bc->ac...'")
    return _Equation(match[2], match[4], match[6], dots[0], dots[1])


def _checked(equation: str) -> str:
    entering, kernel, leaving, before, after = _read(equation)
    for letters in (entering, kernel, leaving):
        twice = next((letter for letter in letters if letters.count(letter) > 1), None)
        if twice:
            raise Misuse(f"'{equation}' names the axis '{twice}' twice in one tensor")
    lost = next((letter for letter in kernel if letter not in entering + leaving), None)
    if lost:
        raise Misuse(f"the axis '{lost}' of the kernel in '{equation}' is none of what enters or leaves")
    new = next((letter for letter in leaving if letter not in entering + kernel), None)
    if new:
        raise Misuse(f"the axis '{new}' that leaves in '{equation}' is none of what enters or of the kernel")
    if after and len(entering) < 2:
        raise Misuse(f"'{equation}' names no axis beside the batch axis")
    if not before and (leaving[0] != entering[0] or entering[0] in kernel):
        message = f"the first axis of '{equation}' is the batch axis, which leaves first and is none of the kernel"
        raise Misuse(message)
    return equation


class EinsumDense(Layer):
    """A product with a kernel along the axes that an equation in Einstein's notation names, plus a bias."""

    call_training = None
    work = "each value that enters, with all of the kernel that the equation gives it"

    equation: Annotated[str, AfterValidator(_checked)]
    output_shape: Annotated[tuple[Positive | None, ...], BeforeValidator(one_or_more)]
    activation: ActivationArgument = None
    bias_axes: str | None = None
    kernel_initializer: InitializerArgument = "glorot_uniform"
    bias_initializer: InitializerArgument = "zeros"
    kernel_regularizer: RegularizerArgument = None
    bias_regularizer: RegularizerArgument = None
    kernel_constraint: ConstraintArgument = None
    bias_constraint: ConstraintArgument = None
    lora_rank: Positive | None = None
    lora_alpha: float | None = None

    def check(self) -> None:
        check_lora(self, self.kernel_constraint)
        if self.bias_axes is not None:
            leaving = _read(self.equation).leaving
            strange = next((letter for letter in self.bias_axes if letter not in leaving), None)
            if strange or not self.bias_axes:
                what = f"the axis '{strange}'" if strange else "no axis"
                message = f"bias_axes names {what}, and '{leaving}' leave in '{self.equation}'"
                raise Misuse(message, argument="bias_axes", help="bias_axes=none is no bias" if not strange else None)

    def result_shape(self, *shapes: Shape) -> Shape:
        equation, extra = self._further(shapes[0])
        if equation.before and extra != extra[::-1]:
            message = (
                f"Keras infers the axes {show(extra)}, for which '...' stands in '{self.equation}', in reverse order"
            )
            raise Misuse(message, argument="equation", help="give each axis a letter, as in 'abcd,de->abce'")
        return self._whole_result(shapes[0])[1:]

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        kernel = Weight("kernel", self._kernel(shapes[0]))
        bias = () if self.bias_axes is None else (Weight("bias", self._bias(shapes[0])),)
        return with_lora(self, kernel, *bias)

    def macs(self, *shapes: Shape) -> Count:
        equation, extra = self._further(shapes[0])
        sizes = self._sizes(shapes[0])
        letters = dict.fromkeys(equation.entering + equation.kernel)
        work = product(*extra, *(sizes[letter] for letter in letters if letter in sizes))
        return work + lora_macs(self, self._kernel(shapes[0]))

    def operations(self, *shapes: Shape) -> Count:
        equation, extra = self._further(shapes[0])
        sizes = self._sizes(shapes[0])
        named = tuple(sizes[letter] for letter in equation.leaving if letter in sizes)
        leaving = (*named, *extra) if equation.after else (*extra, *named)  # a softmax is over the last axis
        bias = product(*leaving) if self.bias_axes is not None else Count()
        return bias + activation_work(self.activation, leaving) + lora_operations(self, self._kernel(shapes[0]))

    def _further(self, shape: Shape) -> tuple[_Equation, Shape]:
        """The equation, and the sizes of the axes beside the batch axis for which it has dots.

        Raises:
            Misuse: the tensor has another number of axes.
        """
        equation = _read(self.equation)
        more = len(shape) + 1 - len(equation.entering)
        if more < 0 or (more and not (equation.before or equation.after)):
            message = f"'{self.equation}' is for {len(equation.entering)} axes, the batch axis among them"
            raise Misuse(f"{message}, and a tensor of shape {show(shape)} has {len(shape) + 1}", argument="equation")
        return equation, (None, *shape)[1:more] if equation.before else (None, *shape)[len(equation.entering) :]

    def _entering(self, shape: Shape) -> dict[str, Size]:
        """The size of each axis that enters, the batch axis left out where a letter stands for it."""
        equation = _read(self.equation)
        whole: tuple[Size, ...] = (None, *shape)
        named = whole[len(whole) - len(equation.entering) :] if equation.before else whole
        first = len(whole) == len(equation.entering) or not equation.before
        return dict(list(zip(equation.entering, named, strict=False))[int(first) :])

    def _leaving(self, shape: Shape) -> dict[str, Size]:
        """The size of each axis that leaves, as `output_shape` says, without the batch axis."""
        equation, _ = self._further(shape)
        letters = equation.leaving
        if not equation.before or len(shape) + 1 == len(equation.entering):
            letters = letters[1:]
        if len(self.output_shape) != len(letters):
            what = f"the sizes of '{letters}'" if letters else "nothing"
            message = f"output_shape of EinsumDense is {what} here, not {show(self.output_shape)}"
            raise Misuse(message, argument="output_shape", help="`none` stands for a size that enters too")
        return dict(zip(letters, self.output_shape, strict=True))

    def _sizes(self, shape: Shape) -> dict[str, Size]:
        """All sizes that are known, by letter."""
        entering, leaving = self._entering(shape), self._leaving(shape)
        return {letter: entering.get(letter) or leaving.get(letter) for letter in dict.fromkeys([*entering, *leaving])}

    def _whole_result(self, shape: Shape) -> tuple[Size, ...]:
        equation, extra = self._further(shape)
        entering, leaving = self._entering(shape), self._leaving(shape)
        for letter, size in leaving.items():
            if letter in entering and size is not None and size != entering[letter]:
                message = (
                    f"the axis '{letter}' enters EinsumDense with {_size(entering[letter])} and leaves with {size}"
                )
                raise Misuse(message, argument="output_shape")
        named = tuple(leaving.values())
        return (None, *extra, *named) if equation.before else (None, *named, *extra)

    def _kernel(self, shape: Shape) -> tuple[int, ...]:
        entering, leaving = self._entering(shape), self._leaving(shape)
        letters = _read(self.equation).kernel
        return tuple(self._known(leaving[one] if one in leaving else entering.get(one), one) for one in letters)

    def _bias(self, shape: Shape) -> tuple[int, ...]:
        assert self.bias_axes is not None, "there is a bias"
        equation, extra = self._further(shape)
        leaving = self._leaving(shape)
        letters = equation.leaving[min(map(equation.leaving.index, self.bias_axes)) :]
        sizes = tuple(self._known(leaving.get(one), one) if one in self.bias_axes else 1 for one in letters)
        return (*sizes, *(1 for _ in extra if equation.after))

    def _known(self, size: Size, letter: str) -> int:
        try:
            return known(size, self, f"the size of the axis '{letter}'")
        except Misuse as misuse:
            hint = "say it in output_shape" if letter in _read(self.equation).leaving else misuse.help
            raise Misuse(misuse.message, argument="output_shape", help=hint) from None


def _size(size: Size) -> str:
    return "an unknown size" if size is None else str(size)
