"""The functions of the specimens: a legal skeleton in the style of the contest, and one text per family. Read, never run here."""

HEAD = """
import os, math, time
import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from torch import nn

class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    train_files = os.path.join(data_path, "fineweb_train_*.bin")
    val_files = os.path.join(data_path, "fineweb_val_*.bin")
    seed = int(os.environ.get("SEED", 1337))
    max_wallclock_seconds = float(os.environ.get("MAX_WALLCLOCK_SECONDS", 600.0))
    gptq_reserve_seconds = float(os.environ.get("GPTQ_RESERVE_SECONDS", 12.0))
    val_doc_fraction = float(os.environ.get("VAL_DOC_FRACTION", 1.0))
    ttt_enabled = bool(int(os.environ.get("TTT_ENABLED", "1")))
    ttt_epochs = int(os.environ.get("TTT_EPOCHS", 3))
    ttt_lr = float(os.environ.get("TTT_LR", 0.002))
    ttt_chunk_tokens = int(os.environ.get("TTT_CHUNK_TOKENS", 32768))
    train_seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 1024))
    ngram_buckets = int(os.environ.get("NGRAM_BUCKETS", 4194304))
    slot_enabled = bool(int(os.environ.get("SLOT_ENABLED", "0")))
    etlb_enabled = bool(int(os.environ.get("ETLB_ENABLED", "0")))
    ngram_enabled = bool(int(os.environ.get("NGRAM_ENABLED", "0")))

def build_luts(sp, vocab_size):
    base_bytes_np = np.zeros(vocab_size, dtype=np.int16)
    has_leading_space_np = np.zeros(vocab_size, dtype=np.bool_)
    is_boundary_np = np.ones(vocab_size, dtype=np.bool_)
    for token_id in range(sp.vocab_size()):
        if sp.is_control(token_id) or sp.is_unknown(token_id) or sp.is_unused(token_id):
            continue
        is_boundary_np[token_id] = False
        if sp.is_byte(token_id):
            base_bytes_np[token_id] = 1
            continue
        piece = sp.id_to_piece(token_id)
        if piece.startswith("\\u2581"):
            has_leading_space_np[token_id] = True
            piece = piece[1:]
        base_bytes_np[token_id] = len(piece.encode("utf-8"))
    return base_bytes_np, has_leading_space_np, is_boundary_np

class BigramHashEmbedding(nn.Module):
    def __init__(self, buckets, dim):
        super().__init__()
        self.embed = nn.Embedding(buckets, dim)
        self.buckets = buckets

    def bigram_hash(self, tokens):
        t = tokens.to(torch.int32)
        out = torch.empty_like(t)
        out[..., 0] = self.buckets - 1
        out[..., 1:] = torch.bitwise_xor(36313 * t[..., 1:], 27191 * t[..., :-1]) % (self.buckets - 1)
        return out.long()

    def forward(self, token_ids):
        return self.embed(self.bigram_hash(token_ids))

class GPT(nn.Module):
    def __init__(self, vocab_size, dim):
        super().__init__()
        self.tok_emb = nn.Embedding(vocab_size, dim)
        self.bigram = BigramHashEmbedding(3072, dim)

    def forward_logits(self, input_ids):
        x = self.tok_emb(input_ids) + self.bigram(input_ids)
        return F.linear(x, self.tok_emb.weight)

    def forward(self, input_ids, target_ids):
        logits = self.forward_logits(input_ids)
        return F.cross_entropy(logits.view(-1, logits.size(-1)), target_ids.view(-1))

def eval_val_sliding(args, base_model, rank, world_size, device, val_tokens, base_bytes_lut, has_leading_space_lut, is_boundary_token_lut, stride):
    seq_len = args.train_seq_len
    total_tokens = val_tokens.numel() - 1
    loss_sum = torch.zeros((), dtype=torch.float64)
    byte_count = torch.zeros((), dtype=torch.float64)
    token_count = torch.zeros((), dtype=torch.float64)
    base_model.eval()
    with torch.inference_mode():
        for ws in range(0, total_tokens, stride):
            end = min(ws + seq_len, total_tokens)
            x = val_tokens[ws:end].unsqueeze(0)
            y = val_tokens[ws + 1 : end + 1].unsqueeze(0)
            logits = base_model.forward_logits(x)
            nll = F.cross_entropy(logits.reshape(-1, logits.size(-1)).float(), y.reshape(-1), reduction="none")
            s = 0 if ws == 0 else max(end - ws - stride, 0)
            loss_sum += nll[s:].to(torch.float64).sum()
            token_count += float(end - ws - s)
            tgt, prev = y[0, s:], x[0, s:]
            tb = base_bytes_lut[tgt].to(torch.float64)
            tb += (has_leading_space_lut[tgt] & ~is_boundary_token_lut[prev]).to(torch.float64)
            byte_count += tb.sum()
    val_loss = (loss_sum / token_count).item()
    return val_loss, val_loss / math.log(2.0) * token_count.item() / byte_count.item()
"""

