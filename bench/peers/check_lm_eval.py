"""lm-eval's `local-completions` client against a running `attune serve`: word and byte perplexity of texts, and each text's log-likelihood, as JSON on stdout.

Run by lm-eval.mjs, which says what the same texts have by Attune's own measure. Reads {"url", "token", "model", "tokenizer", "texts": FILE} on stdin;
FILE is JSONL of {"text"}. Nothing is fetched.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

asked = json.load(sys.stdin)
os.environ |= {'OPENAI_API_KEY': asked['token'], 'HF_HUB_OFFLINE': '1', 'HF_DATASETS_OFFLINE': '1', 'TOKENIZERS_PARALLELISM': 'false'}

import lm_eval  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

TASK = """task: texts
dataset_path: json
dataset_kwargs: {{data_files: {{test: {texts}}}}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: word_perplexity}}, {{metric: byte_perplexity}}]
"""

with tempfile.TemporaryDirectory() as folder:
    Path(folder, 'texts.yaml').write_text(TASK.format(texts=asked['texts']))
    found = lm_eval.simple_evaluate(
        model='local-completions',
        model_args={
            'model': asked['model'], 'base_url': f"{asked['url']}/completions", 'tokenizer': asked['tokenizer'], 'tokenizer_backend': 'huggingface',
            'num_concurrent': 4, 'max_length': 512,
        },
        tasks=['texts'], task_manager=TaskManager(include_path=folder, include_defaults=False), batch_size=4, bootstrap_iters=0,
    )
numbers = {name.split(',')[0]: value for name, value in found['results']['texts'].items() if isinstance(value, float)}
samples = sorted(found['samples']['texts'], key=lambda sample: sample['doc_id'])
print(json.dumps({'version': lm_eval.__version__, **numbers, 'loglikelihoods': [sample['filtered_resps'][0] for sample in samples]}))
