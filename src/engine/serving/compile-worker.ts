/** The thread in which what served answers must be is worked out (compiler.ts starts it): one constraint in, its network as arrays or why not out. */
import { parentPort } from 'node:worker_threads';
import type { Constraint, ConstraintProblem } from '../../shared/constraint.ts';
import { networkOf } from '../sampling/constraint/compile.ts';
import { ConstraintError } from '../sampling/constraint/constraint.ts';
import { type PackedNetwork, packNetwork } from '../sampling/constraint/packed-network.ts';

/** `usable`: of each byte whether it is a token by itself. */
export type CompileRequest = { constraint: Constraint; usable: boolean[] };
export type CompileReply = { network: PackedNetwork } | { refused: ConstraintProblem };

parentPort!.on('message', ({ constraint, usable }: CompileRequest) => {
  try {
    const network = packNetwork(networkOf(constraint, (byte) => usable[byte]).network);
    const buffers = Object.values(network).map(({ buffer }) => buffer as ArrayBuffer);
    parentPort!.postMessage({ network } satisfies CompileReply, buffers);
  } catch (error) {
    const { message, pointer = null, line = null } = error as ConstraintError;
    parentPort!.postMessage({ refused: { message, pointer, line } } satisfies CompileReply);
  }
});
