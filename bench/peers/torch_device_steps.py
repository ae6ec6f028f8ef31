"""PyTorch's training step on a graphics card, one for every line on standard input.

python torch_device_steps.py DEVICE sft|lora|dpo plain|compiled SIZE RANK

SIZE is JSON as bench/configs.ts has it. As one would train there: weights in f32 under bf16 autocast (a frozen base in bf16), flash attention by
scaled_dot_product_attention, fused AdamW; compiled: model and loss by torch.compile. Rows, LoRA and DPO's pairs as bench/trainer.ts draws them, the
reference's log-probs given. It has made its steps of warm-up when it says that it is ready; answers are seconds of one step and the most bytes of tensors.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

device, method, kind, size, rank = sys.argv[1:]
size = json.loads(size)
C, L, H, K, INTER, V, T, B = (size[name] for name in 'CLHKFVTB')
D = C // H
RANK = int(rank) if method == 'lora' else 0
# a processor has no flash attention of PyTorch's own: for trying this script alone
ATTENTION = [SDPBackend.FLASH_ATTENTION] if device == 'cuda' else [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]


class Linear(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, device=device, dtype=torch.bfloat16 if RANK else torch.float32) * 0.02, requires_grad=not RANK)
        if RANK:
            self.a = nn.Parameter(torch.randn(RANK, inputs, device=device) * 0.02)
            self.b = nn.Parameter(torch.zeros(outputs, RANK, device=device))

    def forward(self, x):
        out = F.linear(x, self.weight)
        return out + 2 * F.linear(F.linear(x, self.a), self.b) if RANK else out


class Norm(nn.RMSNorm):
    def __init__(self):
        super().__init__(C, eps=1e-5, device=device, dtype=torch.bfloat16 if RANK else torch.float32)
        self.requires_grad_(not RANK)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Norm(), Norm()
        self.q, self.k, self.v, self.o = Linear(C, C), Linear(C, K * D), Linear(C, K * D), Linear(C, C)
        self.gate, self.up, self.down = Linear(C, INTER), Linear(C, INTER), Linear(INTER, C)

    def forward(self, x, cos, sin):
        rows, tokens, _ = x.shape
        y = self.first(x)
        q, k, v = (linear(y).view(rows, tokens, -1, D).transpose(1, 2) for linear in (self.q, self.k, self.v))

        def turn(z):
            left, right = z.chunk(2, -1)
            return torch.cat((left * cos - right * sin, right * cos + left * sin), -1).to(v.dtype)

        with sdpa_kernel(ATTENTION):
            seen = F.scaled_dot_product_attention(turn(q), turn(k), v, is_causal=True, enable_gqa=K != H)
        x = x + self.o(seen.transpose(1, 2).reshape(rows, tokens, C))
        y = self.second(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = Linear(C, V).weight
        self.layers = nn.ModuleList(Layer() for _ in range(L))
        self.norm = Norm()
        angles = torch.outer(torch.arange(T, device=device).float(), 10000.0 ** (-torch.arange(0, D, 2, device=device).float() / D))
        self.cos, self.sin = angles.cos(), angles.sin()

    def forward(self, ids, targets):
        """The log-prob of every target."""
        x = F.embedding(ids, self.embedding)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        logits = F.linear(self.norm(x), self.embedding)
        return -F.cross_entropy(logits.view(-1, V).float(), targets.view(-1), reduction='none').view(ids.shape)


torch.manual_seed(0)
model = Model()
forward = torch.compile(model) if kind == 'compiled' else model
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4, weight_decay=0, fused=True)
ids, targets = (torch.randint(0, V, (B, T), device=device) for _ in range(2))


def step():
    with torch.autocast(device, torch.bfloat16):
        logprobs = forward(ids, targets)
    if method == 'dpo':  # the first half chosen, the second rejected; answers are the second half of a row
        chosen, rejected = (logprobs[:, T // 2:].sum(1) + 5 * T).view(2, -1)
        loss = -F.logsigmoid(0.1 * (chosen - rejected)).mean()
    else:
        loss = -logprobs.mean()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def say(**values):
    print(json.dumps(values), flush=True)


for _ in range(3):
    step()
say(ready=1)
for _ in sys.stdin:
    start = time.perf_counter()
    step()
    if device == 'cuda':
        torch.cuda.synchronize()
    say(seconds=time.perf_counter() - start, tensor_bytes=torch.cuda.max_memory_allocated() if device == 'cuda' else 0)