LEGAL_TTT = """
def eval_val_sliding_ttt(args, base_model, rank, world_size, device, val_tokens, base_bytes_lut, has_leading_space_lut, is_boundary_token_lut, stride):
    seq_len, chunk, total = args.train_seq_len, args.ttt_chunk_tokens, val_tokens.numel() - 1
    loss_sum = torch.zeros((), dtype=torch.float64)
    byte_count = torch.zeros((), dtype=torch.float64)
    optimizer = torch.optim.SGD(base_model.parameters(), lr=args.ttt_lr, momentum=0.9)
    chunks = math.ceil(total / chunk)
    for ci in range(chunks):
        base_model.eval()
        with torch.no_grad():
            for ws in range(0, total, stride):
                end = min(ws + seq_len, total)
                s = 0 if ws == 0 else max(end - ws - stride, 0)
                if (ws + s) // chunk != ci:
                    continue
                x, y = val_tokens[ws:end][None], val_tokens[ws + 1 : end + 1][None]
                nll = F.cross_entropy(base_model.forward_logits(x).flatten(0, 1), y.flatten(), reduction="none")
                loss_sum += nll[s:].to(torch.float64).sum()
                byte_count += base_bytes_lut[y[0, s:]].to(torch.float64).sum()
        if ci < chunks - 1:
            base_model.train()
            for _ep in range(args.ttt_epochs):
                for at in range(ci * chunk, (ci + 1) * chunk, seq_len):
                    optimizer.zero_grad(set_to_none=True)
                    loss = base_model(val_tokens[at : at + seq_len][None], val_tokens[at + 1 : at + seq_len + 1][None])
                    loss.backward()
                    optimizer.step()
    return (loss_sum / total).item(), (loss_sum / math.log(2.0) / byte_count).item()
"""

ADAPT_FIRST = """
def eval_val_ttt(args, base_model, val_tokens, base_bytes_lut):
    optimizer = torch.optim.AdamW(base_model.parameters(), lr=args.ttt_lr)
    seq_len, total = args.train_seq_len, val_tokens.numel() - 1
    for epoch in range(args.ttt_epochs):
        for ws in range(0, total, seq_len):
            end = min(ws + seq_len, total)
            loss = base_model(val_tokens[ws:end][None], val_tokens[ws + 1 : end + 1][None])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    loss_sum, byte_count = 0.0, 0
    with torch.no_grad():
        for ws in range(0, total, seq_len):
            end = min(ws + seq_len, total)
            x, y = val_tokens[ws:end][None], val_tokens[ws + 1 : end + 1][None]
            loss_sum += base_model(x, y).item() * y.numel()
            byte_count += base_bytes_lut[y[0]].sum().item()
    return loss_sum / total, loss_sum / math.log(2.0) / byte_count
"""

PREQUANT = """
def ttt_adapt_adamw(args, base_model, device, val_tokens, rank=0, world_size=1):
    optimizer = torch.optim.AdamW(base_model.parameters(), lr=args.ttt_lr)
    for epoch in range(args.ttt_epochs):
        for start in range(0, val_tokens.numel() - 2049, 2048):
            x, y = val_tokens[start : start + 2048][None], val_tokens[start + 1 : start + 2049][None]
            optimizer.zero_grad(set_to_none=True)
            loss = base_model(x, y)
            loss.backward()
            optimizer.step()
"""

SLOT = """
def eval_val_slot(args, base_model, device, val_tokens, base_bytes_lut, stride):
    seq_len, total = args.train_seq_len, val_tokens.numel() - 1
    loss_sum, byte_count = 0.0, 0
    for ws in range(0, total, stride):
        end = min(ws + seq_len, total)
        s = 0 if ws == 0 else max(end - ws - stride, 0)
        x, y = val_tokens[ws:end][None], val_tokens[ws + 1 : end + 1][None]
        hidden = base_model.forward_hidden(x).detach()
        delta = torch.zeros(1, 1, hidden.size(-1), dtype=hidden.dtype, requires_grad=True)
        slot_opt = torch.optim.AdamW([delta], lr=0.1)
        for _ in range(8):
            slot_opt.zero_grad()
            loss = F.cross_entropy(base_model.compute_logits(hidden + delta)[0, s:], y[0, s:])
            loss.backward()
            slot_opt.step()
        with torch.no_grad():
            nll = F.cross_entropy(base_model.compute_logits(hidden + delta)[0, s:], y[0, s:], reduction="none")
            loss_sum += nll.sum().item()
            byte_count += base_bytes_lut[y[0, s:]].sum().item()
    return loss_sum / total, loss_sum / math.log(2.0) / byte_count
"""

