/** A row as plain text, without any template: what a classifier reads, which is trained on such texts (tokenizer/template.ts renders rows for models that answer). */
import { answerText, type Example, type Message, messageText } from '../../shared/dataset.ts';

/** One text an answer where a prompt has several; else one. A prompt and its answer, and turns, stand apart by an empty line; tools are left out. */
export function plainTexts(example: Example): string[] {
  switch (example.kind) {
    case 'text':
    case 'classification':
      return [example.text];
    case 'instruction':
      return [join(example.input === '' ? example.instruction : `${example.instruction}\n${example.input}`, example.output)];
    case 'conversation':
      return [said(example.messages)];
    case 'completion':
    case 'unpaired':
      return [join(said(example.prompt), answerText(example.completion))];
    case 'preference':
      return [example.chosen, example.rejected].map((answer) => join(said(example.prompt), answerText(answer)));
    case 'ranking':
      return example.responses.map((answer) => join(said(example.prompt), answer));
  }
}

const said = (prompt: string | Message[]): string => (typeof prompt === 'string' ? prompt : join(...prompt.map(messageText)));
const join = (...parts: string[]): string => parts.filter((part) => part !== '').join('\n\n');
