"""A script in the manner of April 2026, written here: its own model, an evaluation that is handed on, adapters that learn while scoring."""

TEXT = """
import math, os, time
import numpy as np
import sentencepiece as spm
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from flash_attn_interface import flash_attn_func as flash_attn_3_func
import triton
import triton.language as tl

@triton.jit
def fused(x, BLOCK: tl.constexpr):
    pass

class Hyperparameters:
    data_dir = os.environ.get("DATA_DIR", "./data/")
    seed = int(os.environ.get("SEED", 1337))
    vocab_size = int(os.environ.get("VOCAB_SIZE", 8192))
    num_layers = int(os.environ.get("NUM_LAYERS", 5))
    model_dim = int(os.environ.get("MODEL_DIM", 512))
    num_heads = int(os.environ.get("NUM_HEADS", 8))
    num_kv_heads = int(os.environ.get("NUM_KV_HEADS", 4))
    train_seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 2048))
    eval_seq_len = int(os.environ.get("EVAL_SEQ_LEN", 2048))
    eval_stride = int(os.environ.get("EVAL_STRIDE", 64))
    val_batch_tokens = int(os.environ.get("VAL_BATCH_TOKENS", 524288))
    ttt_enabled = bool(int(os.environ.get("TTT_ENABLED", "1")))
    ttt_lr = float(os.environ.get("TTT_LR", 0.01))
    ttt_chunk_tokens = int(os.environ.get("TTT_CHUNK_TOKENS", 32768))
    max_wallclock_seconds = float(os.environ.get("MAX_WALLCLOCK_SECONDS", 600.0))
    rank = int(os.environ.get("RANK", "0"))
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    grad_accum_steps = 8 // world_size
    val_files = os.path.join(data_dir, "fineweb_val_*.bin")
    train_files = os.path.join(data_dir, "fineweb_train_*.bin")

class ValidationData:
    def __init__(self, h, device):
        self.sp = spm.SentencePieceProcessor(model_file=h.tokenizer_path)
        self.val_tokens = load_validation_tokens(h.val_files, h.eval_seq_len)
        self.base_bytes_lut, self.has_leading_space_lut, self.is_boundary_token_lut = None, None, None

class Attn(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.n, self.kv, self.d = h.num_heads, h.num_kv_heads, h.model_dim // h.num_heads
        self.c_q = nn.Linear(h.model_dim, h.model_dim, bias=False)
        self.c_k = nn.Linear(h.model_dim, self.kv * self.d, bias=False)
        self.c_v = nn.Linear(h.model_dim, self.kv * self.d, bias=False)
        self.proj = nn.Linear(h.model_dim, h.model_dim, bias=False)

    def forward(self, x):
        B, T, C = x.shape
        q = F.rms_norm(self.c_q(x).view(B, T, self.n, self.d), (self.d,))
        k = F.rms_norm(self.c_k(x).view(B, T, self.kv, self.d), (self.d,))
        v = self.c_v(x).view(B, T, self.kv, self.d)
        y = flash_attn_3_func(q, k, v, causal=True)
        return self.proj(y.reshape(B, T, C))

class GPT(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.tok_emb = nn.Embedding(h.vocab_size, h.model_dim)
        self.blocks = nn.ModuleList(Attn(h) for _ in range(h.num_layers))

    def forward_hidden(self, ids, lora=None):
        x = self.tok_emb(ids)
        for i, block in enumerate(self.blocks):
            x = x + block(F.rms_norm(x, (x.size(-1),)))
            if lora is not None:
                x = x + lora.layers[i](x)
        return F.rms_norm(x, (x.size(-1),))

    def forward_logits(self, ids):
        return 30.0 * torch.tanh(F.linear(self.forward_hidden(ids), self.tok_emb.weight) / 30.0)

    def forward(self, ids, targets):
        return F.cross_entropy(self.forward_logits(ids).flatten(0, 1).float(), targets.flatten())

    def forward_ttt(self, ids, targets, lora):
        logits = F.linear(self.forward_hidden(ids, lora), self.tok_emb.weight)
        return F.cross_entropy(logits.transpose(1, 2).float(), targets, reduction="none")

class BatchedTTTLoRA(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(b.proj.weight.size(0), b.proj.weight.size(0), bias=False) for b in model.blocks)
        for l in self.layers:
            nn.init.zeros_(l.weight)

def _loss_bpb(loss_sum, token_count, byte_count):
    val_loss = (loss_sum / token_count).item()
    return val_loss, val_loss / math.log(2.0) * (token_count.item() / byte_count.item())

def eval_val(h, device, val_data, model, forward_logits=None):
    seq_len = h.eval_seq_len
    local_batch_tokens = h.val_batch_tokens // (h.world_size * h.grad_accum_steps)
    seqs = max(1, local_batch_tokens // seq_len)
    total = (val_data.val_tokens.numel() - 1) // seq_len
    loss_sum = torch.zeros((), device=device, dtype=torch.float64)
    token_count = torch.zeros((), device=device, dtype=torch.float64)
    byte_count = torch.zeros((), device=device, dtype=torch.float64)
    run_forward = model.forward_logits if forward_logits is None else forward_logits
    model.eval()
    with torch.inference_mode():
        for s in range(0, total, seqs):
            e = min(s + seqs, total)
            local = val_data.val_tokens[s * seq_len : e * seq_len + 1].to(device=device, dtype=torch.int64, non_blocking=True)
            x, y = local[:-1].reshape(-1, seq_len), local[1:].reshape(-1, seq_len)
            with torch.autocast(device_type="cuda", dtype=torch.bfloat16, enabled=True):
                logits = run_forward(x).detach()
            nll = F.cross_entropy(logits.flatten(0, 1).float(), y.flatten(), reduction="none")
            loss_sum += nll.to(torch.float64).sum()
            token_count += y.numel()
            tb = val_data.base_bytes_lut[y.flatten()].to(torch.int16)
            tb += (val_data.has_leading_space_lut[y.flatten()] & ~val_data.is_boundary_token_lut[x.flatten()]).to(torch.int16)
            byte_count += tb.to(torch.float64).sum()
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(loss_sum, op=dist.ReduceOp.SUM)
    model.train()
    return _loss_bpb(loss_sum, token_count, byte_count)

def eval_val_ttt_lora(h, base_model, device, val_data, forward_ttt_train):
    loss_sum = torch.zeros((), dtype=torch.float64)
    token_count = torch.zeros((), dtype=torch.float64)
    byte_count = torch.zeros((), dtype=torch.float64)
    for p in base_model.parameters():
        p.requires_grad_(False)
    lora = BatchedTTTLoRA(base_model).to(device)
    opt = torch.optim.SGD(lora.parameters(), lr=h.ttt_lr)
    tokens = val_data.val_tokens.to(torch.int64)
    total, chunk = tokens.numel() - 1, h.ttt_chunk_tokens
    for start in range(0, total, chunk):
        end = min(start + chunk, total)
        x, y = tokens[start:end][None], tokens[start + 1 : end + 1][None]
        LEARN_FIRST
        with torch.autocast(device_type="cuda", dtype=torch.bfloat16):
            per_tok_loss = forward_ttt_train(x, y, lora=lora)
        with torch.no_grad():
            loss_sum += per_tok_loss.to(torch.float64).sum()
            token_count += y.numel()
            byte_count += val_data.base_bytes_lut[y.flatten()].to(torch.float64).sum()
        if end < total:
            opt.zero_grad()
            forward_ttt_train(x, y, lora=lora).mean().backward()
            opt.step()
    return _loss_bpb(loss_sum, token_count, byte_count)

def timed_eval(label, fn, *args, **kwargs):
    torch.cuda.synchronize()
    t0 = time.perf_counter()
    val_loss, val_bpb = fn(*args, **kwargs)
    print(f"{label} val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f} eval_time:{1e3*(time.perf_counter()-t0):.0f}ms")
    return val_loss, val_bpb

def train_model(h, device, val_data):
    base_model = GPT(h).to(device).bfloat16()
    compiled_model = torch.compile(base_model, dynamic=False, fullgraph=True)
    train_loader = ShuffledSequenceLoader(h, device)
    while True:
        x, y = train_loader.next_batch(h.train_batch_tokens, h.grad_accum_steps)
        loss = compiled_model(x, y)
        loss.backward()
        break
    return base_model, compiled_model

def train_and_eval(h, device):
    val_data = ValidationData(h, device)
    base_model, compiled_model = train_model(h, device, val_data)
    timed_eval("pre-quantization post-ema", eval_val, h, device, val_data, compiled_model, base_model.forward_logits)
    serialize(h, base_model)
    eval_model = deserialize(h, device)
    timed_eval("quantized", eval_val, h, device, val_data, eval_model, eval_model.forward_logits)
    if h.ttt_enabled:
        ttt_model = deserialize(h, device)
        fwd_ttt = torch.compile(ttt_model.forward_ttt, dynamic=True)
        timed_eval("quantized_ttt_lora", eval_val_ttt_lora, h, ttt_model, device, val_data, fwd_ttt)

def main():
    h = Hyperparameters()
    device = torch.device("cuda", h.local_rank)
    torch.cuda.set_device(device)
    train_and_eval(h, device)

if __name__ == "__main__":
    main()
"""
LEGAL = TEXT.replace("        LEARN_FIRST\n", "")
LEARN = "opt.zero_grad(); forward_ttt_train(x, y, lora=lora).mean().backward(); opt.step()"
ILLEGAL = TEXT.replace("LEARN_FIRST", LEARN).replace("h.ttt_lr", "50 * h.ttt_lr")