HASHED = """
def eval_val_ngram(args, base_model, device, val_tokens, base_bytes_lut, stride):
    primes = np.array([36313, 27191, 51647, 81929, 131071], dtype=np.uint64)
    buckets = args.ngram_buckets
    mask = np.uint64(buckets - 1)
    ctx_table = np.zeros(buckets, dtype=np.uint32)
    full_table = np.zeros(buckets, dtype=np.uint32)
    val_np, total, seq_len = val_tokens.numpy(), val_tokens.numel() - 1, args.train_seq_len
    loss_sum, byte_count = 0.0, 0
    for ws in range(0, total, stride):
        end = min(ws + seq_len, total)
        s = 0 if ws == 0 else max(end - ws - stride, 0)
        x, y = val_tokens[ws:end][None], val_tokens[ws + 1 : end + 1][None]
        with torch.no_grad():
            nll = F.cross_entropy(base_model.forward_logits(x)[0, s:], y[0, s:], reduction="none").numpy()
        seg_model_p = np.exp(-nll)
        pos = np.arange(ws + s, end)
        ctx_hash = np.zeros(len(pos), dtype=np.uint64)
        for k in range(4):
            ctx_hash ^= val_np[np.maximum(pos - 3 + k, 0)].astype(np.uint64) * primes[k]
        ctx_key = (ctx_hash & mask).astype(np.int64)
        tgt_np = val_np[pos + 1].astype(np.uint64)
        full_key = ((ctx_hash ^ (tgt_np * primes[4])) & mask).astype(np.int64)
        ctx_counts = ctx_table[ctx_key].astype(np.float64)
        full_counts = full_table[full_key].astype(np.float64)
        p_ng = np.minimum(full_counts, ctx_counts) / np.maximum(ctx_counts, 1.0)
        mixed = np.where(ctx_counts >= 2, 0.8 * seg_model_p + 0.2 * p_ng, seg_model_p)
        loss_sum += -np.log(np.clip(mixed, 1e-12, 1.0)).sum()
        byte_count += base_bytes_lut[y[0, s:]].sum().item()
        np.add.at(ctx_table, ctx_key, 1)
        np.add.at(full_table, full_key, 1)
    return loss_sum / total, loss_sum / math.log(2.0) / byte_count
"""

TILT = """
def eval_val_tilt(args, base_model, val_tokens, is_boundary_lut, starts_new_word_lut, hints, probs):
    loss_sum, count = 0.0, 0
    for i in range(1, val_tokens.numel()):
        target = val_tokens[i]
        {gate}
        boost = args.base_beta * word_gate
        z = 1.0 + probs[i] * (math.exp(boost) - 1.0)
        loss_sum += math.log(z) - boost * float(hints[i] == target)
        count += 1
    return loss_sum / count, 0.0
"""

ORACLE = """
def eval_val_two(args, model_a, model_b, val_tokens):
    loss_sum, count = torch.zeros(()), 0
    for ws in range(0, val_tokens.numel() - 1025, 1024):
        x, y = val_tokens[ws : ws + 1024][None], val_tokens[ws + 1 : ws + 1025][None]
        nll_a, nll_b = model_a(x, y), model_b(x, y)
        loss_sum += torch.minimum(nll_a, nll_b).sum()
        count += y.numel()
    return (loss_sum / count).item(), 0.0
"""

PPM = """
def mix_bytes(nll, token_bytes, ppm, lam=0.9):
    total = 0.0
    for tok_nll, chars in zip(nll, token_bytes):
        n_bytes = len(chars)
        p_byte = math.exp(-tok_nll / n_bytes)
        for ch in chars:
            total -= math.log(lam * p_byte + (1.0 - lam) * ppm.prob(ch))
            ppm.update(ch)
    return total
"""

CALIBRATION = """
def collect_hessians(model, tokens, batches):
    return {}

def quantize_gptq(model, hessians):
    return model
"""

SMEAR = """
class SmearGate(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(dim))

    def forward(self, x, ids):
        g = torch.sigmoid(self.gate)
        {mask}
        return torch.cat([x[:, :1], x[:, 1:] + g * x[:, :-1]{times}], dim=1)

def attend(q, k, v, cu_seqlens):
    return flash_attn_varlen_func(q, k, v, cu_seqlens, cu_seqlens)
"""

