"""Loads exported folders and adapters with transformers and PEFT and compares with what our engine said: tokens of every text,
log-probs within 1e-4 nats, greedy answers token by token. Called by run.mjs: python check_transformers.py CASES.json VERDICTS.json
"""

import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 1e-4  # nats, f32 on both sides


def logprobs(model, ids):
    logits = model(torch.tensor([ids])).logits[0]
    return logits[:-1].log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()


def check(name, folder, prompts, texts, adapter=None, **_):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    same_tokens = sum(tokenizer(t['text'])['input_ids'] == t['ids'] for t in prompts + texts)
    error = max(abs(ours - theirs) for t in texts for ours, theirs in zip(t['logprobs'][1:], logprobs(model, t['ids']), strict=True))
    same = 0
    for prompt in prompts:
        out = model.generate(torch.tensor([prompt['ids']]), attention_mask=torch.ones(1, len(prompt['ids']), dtype=torch.long),
                             do_sample=False, max_new_tokens=len(prompt['completion']), repetition_penalty=1.0)
        same += out[0, len(prompt['ids']):].tolist() == prompt['completion']
    count = len(prompts) + len(texts)
    detail = f'tokens of {same_tokens}/{count} texts, log-probs within {error:.1e}, greedy answers {same}/{len(prompts)}'
    return dict(name=name, detail=detail, **{'pass': same_tokens == count and error <= TOLERANCE and same == len(prompts)})


with open(sys.argv[1]) as file:
    cases = json.load(file)
torch.set_num_threads(1)  # the models are small
with torch.no_grad():
    verdicts = [check(**case) for case in cases]
with open(sys.argv[2], 'w') as file:
    json.dump(verdicts, file)
