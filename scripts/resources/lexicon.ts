/**
 * Picks from WordNet the words people use and what is worth saying about each: one main sense, a short plain definition, its broader
 * kind, synonyms, an opposite and example sentences. corpus.ts, instructions.ts and preferences.ts all stand on this one list, so a
 * fact is worded the same wherever the model meets it. It holds no phrasing of its own (phrases.ts) and no randomness.
 */
import { ANCHORS, FINITE, FUNCTION_WORDS, NOT_ENTRIES, PASSED_OVER, PREFERRED, SUBJECT, TOO_BROAD, UNFIT } from './word-lists.ts';
import type { PartOfSpeech, Sense, Synset, WordNet } from './wordnet.ts';

export type Entry = {
  word: string;
  partOfSpeech: PartOfSpeech;
  synset: Synset;
  /** 0 is the commonest word. */
  rank: number;
  /** No capital, no full stop: "a fruit with red or yellow or green skin". */
  definition: string;
  /** Nouns: a broader kind a person would name, "fruit"; or null. */
  kind: string | null;
  synonyms: string[];
  antonym: string | null;
  /** Full sentences that use the word, capital first and closed. */
  sentences: string[];
  /** WordNet's usage examples of this sense as sentences or phrases, closed. */
  examples: string[];
  /** Parts of the thing, if the list knows their names. */
  parts: string[];
  proper: boolean;
};

export type Lexicon = {
  entries: Entry[];
  byWord: Map<string, Entry>;
  /** kind → words of that kind, commonest first; kinds of at least four words. */
  kinds: Map<string, Entry[]>;
  /** Plain example sentences made of common words only. */
  sentences: string[];
};

const CONCRETE = new Set([5, 6, 8, 13]);

export function buildLexicon(wordnet: WordNet, size = 9000): Lexicon {
  const glossCounts = countGlossWords(wordnet);
  const anchors = resolveAnchors(wordnet);

  // Commonness: how often people wrote the word (concordance) and how often definitions and examples need it.
  const scored: { word: string; score: number; sense: Sense }[] = [];
  for (const [lemma, senses] of wordnet.senses) {
    if (!/^[a-z]{3,14}$/.test(lemma) && lemma !== 'ox') continue;
    if (NOT_ENTRIES.has(lemma)) continue;
    const sense = mainSense(lemma, senses, wordnet, anchors);
    if (!sense || UNFIT.test(lemma) || UNFIT.test(sense.synset.definition) || sense.synset.words.some((w) => UNFIT.test(w))) continue;
    const total = senses.reduce((sum, s) => sum + s.count, 0);
    const inGlosses = glossCounts.get(lemma) ?? 0;
    if (total === 0 && inGlosses < 6) continue;
    const concrete = nearestAnchor(sense.synset, wordnet, anchors) && !sense.synset.words.some((w) => /^[A-Z]/.test(w)) ? 1 : 0;
    scored.push({ word: lemma, score: Math.log2(1 + total) + Math.log2(1 + inGlosses) + concrete, sense });
  }
  scored.sort((x, y) => y.score - x.score || (x.word < y.word ? -1 : 1));

  const entries: Entry[] = [];
  const byWord = new Map<string, Entry>();
  const known = new Set(scored.slice(0, size * 1.3).map((s) => s.word));
  for (const { word, sense } of scored) {
    if (entries.length >= size) break;
    const { synset } = sense;
    const spelled = synset.words.find((w) => w.toLowerCase() === word) ?? word;
    const definition = plainDefinition(synset, spelled);
    if (!definition) continue;
    // "comforts" beside "comfort": the plural of a listed word says nothing new.
    if (
      synset.partOfSpeech === 'n' &&
      /[^su]s$/.test(word) &&
      (known.has(word.slice(0, -1)) || known.has(word.slice(0, -2)) || known.has(word.replace(/ies$/, 'y')))
    )
      continue;
    const entry: Entry = {
      word: spelled,
      partOfSpeech: synset.partOfSpeech,
      synset,
      rank: entries.length,
      definition,
      kind: null,
      synonyms: synonymsOf(synset, word, known),
      antonym: antonymOf(synset, spelled, wordnet, known),
      sentences: [],
      examples: synset.examples.map(closed).filter((x): x is string => x !== null && mentions(x, word)),
      parts: [],
      proper: /^[A-Z]/.test(spelled),
    };
    entries.push(entry);
    byWord.set(word, entry);
  }
  const kinds = assignKinds(entries, wordnet, anchors);
  for (const entry of entries) {
    entry.parts = entry.synset.pointers
      .filter((p) => p.symbol === '%p')
      .map((p) => wordnet.synsets.get(p.target)!.words[0])
      .filter((w) => byWord.has(w.toLowerCase()));
  }
  const sentences = collectSentences(wordnet, byWord);
  return { entries, byWord, kinds, sentences };
}

