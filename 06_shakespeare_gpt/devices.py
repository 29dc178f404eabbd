"""Which device to compute on, and how several of them share the work.

torchrun --standalone --nproc-per-node=2 06_shakespeare_gpt/main.py starts main.py twice, once for
each rank. Every rank holds the complete model and takes its share of each batch. PyTorch's
DistributedDataParallel averages the gradients, so all ranks stay the same. Only rank 0 writes.
"""

import copy
import os
import signal
import sys
from contextlib import nullcontext

from common import BadInput, visible

import torch
import torch.distributed
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

RANK, RANKS = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def pick_device(name):
    """Return "cuda", "mps" or "cpu"; auto takes the first that is available.

    Raises BadInput if this machine does not have the device.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return next(device for device in available if available[device])
    if not available.get(name):
        raise BadInput(f"--device {name} is not available on this machine: give auto or cpu")
    return name


def pick_dtype(name, device):
    """Return "bfloat16" or "float32"; auto takes bfloat16 if the device is faster at it.

    bfloat16 keeps the range of float32 and 8 of its 24 bits of precision. GPUs and some CPUs have
    instructions for it. On such a CPU, training takes less than half the time.
    """
    if name != "auto":
        return name
    if device == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        can = getattr(torch.cpu, "get_capabilities", dict)()  # older versions cannot tell
        fast = device == "cpu" and (can.get("avx512_bf16") or can.get("amx_bf16"))
    return "bfloat16" if fast else "float32"


def one_step(model, device, text):
    """What one step of AdamW on a text (T + 1,) changes in each weight. -> list of CPU tensors"""
    model, text = copy.deepcopy(model).to(device).eval(), text.to(device)  # without dropout
    before = [p.detach().clone() for p in model.parameters()]
    # With eps = 1, AdamW does not magnify the rounding of gradients that are nearly 0.
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, eps=1.0, weight_decay=0.0)
    F.cross_entropy(model(text[None, :-1])[0], text[1:]).backward()
    optimizer.step()
    return [(p.detach() - old).cpu() for p, old in zip(model.parameters(), before)]


def check_device(device, model, text):
    """The device, or "cpu" and a line on stderr if one step of training fails or differs there.

    Some drivers, above all for MPS and old GPUs, compute wrong numbers without an error. text: ids
    (T + 1,), T at most block_size.
    """
    if device == "cpu" or RANKS > 1:
        return device
    right, problem = one_step(model, "cpu", text), ""
    whole = torch.cat([change.flatten() for change in right]).norm()
    try:
        for a, b in zip(right, one_step(model, device, text)):
            if not (a - b).norm() <= 0.01 * (a.norm() + 0.1 * whole):  # not: also for NaN
                problem = "its first step of training differs from the CPU's"
    except RuntimeError as error:  # such as: no code for a GPU as old as this one
        problem = str(error).partition("\n")[0]
    if problem:
        line = f"{device} cannot be trusted ({problem}), so this run uses the CPU"
        print(f"{visible(line)}; a newer driver or PyTorch may help", file=sys.stderr)
    return "cpu" if problem else device


def check_compiler(device):
    """Raise BadInput if torch.compile does not work here."""
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.ones(2, device=device))
    except Exception as error:  # its parts have many errors of their own
        needs = "a C++ compiler" if device == "cpu" else "a C++ compiler and Triton"
        how = "install it, or give --no-compile, which trains the same model"
        raise BadInput(f"--compile needs {needs} that PyTorch can use: {how}") from error


def autocast(device, dtype):
    """A context in which matrices are multiplied in this dtype; weights and sums stay float32."""
    # Older versions of PyTorch have no autocast for MPS, not even one that is off.
    return torch.autocast(device, torch.bfloat16) if dtype == "bfloat16" else nullcontext()


def join_ranks(device):
    """Connect to the other ranks, if there are any. Only rank 0 prints and handles Ctrl-C."""
    if RANKS > 1:
        torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    if RANK > 0:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, stays open
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # rank 0 needs the others for its last step
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))


def leave_ranks():
    """End every rank but rank 0."""
    if RANK > 0:
        os._exit(0)  # exit at once, because PyTorch's normal exit crashes in one run in twenty


def share_gradients(model):
    """The model, with a backward() that averages its gradients over all ranks."""
    return DistributedDataParallel(model) if RANKS > 1 else model


def mean_over_ranks(value):
    """A tensor's mean over all ranks."""
    value = value / RANKS
    if RANKS > 1:
        torch.distributed.all_reduce(value)
    return value
