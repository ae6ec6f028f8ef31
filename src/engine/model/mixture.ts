/**
 * The MLP of a mixture of experts (Mixtral, Qwen-MoE): a router chooses K of E experts for every token, and what they give is summed by its
 * weights; a shared expert, where there is one, sees every token and is weighed by a gate of its own. Forward only, as transformer.ts.
 *
 *   out = residual + Σ weight · down(act(gate) · up)  of the chosen experts  + sigmoid(scale) · the shared expert's
 */
import type { Activation } from '../device/device.ts';
import { activation } from '../ops/activation.ts';
import { combine, dispatch, expertLinear, route } from '../ops/experts.ts';
import { gatedActivation } from '../ops/gated-activation.ts';
import { linear } from '../ops/linear.ts';
import type { Tape, Value } from '../ops/tape.ts';
import type { ModelConfig } from './config.ts';
import type { Linear, MixtureWeights } from './parameters.ts';
import type { Inputs } from './transformer.ts';

/** input and residual (N,C) → (N,C) */
export function mixture(tape: Tape, config: ModelConfig, { router, experts, shared }: MixtureWeights, index: number, inputs: Inputs, input: Value, residual: Value): Value {
  const { N } = inputs;
  const { numExpertsPerTok: K, normTopkProb } = config.mixture!;
  const act = config.hiddenAct as Activation;
  const project = (x: Value, to: Linear) => linear(tape, x, to, N, { lora: inputs.lora(to) });

  const routing = route(tape, linear(tape, input, router, N), N, K, normTopkProb, index, inputs.balance);
  const chosen = dispatch(tape, input, routing, N);
  const byExpert = (x: Value, part: 'gate' | 'up' | 'down') => {
    const linears = experts.map((expert) => expert[part]);
    return expertLinear(tape, x, linears, linears.map((each) => inputs.lora(each)), routing, N);
  };
  const gate = byExpert(chosen, 'gate');
  const routed = combine(tape, byExpert(gatedActivation(tape, gate, byExpert(chosen, 'up'), N, act), 'down'), routing, residual, N);
  if (!shared) return routed;
  const sharedGate = project(input, shared.gate);
  const common = project(gatedActivation(tape, sharedGate, project(input, shared.up), N, act), shared.down);
  const weights = activation(tape, project(input, shared.scale), N, 'sigmoid');
  return combine(tape, common, { weights, slots: inputs.order!, K: 1 }, routed, N);
}
