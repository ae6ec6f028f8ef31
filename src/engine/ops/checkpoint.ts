/**
 * Gradient checkpointing (Chen et al. 2016): a part of a model runs without keeping anything but its input, and runs again in backward.
 * The second run calls the same kernels on the same numbers, so gradients are the same to the bit.
 */
import { createTape, type Tape, type Value } from './tape.ts';

/** `inputs` are the values `part` reads besides x. Parts must draw no new randomness when run again. */
export function checkpoint(tape: Tape, x: Value, inputs: Value[], part: (tape: Tape, x: Value) => Value): Value {
  const { device, pool } = tape;
  if (!tape.recording) return part(tape, x);
  const out = tape.adopt(part(createTape(device, pool, false), x));
  tape.record(out, [x, ...inputs], () => {
    const again = createTape(device, pool, true);
    const second = again.scope(() => part(again, x));
    second.grad = out.grad; // undoes out = part(x): its gradient is the second run's
    out.grad = null;
    again.backward();
    again.release([second]);
  });
  return out;
}