/** Words in definitions and examples, plurals and simple verb forms counted for their lemma. */
function countGlossWords(wordnet: WordNet): Map<string, number> {
  const counts = new Map<string, number>();
  for (const synset of wordnet.synsets.values()) {
    for (const token of `${synset.definition} ${synset.examples.join(' ')}`.toLowerCase().match(/[a-z]+/g) ?? []) {
      const lemma = lemmaOf(token, (w) => wordnet.senses.has(w));
      if (lemma) counts.set(lemma, (counts.get(lemma) ?? 0) + 1);
    }
  }
  return counts;
}

/** WordNet's detachment rules, the few that matter. */
export function lemmaOf(token: string, isWord: (w: string) => boolean): string | null {
  if (isWord(token)) return token;
  const rules: [RegExp, string[]][] = [
    [/ies$/, ['y']],
    [/s$/, ['']],
    [/es$/, ['', 'e']],
    [/ied$/, ['y']],
    [/ed$/, ['', 'e']],
    [/ing$/, ['', 'e']],
    [/(.)\1ed$/, ['$1']],
    [/(.)\1ing$/, ['$1']],
  ];
  for (const [ending, stems] of rules) {
    if (!ending.test(token)) continue;
    for (const stem of stems) {
      const word = token.replace(ending, stem);
      if (word.length > 2 && isWord(word)) return word;
    }
  }
  return null;
}

/** synset id → the label people use for that kind. */
function resolveAnchors(wordnet: WordNet): Map<string, string> {
  const anchors = new Map<string, string>();
  for (const [lemma, file, label] of ANCHORS) {
    const sense = (wordnet.senses.get(lemma.toLowerCase()) ?? [])
      .filter((s) => s.synset.partOfSpeech === 'n' && s.synset.file === file)
      .sort((x, y) => x.number - y.number)[0];
    if (sense && !anchors.has(sense.synset.id)) anchors.set(sense.synset.id, label ?? lemma);
  }
  return anchors;
}

/** Ancestors breadth first: [synset, distance]. */
function* ancestors(synset: Synset, wordnet: WordNet): Generator<[Synset, number]> {
  const seen = new Set([synset.id]);
  let level = [synset];
  for (let distance = 1; level.length > 0; distance++) {
    const next: Synset[] = [];
    for (const s of level) {
      for (const p of s.pointers) {
        if (p.symbol[0] !== '@' || seen.has(p.target)) continue;
        seen.add(p.target);
        const parent = wordnet.synsets.get(p.target)!;
        next.push(parent);
        yield [parent, distance];
      }
    }
    level = next;
  }
}

function nearestAnchor(synset: Synset, wordnet: WordNet, anchors: Map<string, string>): string | null {
  if (synset.partOfSpeech !== 'n') return null;
  for (const [parent] of ancestors(synset, wordnet)) {
    const label = anchors.get(parent.id);
    if (label) return TOO_BROAD.has(label) ? null : label;
  }
  return null;
}

