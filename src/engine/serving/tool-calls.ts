/**
 * Tools around a scheduler, which knows nothing of them: a request with tools gets the form its model writes calls in, an answer that must call is
 * begun for the model and held to the JSON of a call, and what is told of an answer is read for calls on its way out.
 */
import type { CompleteRequest, ServedEvent, ServeRequest } from '../../shared/serving.ts';
import { callConstraint, callFormOf, type CallForm, type CallReader, createCallReader } from '../tokenizer/call-form.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';

export interface ToolCalls {
  /** The request as the scheduler gets it. Throws one sentence where the model's form of calls is not known. */
  prepare(request: ServeRequest): ServeRequest;
  /** The events with calls in place of the text they were written as. */
  read(events: ServedEvent[]): ServedEvent[];
}

export function createToolCalls(tokenizer: Tokenizer): ToolCalls {
  let known: CallForm | undefined;
  const readers = new Map<number, { of: (choice: number) => CallReader; told: Set<number>; parallel: boolean }>();

  function expectCalls({ id, calls }: CompleteRequest, form: CallForm): void {
    const choices: CallReader[] = [];
    readers.set(id, { of: (choice) => (choices[choice] ??= createCallReader(form, calls!.tools)), told: new Set(), parallel: calls!.parallel });
  }

  function* readEvent(event: ServedEvent): Generator<ServedEvent> {
    const reading = readers.get(event.id);
    if (!reading || (event.type !== 'token' && event.type !== 'end')) {
      if (event.type === 'finished' || event.type === 'refused') readers.delete(event.id);
      return yield event;
    }
    const { id, choice } = event;
    const reader = reading.of(choice);
    const { text, calls } = event.type === 'token' ? reader.push(event.text) : reader.end();
    if (event.type === 'token') yield { ...event, text };
    else if (text !== '') yield { type: 'text', id, choice, text };
    for (const call of calls) {
      if (reading.told.has(choice) && !reading.parallel) continue;
      reading.told.add(choice);
      yield { type: 'call', id, choice, ...call };
    }
    if (event.type === 'end') yield event;
  }

  return {
    prepare(request) {
      if (request.type === 'embed' || request.calls === null) return request;
      const form = (known ??= callFormOf(tokenizer));
      const { force } = request.calls;
      // where it must call, its answer is the JSON alone
      expectCalls(request, force === null ? form : { ...form, open: '', close: '', list: false });
      if (force === null) return request;
      const prompts = request.prompts.map((prompt) => ('messages' in prompt ? { ...prompt, opening: form.opening } : prompt));
      return { ...request, prompts, constraint: callConstraint(form, force.of) };
    },
    read: (events) => events.flatMap((event) => [...readEvent(event)]),
  };
}
