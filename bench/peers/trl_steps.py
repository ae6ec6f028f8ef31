"""TRL's SFTTrainer or DPOTrainer on the CPU, a pass over the rows for every line on standard input.

python trl_steps.py sft|dpo MODEL ROWS.json BATCH THREADS

As one would run it: padded batches of BATCH rows in an order of its own, f32, completion-only loss, AdamW, a reference for every DPO step. Its
default of recomputing activations is off, which serves it: memory is no matter here. Answers are seconds of one pass, after one to warm up.
"""

import json
import sys
import tempfile
import time

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

method, model, rows, batch, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
with open(rows) as file:
    rows = json.load(file)
steps = -(-len(rows) // int(batch))


class Serve(TrainerCallback):
    """Stops training after every pass until it is asked for the next."""

    start = None

    def on_step_end(self, args, state, control, **_):
        if state.global_step % steps:
            return
        print(json.dumps(dict(seconds=time.perf_counter() - self.start) if self.start else dict(ready=1)), flush=True)
        if not sys.stdin.readline():
            control.should_training_stop = True
        self.start = time.perf_counter()


with tempfile.TemporaryDirectory() as folder:
    shared = dict(output_dir=folder, num_train_epochs=1000, per_device_train_batch_size=int(batch), max_length=1024, learning_rate=1e-4,
                  lr_scheduler_type='constant', gradient_checkpointing=False, save_strategy='no', report_to='none', use_cpu=True, bf16=False, disable_tqdm=True)
    config, trainer = (SFTConfig(completion_only_loss=True, **shared), SFTTrainer) if method == 'sft' else (DPOConfig(**shared), DPOTrainer)
    trainer(model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), args=config, train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(model), callbacks=[Serve()]).train()