/** The sense with the highest count; a concrete one is helped, because low counts are mostly chance. */
function mainSense(lemma: string, senses: Sense[], wordnet: WordNet, anchors: Map<string, string>): Sense | null {
  const preferred = PREFERRED.get(lemma);
  if (preferred !== undefined) {
    const among = senses.filter((s) => s.synset.file === preferred).sort((x, y) => y.count - x.count || x.number - y.number);
    if (among.length === 0) throw new Error(`lexicon: ${lemma} has no sense in lexicographer file ${preferred}; see index.sense`);
    return among[0];
  }
  const totals = new Map<PartOfSpeech, number>();
  for (const s of senses) totals.set(s.synset.partOfSpeech, (totals.get(s.synset.partOfSpeech) ?? 0) + s.count);
  let best: Sense | null = null;
  let bestScore = -Infinity;
  for (const s of senses) {
    const { synset } = s;
    if (synset.pointers.some((p) => p.symbol === '@i') && ![15, 17].includes(synset.file)) continue; // persons and works by name
    const spelled = synset.words.find((w) => w.toLowerCase() === lemma);
    if (!spelled || (/^[A-Z]/.test(spelled) && (/^[A-Z]{2}/.test(spelled) || [5, 20].includes(synset.file)))) continue;
    const anchored = nearestAnchor(synset, wordnet, anchors) !== null;
    const score =
      Math.log2(1 + s.count) +
      0.6 * Math.log2(1 + (totals.get(synset.partOfSpeech) ?? 0)) -
      0.35 * (s.number - 1) +
      (CONCRETE.has(synset.file) ? 0.9 : 0) +
      (anchored ? 0.4 : 0) +
      (synset.words[0].toLowerCase() === lemma ? 0.4 : 0);
    if (score > bestScore) [best, bestScore] = [s, score];
  }
  return best;
}

const DANGLING =
  /[\s,]+(and|or|of|the|a|an|to|in|on|with|by|for|from|as|at|that|which|who|is|are|used|usually|especially|often|not|be|into|than|when|where|such|etc|i\.e|e\.g|its|his|their|being)$/i;

