"""Which device to compute on, and how several of them share the work.

torchrun --standalone --nproc-per-node=2 06_shakespeare_gpt/main.py starts main.py twice, once for
each rank. Every rank holds the complete model and takes its share of each batch. PyTorch's
DistributedDataParallel averages the gradients, so all ranks stay the same. Only rank 0 writes.
"""

import os
import signal
import sys
from contextlib import nullcontext

from common import BadInput

import torch
import torch.distributed
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
