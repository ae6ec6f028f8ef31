/**
 * Runs a parsed jinja template with what transformers' sandbox has: the same globals, and its limits. A template comes with a model, from
 * anybody: one that counts for ever must not hold up the engine, nor one that asks for a list of a billion numbers take its memory.
 * Not here: what a chat template means (chat-template.ts).
 */
import { Environment, Interpreter, type Template } from '@huggingface/jinja';

/** Of one rendering, ms. Real templates take a few. */
const RENDER_TIME = 5000;
/** jinja2.sandbox.MAX_RANGE */
const LONGEST_RANGE = 100_000;

const GLOBALS: Record<string, unknown> = {
  true: true, false: false, none: null, True: true, False: false, None: null,
  raise_exception: (text: string) => {
    throw new Error(text);
  },
  range, strftime_now: strftimeNow,
};

/** The text. Throws what the template raises, and where it takes too long. */
export function renderJinja({ parsed }: Pick<Template, 'parsed'>, context: Record<string, unknown>): string {
  const environment = new Environment();
  for (const [name, value] of Object.entries({ ...GLOBALS, ...context })) environment.set(name, value);
  const interpreter = new Interpreter(environment) as { run(program: unknown): { value: string }; evaluate(statement: unknown, environment: unknown): unknown };
  // a limit from outside (within-time.ts) starts a thread each time, and every row is rendered several times: a run of 20 steps took 11.7 s in place of 7.5
  const evaluate = interpreter.evaluate.bind(interpreter);
  const end = performance.now() + RENDER_TIME;
  interpreter.evaluate = (...given) => {
    if (performance.now() > end) throw new Error(`it takes longer than ${RENDER_TIME / 1000} s, a loop in it may never end`);
    return evaluate(...given);
  };
  return interpreter.run(parsed).value;
}

/** Python's, as a list. */
function range(first: number, second?: number, step = 1): number[] {
  const [from, to] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((to - from) / step));
  if (!Number.isInteger(length)) throw new Error('range() takes whole numbers, and a step that is not zero');
  if (length > LONGEST_RANGE) throw new Error(`range() of ${length} numbers; the most a template may ask for is ${LONGEST_RANGE}`);
  return Array.from({ length }, (_, i) => from + i * step);
}

/** Python's strftime in the C locale, now; the codes chat templates use. */
function strftimeNow(format: string): string {
  const now = new Date();
  const two = (n: number): string => String(n).padStart(2, '0');
  const name = (options: Intl.DateTimeFormatOptions): string => new Intl.DateTimeFormat('en-US', options).format(now);
  const codes: Record<string, () => string> = {
    Y: () => String(now.getFullYear()),
    m: () => two(now.getMonth() + 1),
    d: () => two(now.getDate()),
    H: () => two(now.getHours()),
    M: () => two(now.getMinutes()),
    S: () => two(now.getSeconds()),
    b: () => name({ month: 'short' }),
    B: () => name({ month: 'long' }),
    a: () => name({ weekday: 'short' }),
    A: () => name({ weekday: 'long' }),
    '%': () => '%',
  };
  return format.replace(/%([YmdHMSbBaA%])/g, (_, code: string) => codes[code]());
}