/** The definition in plain words and at most about 16 of them; null when it cannot be had. */
export function plainDefinition(synset: Synset, word: string): string | null {
  let text = synset.definition
    .replace(/\([^()]*\)/g, ' ')
    .replace(/[()]/g, ' ')
    .split(';')[0]
    .replace(/[`']([^`']+)'/g, '$1')
    .replace(/`/g, '')
    .replace(/--+/g, ', ')
    .split(/:|, e\.g\.|, i\.e\.| e\.g\. | i\.e\. /)[0]
    .replace(/\s+,/g, ',')
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/[.,\s]+$/, '');
  if (synset.words.every((w) => !/^[A-Z]/.test(w)) && /^[A-Z][a-z]/.test(text) && /^(A|An|The|Of|Any|One|In)\b/.test(text))
    text = text[0].toLowerCase() + text.slice(1);
  if (synset.partOfSpeech === 'a') text = text.replace(/^(?:used )?of (?:[a-z-]+ ){1,3}?(?:that|who|which) (?:is|are) /, '');
  const words = text.split(' ');
  if (words.length > 16) {
    // Cut where a clause ends, as late as the limit allows.
    let cut = -1;
    for (let i = 5; i < 16; i++) {
      const boundary =
        words[i - 1].endsWith(',') ||
        /^(that|which|who|whose|where|usually|especially|when|in|with|for|from|by|and|so|as|used|having|but)$/.test(words[i]);
      if (boundary) cut = i;
    }
    if (cut < 0) return null;
    text = words
      .slice(0, cut)
      .join(' ')
      .replace(/[,\s]+$/, '');
    while (DANGLING.test(text)) text = text.replace(DANGLING, '');
    if (text.split(' ').length < 4) return null;
  }
  if (text.length < 4 || /[^\x20-\x7e]/.test(text) || /[0-9/"\[\]]/.test(text) || /^(genus|type genus)/.test(text)) return null;
  // "to evaluate is to evaluate or estimate": the rest says it.
  text = text.replace(new RegExp(`^(to )?${word} or `), '$1').replace(/ (of|by|from)$/, '');
  // "a dog is a dog": of no use.
  if (new RegExp(`^(a |an |the )?${word}$`, 'i').test(text)) return null;
  return withArticle(text, synset);
}

/** "limbless scaly elongate reptile" of a thing one can count: "a limbless scaly elongate reptile". */
function withArticle(text: string, synset: Synset): string {
  if (
    ![5, 18, 20].includes(synset.file) &&
    !(
      synset.file === 6 &&
      /\b(device|machine|vehicle|container|tool|implement|weapon|building|room|instrument|ship|boat|aircraft|structure|seat|bed)\b/.test(
        text,
      )
    ) &&
    !(synset.file === 13 && /\b(fruit|root)\b/.test(text))
  )
    return text;
  const words = text.split(' ');
  if (
    synset.words.some((w) => /^[A-Z]/.test(w)) ||
    (/^(a|an|the|any|one|someone|something|each|some|several|two|three|those|either|all|people|persons|part|clothing|cloth|wood|either|both|being|in|of|not|male|female)$/i.test(
      words[0],
    ) &&
      !/^(male|female)$/.test(words[0]))
  )
    return text;
  if (words.slice(0, 4).some((w) => /[^su]s,?$/.test(w))) return text;
  return `${articleFor(text)} ${text}`;
}

/** a or an, by the sound the text begins with. */
export function articleFor(text: string): 'a' | 'an' {
  if (/^(hour|honest|honor|honour|heir|herb)/i.test(text)) return 'an';
  if (/^(uni[^nm]|us[aeu]|eu|one|once|ewe|ut[ei]|ura|uke|ubi)/i.test(text)) return 'a';
  return /^[aeiou]/i.test(text) ? 'an' : 'a';
}

function synonymsOf(synset: Synset, word: string, known: Set<string>): string[] {
  return synset.words.filter((w) => w.toLowerCase() !== word && known.has(w) && !/^[A-Z]/.test(w) && !sameStem(w, word));
}

/** colour/color, gray/grey, advisor/adviser: one word, spelled twice. */
function sameStem(x: string, y: string): boolean {
  const plain = (w: string): string =>
    w
      .replace(/our/g, 'or')
      .replace(/is(e|ation|ing)/g, 'iz$1')
      .replace(/ey/g, 'ay')
      .replace(/re$/, 'er')
      .replace(/er$/, 'or')
      .replace(/ment$|ness$/, '');
  return plain(x) === plain(y);
}

function antonymOf(synset: Synset, spelled: string, wordnet: WordNet, known: Set<string>): string | null {
  const from = synset.words.indexOf(spelled) + 1;
  for (const p of synset.pointers) {
    if (p.symbol !== '!' || p.from !== from) continue;
    const other = wordnet.synsets.get(p.target)!.words[p.to - 1];
    if (known.has(other)) return other;
  }
  return null;
}

/** The nearest ancestor that is an anchor, or a common word that several listed nouns stand under. */
function assignKinds(entries: Entry[], wordnet: WordNet, anchors: Map<string, string>): Map<string, Entry[]> {
  const below = new Map<string, number>();
  for (const e of entries) {
    if (e.partOfSpeech === 'n') for (const [parent] of ancestors(e.synset, wordnet)) below.set(parent.id, (below.get(parent.id) ?? 0) + 1);
  }
  const common = new Map<string, Entry>();
  for (const e of entries) if (e.partOfSpeech === 'n' && e.rank < 3000 && !e.proper) common.set(e.synset.id, e);
  const kinds = new Map<string, Entry[]>();
  for (const e of entries) {
    if (e.partOfSpeech !== 'n') continue;
    for (const [parent] of ancestors(e.synset, wordnet)) {
      const entry = common.get(parent.id);
      const label = anchors.get(parent.id) ?? (entry && (below.get(parent.id) ?? 0) >= 6 ? entry.word : undefined);
      if (!label || label === e.word || PASSED_OVER.has(label)) continue;
      if (TOO_BROAD.has(label) && label !== 'person') break;
      e.kind = label;
      break;
    }
    if (e.kind) kinds.set(e.kind, [...(kinds.get(e.kind) ?? []), e]);
  }
  for (const [kind, list] of kinds) if (list.length < 4) kinds.delete(kind);
  for (const e of entries) if (e.kind && !kinds.has(e.kind)) e.kind = null;
  return kinds;
}

/** Does the text use the word, or an inflected form of it? */
function mentions(text: string, word: string): boolean {
  return (text.toLowerCase().match(/[a-z]+/g) ?? []).some((t) => lemmaOf(t, (w) => w === word) === word);
}

/** A usage example as a closed sentence or phrase: capital first, full stop last; null when it is not plain. */
export function closed(example: string): string | null {
  let text = example
    .replace(/\([^()]*\)/g, ' ')
    .split(/;| or ''/)[0]
    .replace(/`([^`']+)'/g, '$1')
    .replace(/`/g, "'")
    .replace(/\s+([,.?!])/g, '$1')
    .replace(/\s+/g, ' ')
    .trim();
  const words = text.split(' ').length;
  if (words < 3 || words > 14 || /[^\x20-\x7e]|[0-9"/\[\]]|--|\.\.|''/.test(text) || UNFIT.test(text)) return null;
  if (/\b(kill|murder|nigger|damn|hell|bitch|drunk|corpse)/i.test(text)) return null;
  text = text[0].toUpperCase() + text.slice(1);
  if (/[,:\-]$/.test(text)) return null;
  return /[.?!]$/.test(text) ? text : `${text}.`;
}

export function isSentence(text: string): boolean {
  return SUBJECT.test(text) && FINITE.test(text) && text.split(' ').length >= 4;
}

/** Every plain example sentence of WordNet in common words; entries get the ones that use them, those of their own sense first. */
function collectSentences(wordnet: WordNet, byWord: Map<string, Entry>): string[] {
  const functionWords = new Set([...NOT_ENTRIES, ...FUNCTION_WORDS]);
  const isWord = (w: string): boolean => byWord.has(w);
  const sentences: string[] = [];
  for (const synset of wordnet.synsets.values()) {
    if (UNFIT.test(synset.definition)) continue;
    for (const example of synset.examples) {
      const text = closed(example);
      if (!text || text.split(' ').length < 4) continue;
      const tokens = text.toLowerCase().match(/[a-z]+/g) ?? [];
      const lemmas = tokens.map((t) => (functionWords.has(t) ? t : lemmaOf(t, isWord)));
      if (lemmas.some((l) => l === null)) continue;
      sentences.push(text);
      if (!isSentence(text)) continue;
      for (const lemma of new Set(lemmas)) {
        const entry = byWord.get(lemma!);
        if (!entry) continue;
        if (entry.synset.id === synset.id) entry.sentences.unshift(text);
        else if (synset.partOfSpeech === entry.partOfSpeech || !synset.words.includes(entry.word)) entry.sentences.push(text);
      }
    }
  }
  for (const entry of byWord.values()) {
    const own = entry.sentences.filter((s) => entry.examples.includes(s));
    const exact = new RegExp(`\\b${entry.word}\\b`, 'i');
    entry.sentences = [...new Set([...own, ...entry.sentences])].filter((s) => exact.test(s)).slice(0, 5);
  }
  return [...new Set(sentences)];
}
