/** The limits a template runs under. What templates render is held to transformers in template.test.ts. */
import { describe, expect, it } from 'vitest';
import { compileJinja } from './chat-template.ts';

describe('a template', () => {
  it('that never ends is ended, in a sentence', { timeout: 60_000 }, () => {
    const nested = Array.from({ length: 5 }, (_, i) => `{% for i${i} in range(1000) %}`).join('') + '{% endfor %}'.repeat(5);
    expect(() => compileJinja(nested)({})).toThrow(/takes longer than 5 s, a loop in it may never end/);
  });

  it('gets lists of numbers as Python makes them, and none longer than jinja2 gives', () => {
    const render = compileJinja('{{ range(3) | tojson }}{{ range(2, 5) | tojson }}{{ range(5, 0, -2) | tojson }}{{ range(4, 1) | tojson }}');
    expect(render({})).toBe('[0, 1, 2][2, 3, 4][5, 3, 1][]');
    expect(() => compileJinja('{% for i in range(1000000000) %}{% endfor %}')({})).toThrow(/range\(\) of 1000000000 numbers; the most a template may ask for is 100000/);
    expect(() => compileJinja('{{ range(0, 5, 0) }}')({})).toThrow(/a step that is not zero/);
  });

  it('grows no text beyond measure', () => {
    expect(() => compileJinja('{% set ns = namespace(x="aaaaaaaa") %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}')({})).toThrow(/string length/);
  });

  it('may write the name of a global in its own text', () => {
    expect(compileJinja('call strftime_now: {{ strftime_now("%%") }}')({})).toBe('call strftime_now: %');
  });
});
