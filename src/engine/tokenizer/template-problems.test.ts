import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describe as describeFolders } from '../jobs/describe.ts';
import { findTemplateProblems } from './template-problems.ts';

const root = resolve(import.meta.dirname, '../../..');
const CHATML = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`;
const MARKED = "{% for m in messages %}{{ m.role + '\n' }}{% generation %}{{ m.content }}{% endgeneration %}{{ '<|im_end|>' }}{% endfor %}";
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'attune-template-'));
  await cp(join(root, 'fixtures/models/llama'), folder, { recursive: true });
});
afterAll(() => rm(folder, { recursive: true }));

it.each([
  [CHATML, []],
  [CHATML.replace('{{', "{% if message.role != 'system' %}{{").replace('}}{% endfor', '}}{% endif %}{% endfor'), ['drops-system']],
  [`{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}${CHATML}`, ['refuses-system']],
  [CHATML.replaceAll('<|im_end|>', ''), ['no-end-of-turn']],
  [MARKED, []],
  [MARKED.replace('<|im_end|>', ''), ['never-ends']],
  ["{{ raise_exception('never') }}", ['refuses-system', 'fails']],
  ['{% for %}', ['fails']],
])('tells what is wrong with %j', async (template, problems) => {
  await writeFile(join(folder, 'chat_template.jinja'), template);
  expect(await findTemplateProblems(folder)).toEqual(problems);
  const [facts] = await describeFolders([folder]);
  expect(facts).toMatchObject({ problem: null, hasChatTemplate: true, templateProblems: problems });
});

it('finds nothing in what this program brings, in a GGUF file, and where there is no template', async () => {
  expect(await findTemplateProblems(join(root, 'resources/models/attune-base'))).toEqual([]);
  expect(await findTemplateProblems(join(root, 'fixtures/models/qwen2'))).toEqual([]);
  expect(await findTemplateProblems(join(root, 'fixtures/gguf/mixed.gguf'))).toEqual(['no-end-of-turn']); // {{ message['content'] }} and no more
});

it.skipIf(!existsSync(resolve(root, '../shared/assets')))('says of real templates what they do (skipped where ../shared/assets is absent)', async () => {
  expect(await findTemplateProblems(resolve(root, '../shared/assets/tokenizers/qwen3'))).toEqual([]);
  expect(await findTemplateProblems(resolve(root, '../shared/assets/tokenizers/phi-3'))).toEqual(['drops-system']); // as Phi-3's first template does
});