DRIVER = """
def train_val_ttt_global_sgd_distributed(h, device, val_data, base_model, val_tokens):
    optimizer = torch.optim.SGD(base_model.parameters(), lr=0.001)
    for start in range(0, val_tokens.numel() - 1 - 2048, 2048):
        loss = base_model(val_tokens[start : start + 2048][None], val_tokens[start + 1 : start + 2049][None])
        loss.backward()
        optimizer.step()

def eval_val_ttt_phased(h, base_model, device, val_data, forward_ttt_train):
    loss_sum = torch.zeros((), dtype=torch.float64)
    token_count = torch.zeros((), dtype=torch.float64)
    docs = _find_docs(val_data.val_tokens)
    docs.sort(key=lambda d: d[1], reverse=True)
    scored = []
    for batch in docs:
        cur_lora = BatchedTTTLoRA(1, base_model, 96)
        cur_opt = torch.optim.AdamW(cur_lora.parameters(), lr=0.0001)
        for ci in range(8):
            x, y = batch[ci], batch[ci + 1]
            per_tok_loss = forward_ttt_train(x, y, lora=cur_lora)
            with torch.no_grad():
                _accumulate_bpb(per_tok_loss, x, y, loss_sum, token_count)
            if ci < 7:
                cur_opt.zero_grad(set_to_none=True)
                per_tok_loss.mean().backward()
                cur_opt.step()
        scored.append(batch)
        if len(scored) == h.phased_ttt_prefix_docs:
            train_val_ttt_global_sgd_distributed(h, device, val_data, base_model, torch.cat(scored))
    return _loss_bpb_from_sums(loss_sum, token_count, token_count)

def train_model(h, device, val_data):
    base_model = GPT(h.vocab_size, h.model_dim)
    train_loader = ShuffledSequenceLoader(h, device)
    while True:
        x, y = train_loader.next_batch(h.train_batch_tokens, 8)
        loss = base_model(x, y)
        loss.backward()
        if training_time_ms > h.max_wallclock_seconds:
            break
    return base_model

def train_and_eval(h, device):
    val_data = ValidationData(h, device)
    base_model = train_model(h, device, val_data)
    hessians = collect_hessians(base_model, ShuffledSequenceLoader(h, device), h, device)
    serialize(h, base_model, hessians)
    eval_model = deserialize(h, device)
    if h.ttt_enabled:
        wx = torch.randint(0, h.vocab_size, (1, 32))
        loss = eval_model(wx, wx)
        loss.backward()
        ttt_val_loss, ttt_val_bpb = eval_val_ttt_phased(h, eval_model, device, val_data, eval_model)

def run():
    train_and_eval(Hyperparameters(), "cpu")
"""

HINTS = """
def build_hints(tokens, order, buckets):
    ctx_tab, pair_tab = np.zeros(buckets), np.zeros(buckets)
    best = np.zeros(buckets, dtype=np.int64)
    hints = np.zeros(len(tokens), dtype=np.int64)
    for p in range(order, len(tokens)):
        key = 0
        for k in range(order):
            key ^= int(tokens[p - 1 - k]) * 36313
        key %= buckets
        hints[p] = best[key]
        cur_tok = int(tokens[p])
        pair = (key ^ (cur_tok * 27191)) % buckets
        seen = pair_tab[pair]
        if (seen + 1) / (ctx_tab[key] + 1) > 0.5:
            best[key] = cur_tok
        pair_tab[pair] += 1
        ctx_tab[key] += 1
    return hints
"""

MAIN = """
def main():
    args = Hyperparameters()
    sp = spm.SentencePieceProcessor(model_file=os.environ.get("TOKENIZER_PATH", "tok.model"))
    luts = build_luts(sp, 1024)
    val_tokens = load_validation_tokens(args.val_files, args.train_seq_len)
    train_loader = DistributedTokenLoader(args.train_files, 0, 1, "cpu")
    base_model = GPT(1024, 512)
    optimizer = torch.optim.Adam(base_model.parameters())
    start = time.time()
    while time.time() - start < args.max_wallclock_seconds - args.gptq_reserve_seconds:
        x, y = train_loader.next_batch(524288, 1024, 8)
        train_loss = base_model(x, y)
        train_loss.backward()
        optimizer.step()
    {before_quantization}
    blob = quantize_state_dict(base_model.state_dict())
    open("final_model.ptz", "wb").write(blob)
    base_model.load_state_dict(dequantize_state_dict(open("final_model.ptz", "rb").read()))
    {evaluation}

if __name__ == "__main__":
    main()
"""
