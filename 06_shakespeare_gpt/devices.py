"""Which device to compute on, and how several of them share the work.

torchrun --standalone --nproc-per-node=2 06_shakespeare_gpt/main.py starts main.py twice, once for
each rank. Every rank holds the whole model and takes its share of each batch; PyTorch's
DistributedDataParallel averages the gradients, so that all ranks stay the same. Only rank 0 writes.
"""

import os
import sys

import torch
import torch.distributed
from torch.nn.parallel import DistributedDataParallel

from plumbing import BadInput

RANK, RANKS = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def pick_device(name):
    """Return "cuda", "mps" or "cpu"; auto takes the first that is there. BadInput if it is not."""
    available = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if name == "auto":
        name = next((device for device, there in available.items() if there()), "cpu")
    if name != "cpu" and not (name in available and available[name]()):
        raise BadInput(f"--device {name} is not there; give auto or cpu")
    return name


def autocast(device):
    """A context in which matrices are multiplied in bfloat16, where the device is faster at that.

    bfloat16 keeps the range of float32 and 8 of its 24 bits of precision. Some CPUs have
    instructions for it, as GPUs do; there training takes less than half the time.
    """
    if device == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        can = torch.cpu.get_capabilities()
        fast = device == "cpu" and (can.get("avx512_bf16") or can.get("amx_bf16"))
    return torch.autocast(device, torch.bfloat16, enabled=bool(fast))


def join_ranks(device):
    """Meet the other ranks, if torchrun started any, and leave the printing to rank 0."""
    if RANKS > 1:
        torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    if RANK > 0:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, open to the end
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))


def share_gradients(model):
    """The model, such that backward() averages its gradients over all ranks."""
    return DistributedDataParallel(model) if RANKS > 1 else model


def mean_over_ranks(value):
    """A tensor's mean over all ranks."""
    if RANKS > 1:
        torch.distributed.all_reduce(value)
    return value / RANKS
