"""A pretended accelerator for machines without one: tensors that say they are elsewhere, with numbers on the CPU.

What CUDA refuses raises Mixed: operands on two devices, a generator of one device for a tensor of the other. What makes
the host wait for the device (`.item()`, `.cpu()`, `nonzero`, a copy to it that does not say non_blocking), and what is
copied to it, is counted by file and line; of copies, also how many bytes come from pinned memory.
Numbers are those of the CPU, so that a run there must equal the run here.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from pathlib import Path

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretended"
ROOT = str(Path(__file__).parents[2])
aten = torch.ops.aten


class Backend:
    """What torch asks of a device's module."""

    def is_initialized(self):
        return True

    def is_available(self):
        return True

    def current_device(self):
        return 0

    def device_count(self):
        return 1

    def _is_in_bad_fork(self):
        return False

    def manual_seed_all(self, seed):
        pass

    def get_rng_state(self, device=None):
        return torch.empty(0, dtype=torch.uint8)  # whoever forks torch's generators asks each device

    def set_rng_state(self, state, device=None):
        pass

    def get_amp_supported_dtype(self):
        return [torch.bfloat16, torch.float16]


_setup_privateuseone_for_python_backend(NAME, Backend())
DEVICE = torch.device(NAME, 0)

WAITS = {  # what gives the host a number of the device's, or a result whose size depends on one
    *(aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.is_nonzero.default),
    *(aten.equal.default, aten.unique_dim.default, aten._unique2.default, aten.repeat_interleave.Tensor),
    *(aten.bincount.default, aten.histc.default, aten.linalg_eigh.default, aten._linalg_eigh.default),
}
INDEXING = {aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default, aten._unsafe_index.Tensor}


class Mixed(RuntimeError):
    """Operands, or a generator and its tensor, on two devices."""


class Log:
    """How often the host waited for the device, and copied to it, by place."""

    def __init__(self):
        self.waits = Counter()
        self.copies = Counter()
        self.pinned = {}  # tensors that are in pinned memory, by their address there
        self.bytes = Counter()  # copied to the device, by whether they were


LOG = Log()
DEVICES_OF_GENERATORS = {}  # by what torch's own object is known by


class There(torch.Tensor):
    """A tensor of the pretended device; `held` has its numbers."""

    @staticmethod
    def __new__(cls, held, requires_grad=False):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=DEVICE,
            requires_grad=requires_grad,
        )
        made.held = held
        return made

    def __tensor_flatten__(self):
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner, meta, size, stride):
        return There(inner["held"])

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __reduce_ex__(self, protocol):  # torch.save writes the numbers; load puts them where map_location says
        return torch.Tensor.__reduce_ex__(self.held.detach(), protocol)

    def tolist(self):
        LOG.waits[f"{place()} tolist"] += 1
        return self.held.tolist()

    def __repr__(self, *, tensor_contents=None):
        return f"There({self.held!r})"


class Generator(torch.Generator):
    """A generator that may say it is on the pretended device."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls, "cpu")

    def __init__(self, device="cpu"):
        self.told = DEVICE if is_pretended(device) else torch.device(device)
        DEVICES_OF_GENERATORS[self._cdata] = self.told

    @property
    def device(self):
        return self.told


def is_pretended(device):
    return device is not None and torch.device(device).type == NAME


def place():
    """File and line of the project from which torch was called."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(ROOT) and "/.venv/" not in file and file != __file__:
            return f"{file[len(ROOT) + 1 :]}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def opened(x, there, here):
    """Arguments with the numbers of their tensors in place of them, which go to one of the two lists."""
    if isinstance(x, torch.Tensor):
        is_there = isinstance(x, There)
        (there if is_there else here).append(x)
        return x.held if is_there else x
    if isinstance(x, (list, tuple)):
        return [opened(each, there, here) for each in x]
    if isinstance(x, dict):
        return {name: opened(each, there, here) for name, each in x.items()}
    return torch.device("cpu") if isinstance(x, torch.device) and x.type == NAME else x


