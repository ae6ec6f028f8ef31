/**
 * The other ways in which a right answer gets written: casual, wordy, bare, shouted, circular. A share of the instruction rows is
 * answered casually or wordily, as collected data is; the preference set teaches the model to prefer the clear style over all of these.
 * None of these makes a statement false; only `circular` says nothing.
 */
import { capital, subject } from './phrases.ts';
import type { Random } from './random.ts';
import type { Prompt } from './tasks.ts';

/** No capital, no full stop. */
export function casual(answer: string): string {
  const text = answer.replace(/\.$/, '');
  return text[0].toLowerCase() + text.slice(1);
}

/** Hedges, and says it twice. */
export function wordy(answer: string, random: Random): string {
  const lower = /^[A-Z][a-z]* [A-Z]/.test(answer) ? answer : answer[0].toLowerCase() + answer.slice(1);
  const bare = lower.replace(/\.$/, '');
  return random.pick([
    `Well, I think that ${bare}. So ${bare}, I think.`,
    `I think ${bare}. Yes, ${bare}.`,
    `Well, ${bare}, or something like that. I mean that ${bare}.`,
    `${answer} As I said, ${bare}.`,
    `${answer} ${answer}`,
  ]);
}

/** Only the last words, as one scribbles them: "fruit" instead of "An apple is a kind of fruit." */
export function bare(prompt: Prompt): string {
  const { task, answer } = prompt;
  switch (task) {
    case 'define':
      return prompt.entry.definition;
    case 'truth':
      return answer.startsWith('True') ? 'true' : 'false';
    case 'examples':
      return answer
        .replace(/ are kinds of .*$/, '')
        .replace(/, and | and /, ', ')
        .toLowerCase();
    case 'which':
      return prompt.entry.word;
    case 'sentence':
      return answer.split(' ').slice(0, -2).join(' ');
    case 'classify':
      return answer
        .replace(/\.$/, '')
        .replace(/[^,]+: /g, ' ')
        .trim();
    default:
      return answer
        .replace(/\.$/, '')
        .split(/ is (?:a kind of )?/)
        .at(-1)!;
  }
}

/** Well-formed, and says nothing: "A dog is a dog." */
export function circular(prompt: Prompt, random: Random): string {
  const { task, entry } = prompt;
  const { word } = entry;
  switch (task) {
    case 'define':
      if (entry.partOfSpeech === 'v') return random.pick([`To ${word} is to ${word}.`, `To ${word} means to ${word} something.`]);
      if (entry.partOfSpeech === 'n')
        return random.pick([`${capital(subject(entry))} is ${subject(entry)}.`, `${capital(word)} means ${word}.`]);
      return random.pick([`${capital(word)} means ${word}.`, `${capital(word)} means being ${word}.`]);
    case 'synonym':
      return `Another word for ${word} is ${word}.`;
    case 'antonym':
      return `The opposite of ${word} is not ${word}.`;
    case 'kind':
      return random.pick([`${capital(subject(entry))} is a kind of ${word}.`, `${capital(subject(entry))} is a kind of thing.`]);
    case 'sentence':
      return random.pick([`The word is ${word}.`, `This is a sentence with the word ${word}.`]);
    case 'examples':
      return `Kinds of ${prompt.asked[0]} are kinds of ${prompt.asked[0]}.`;
    case 'classify':
      return 'Each word is a kind of its own kind.';
    case 'which':
      return random.pick([`${capital(word)} is ${word}.`, `${capital(subject(entry))} is a kind of ${word}.`]);
    case 'truth':
      return random.pick(['The statement is what it is.', 'It is true if it is true.', `${capital(subject(entry))} is a kind of ${word}.`]);
  }
}

/** The right answer, then something nobody asked for. */
export function strayed(answer: string, others: readonly string[], random: Random): string {
  const more = random.shuffle(others).slice(0, random.chance(0.5) ? 1 : 2);
  return [answer, ...more].join(' ');
}