def run(func, args, kwargs):
    """An operation on tensors of which some are, or shall be, on the pretended device."""
    there, here = [], []
    inner_args, inner_kwargs = opened(args, there, here), opened(kwargs, there, here)
    device = kwargs.get("device")
    is_pinned = inner_kwargs.pop("pin_memory", False)
    lands_there = is_pretended(device) if device is not None else bool(there)
    check_generator(func, kwargs.get("generator"), lands_there)
    if func in (aten._to_copy.default, aten.copy_.default):
        source = args[0] if func is aten._to_copy.default else args[1]
        goes_there = lands_there if func is aten._to_copy.default else isinstance(args[0], There)
        at = 1 if func is aten._to_copy.default else 2  # where copy_ may say it without a name
        note_copy(func, source, goes_there, kwargs.get("non_blocking") or args[at:] == (True,))
    elif there:
        check_operands(func, args, there, here)

    out = func(*inner_args, **inner_kwargs)
    if is_pinned:
        LOG.pinned[out.data_ptr()] = out
    return wrapped(func, out, args, kwargs) if lands_there and func is not aten._local_scalar_dense.default else out


def wrapped(func, out, args, kwargs):
    """Results as tensors of the pretended device; those written in place are the tensors that were given."""
    returns, given = func._schema.returns, {}
    for index, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            is_positional = index < len(args) and not argument.kwarg_only
            given[tuple(argument.alias_info.before_set)] = args[index] if is_positional else kwargs.get(argument.name)

    def outer(x, index):
        alias = returns[index].alias_info if index < len(returns) else None
        if alias is not None and alias.is_write:
            return given[tuple(alias.before_set)]
        if isinstance(x, (list, tuple)):
            return [outer(each, index) for each in x]
        return There(x) if isinstance(x, torch.Tensor) and not isinstance(x, There) else x

    if isinstance(out, tuple) and len(returns) > 1:
        return tuple(outer(x, index) for index, x in enumerate(out))
    return outer(out, 0)


def check_generator(func, generator, lands_there):
    if generator is not None:
        told = DEVICES_OF_GENERATORS.get(generator._cdata, torch.device("cpu"))
        if is_pretended(told) != lands_there:
            wanted = NAME if lands_there else "cpu"
            raise Mixed(f"{place()} {func}: a generator on {told.type} for a tensor on {wanted}")


def check_operands(func, args, there, here):
    """Count a wait, or raise Mixed. Numbers without dimensions may lie on the CPU, as may indices, which are copied."""
    if func in WAITS:
        LOG.waits[f"{place()} {func}"] += 1
    if func in INDEXING and isinstance(args[0], There):
        if any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1]):
            LOG.waits[f"{place()} {func}: boolean index"] += 1
        if here:
            LOG.copies[f"{place()} {func}: index"] += len(here)
            LOG.waits[f"{place()} {func}: until an index is there"] += len(here)
    else:
        takes_numbers = torch.Tag.pointwise in func.tags or func is aten.where.self
        if any(x.dim() or not takes_numbers for x in here):
            shapes = [f"{NAME} {list(x.shape)}" for x in there] + [f"cpu {list(x.shape)}" for x in here]
            raise Mixed(f"{place()} {func}: {', '.join(shapes)}")


def note_copy(func, source, goes_there, does_not_wait):
    if isinstance(source, There) and not goes_there:
        LOG.waits[f"{place()} {func}: to the host"] += 1
    elif goes_there and not isinstance(source, There):
        LOG.copies[f"{place()} {func} {list(source.shape)}"] += 1
        LOG.bytes["pinned" if source.data_ptr() in LOG.pinned else "pageable"] += source.nbytes
        if not does_not_wait:
            LOG.waits[f"{place()} {func}: until the copy is made"] += 1


class Pretend(TorchDispatchMode):
    """Within it, tensors can be made on the pretended device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


@contextlib.contextmanager
def pretended():
    """Within it DEVICE is a device. Gives the log, which starts empty."""
    generator, load, tensor = torch.Generator, torch.load, torch.tensor

    def loading(file, map_location=None, **options):
        content = load(file, map_location="cpu", **options)
        if is_pretended(map_location):
            content = pytree.tree_map_only(torch.Tensor, lambda t: t.to(DEVICE), content)
        return content

    def made(data, *, device=None, **options):  # its copy to the device goes past all modes
        if not is_pretended(device):
            return tensor(data, device=device, **options)
        LOG.copies[f"{place()} torch.tensor"] += 1
        LOG.waits[f"{place()} torch.tensor"] += 1
        return There(tensor(data, **options))

    LOG.__init__()
    torch.Generator, torch.load, torch.tensor = Generator, loading, made
    try:
        with Pretend():
            yield LOG
    finally:
        torch.Generator, torch.load, torch.tensor = generator, load, tensor
